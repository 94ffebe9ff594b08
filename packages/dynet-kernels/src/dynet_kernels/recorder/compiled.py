"""Loads the recorder's compiled functions from the kernel cache, or compiles them if they are not there."""

from __future__ import annotations

import itertools
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cache import store
from ..machine import library
from ..target import CpuTarget, host_cpu

# The stored file begins with the sizes in bytes of its three sections: the functions' names, and two object files.
HEAD = struct.Struct("<QQQ")


@dataclass(frozen=True)
class Recorder:
    """The recorder's machine code for a CPU, by default this one, as one item of the kernel cache: see `parts.Part`."""

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the recorder"
    key = "recorder"

    def for_target(self, target: CpuTarget) -> Recorder:
        return Recorder(target)

    def build(self, path: Path) -> None:
        """Compile all functions and write them to one file, which `_load` can read. Imports TVM."""
        from .c_functions import FUNCTIONS
        from .extension import write_objects

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            name_list = " ".join(f"{name}:{function.key_size}" for name, function in FUNCTIONS.items())
            sections = [name_list.encode(), *write_objects(FUNCTIONS, Path(folder), self.target.tvm_target())]
        path.write_bytes(b"".join([HEAD.pack(*map(len, sections)), *sections]))


def _load(content: bytes):
    """Return the TVM module in a file of `Recorder.build`, and a dict: function name -> number of words in its keys."""
    ends = list(itertools.accumulate(HEAD.unpack_from(content), initial=HEAD.size))
    if len(content) != ends[-1]:
        raise store.CacheError("the compiled recorder is incomplete")
    names, *objects = [content[begin:end] for begin, end in itertools.pairwise(ends)]
    pairs = (pair.split(":") for pair in names.decode().split())
    return store.load_objects(objects), {name: int(key) for name, key in pairs}


def load_functions(shared_address: int) -> tuple[dict[str, int], dict[str, int]]:
    """Load the recorder. Return two dicts: a function's name -> its address, and -> the number of words in its keys.

    The addresses are valid until the process ends. The shared words are at `shared_address`.
    """
    ((module, key_sizes),) = library.load_modules([Recorder()], load=_load)
    addresses = np.full(len(key_sizes), shared_address, np.int64)
    # Reads the address of the shared words from the list, then puts the functions' addresses there: see `extension.py`.
    module.get_function("addresses")(int(addresses.ctypes.data))
    return dict(zip(key_sizes, addresses.tolist())), key_sizes
