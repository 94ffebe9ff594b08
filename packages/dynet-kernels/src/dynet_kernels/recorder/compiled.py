"""The compiled functions: taken from the cache, or built when they are not there."""

from __future__ import annotations

import functools
import itertools
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import cache, library
from ..target import CpuTarget, host_cpu

HEAD = struct.Struct("<QQQ")  # how long the names are, and two object files, that follow each other


@dataclass(frozen=True)
class Recorder:
    """The functions that record."""

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the recorder"

    @property
    def key(self) -> str:
        """Text that changes with the machine code."""
        return f"recorder {_sources()}"

    def for_target(self, target: CpuTarget) -> Recorder:
        """The same for another CPU."""
        return Recorder(target)

    def build(self, path: Path) -> None:
        """Write the object files. Imports TVM."""
        from .extension import write_objects
        from .functions import FUNCTIONS

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            parts = [" ".join(FUNCTIONS).encode(), *write_objects(FUNCTIONS, Path(folder), self.target.tvm_target())]
        path.write_bytes(b"".join([HEAD.pack(*map(len, parts)), *parts]))


@functools.cache
def _sources() -> str:
    return library.digest_of(sorted(Path(__file__).parent.glob("*.py")))


def _load(content: bytes):
    """The module, and the names of its functions in their order."""
    sizes = HEAD.unpack_from(content)
    if len(content) != HEAD.size + sum(sizes):
        raise cache.CacheError("the compiled recorder is not whole")
    ends = list(itertools.accumulate(sizes, initial=HEAD.size))
    names, *objects = [content[begin:end] for begin, end in itertools.pairwise(ends)]
    return cache.load_objects(objects), names.decode().split()


def addresses(shared: int) -> dict[str, int]:
    """The addresses of the functions, which stay for the life of the process, told where the shared words are."""
    ((module, names),) = library.modules([Recorder()], load=_load)
    table = np.zeros(len(names), np.int64)
    module.get_function("addresses")(int(table.ctypes.data), shared)
    return dict(zip(names, table.tolist()))
