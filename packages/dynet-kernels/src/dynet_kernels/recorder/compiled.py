"""The compiled functions: taken from the cache, or built when they are not there."""

from __future__ import annotations

import functools
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import cache, library
from ..target import host_cpu

HEAD = struct.Struct("<QQ")  # how long two object files are that follow each other


@dataclass(frozen=True)
class Recorder:
    """The functions that record."""

    name = "the recorder"

    @property
    def key(self) -> str:
        """Text that changes with the machine code."""
        return f"recorder {_sources()}"

    def build(self, path: Path) -> None:
        """Write the object files. Imports TVM."""
        from .extension import write_objects
        from .functions import FUNCTIONS

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            objects = write_objects(FUNCTIONS, Path(folder), host_cpu().tvm_target())
        path.write_bytes(b"".join([HEAD.pack(*map(len, objects)), *objects]))


NAMES = (
    "value", "list", "nothing", "address", "differentiate", "renew_quickly",
    "one", "two", "many", "number", "index", "lookup", "indices", "lookup_indices", "stretch",
    "scalar", "vector", "array", "set",
    "template", "key", "commit", "handle", "sequence", "take",
    "add", "subtract", "multiply", "true_divide", "negative", "subscript",
    "free", "new", "visit_nothing", "become", "bind", "renew", "cut", "write_inputs", "take_inputs", "enter",
    "dynet_compute", "dynet_count_in_order", "dynet_make_room", "dynet_make_input_room",
)  # fmt: skip
"""The functions, in the order of `functions.FUNCTIONS`, which this must not import: it needs TVM."""


@functools.cache
def _sources() -> str:
    return library.digest_of(sorted(Path(__file__).parent.glob("*.py")))


def _load(content: bytes):
    sizes = HEAD.unpack_from(content)
    if len(content) != HEAD.size + sum(sizes):
        raise cache.CacheError("the compiled recorder is not whole")
    middle = HEAD.size + sizes[0]
    return cache.load_objects([content[HEAD.size : middle], content[middle:]])


def addresses(shared: int) -> dict[str, int]:
    """The addresses of the functions, which stay for the life of the process, told where the shared words are."""
    (module,) = library.modules([Recorder()], load=_load)
    table = np.zeros(len(NAMES), np.int64)
    module.get_function("addresses")(int(table.ctypes.data), shared)
    return dict(zip(NAMES, table.tolist()))
