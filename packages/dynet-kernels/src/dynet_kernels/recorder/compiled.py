"""Loads the recorder's compiled functions from the kernel cache, or compiles them if they are not there."""

from __future__ import annotations

import itertools
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import cache, library
from ..target import CpuTarget, host_cpu

# The stored file begins with the sizes of the three parts that follow: the functions' names, and two object files.
HEAD = struct.Struct("<QQQ")


@dataclass(frozen=True)
class Recorder:
    """The machine code of the recorder as one item of the kernel cache, with the interface `parts.Part`.

    Args:
        target: the CPU for which it is compiled; by default the CPU that runs this program.
    """

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the recorder"
    key = "recorder"

    def for_target(self, target: CpuTarget) -> Recorder:
        """Return the recorder that is compiled for `target`, another CPU."""
        return Recorder(target)

    def build(self, path: Path) -> None:
        """Compile all functions and write them to one file, which `_load` can read. Imports TVM."""
        from .extension import write_objects
        from .functions import FUNCTIONS

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            named = " ".join(f"{name}:{function.key}" for name, function in FUNCTIONS.items())
            parts = [named.encode(), *write_objects(FUNCTIONS, Path(folder), self.target.tvm_target())]
        path.write_bytes(b"".join([HEAD.pack(*map(len, parts)), *parts]))


def _load(content: bytes):
    """Load the contents of a file that `Recorder.build` wrote. Return the TVM module and a dict of its functions.

    The module has a function `addresses`, which writes the addresses of the functions to a list, in the order of the
    dict. The dict has how many words a key has in the tables of each function.
    """
    sizes = HEAD.unpack_from(content)
    if len(content) != HEAD.size + sum(sizes):
        raise cache.CacheError("the compiled recorder is not whole")
    ends = list(itertools.accumulate(sizes, initial=HEAD.size))
    names, *objects = [content[begin:end] for begin, end in itertools.pairwise(ends)]
    pairs = (one.split(":") for one in names.decode().split())
    return cache.load_objects(objects), {name: int(key) for name, key in pairs}


def functions(shared: int) -> tuple[dict[str, int], dict[str, int]]:
    """Load the functions of the recorder. Return their addresses by name, which are valid until the process ends.

    Also return how many words a key has in the tables of each function.

    Args:
        shared: the address of the shared words (`words.SHARED`), which the functions read and write.
    """
    ((module, names),) = library.modules([Recorder()], load=_load)
    table = np.zeros(len(names), np.int64)
    module.get_function("addresses")(int(table.ctypes.data), shared)
    return dict(zip(names, table.tolist())), names
