"""Memory that Python uses by names and compiled code by an address: 64-bit words. `SHARED` are those of all threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynet_kernels.layout import Structure
from dynet_kernels.recorder import words


class NamedWords:
    """64-bit words that Python reads and writes by their names, and compiled code by their address."""

    __slots__ = ("_names", "address", "view")

    def __init__(self, names: Structure):
        memory: Any = np.zeros(len(names), np.int64)
        self.view: Any = memoryview(memory).cast("B").cast("q")
        self.address: int = memory.ctypes.data
        self._names = names

    def __getitem__(self, name: str) -> int:
        return self.view[self._names[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self.view[self._names[name]] = value


def adjacent(names: Structure, first: str, last: str) -> slice:
    """Return a slice of adjacent words. A `view` reads or sets them in one step, which no signal handler divides."""
    return slice(names[first], names[last] + 1)


SHARED = NamedWords(words.SHARED)
