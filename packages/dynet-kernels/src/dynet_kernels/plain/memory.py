"""Numbers and structures in memory, for plain functions: one source for emitted code, for Python, and for tests.

While TIR is emitted, to read a number emits a load, to set it emits a store. Else both happen at once.
"""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

from .. import tir
from ..layout import Structure
from ..tir import int64, let
from ..tvm_modules import T

CTYPES: dict[str, Any] = {
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


class Words:
    """The numbers in memory from an address on. `words[place]` reads one, `words[place] = value` writes one.

    What is read keeps its value even if a later store changes the memory.

    Args:
        memory: the address in bytes, an int or an integer of the emitted code; or, in tests, an array of ctypes, which
            knows its length: a place outside of it is an IndexError.
        dtype: the type of the numbers.
    """

    def __init__(self, memory, dtype: str = "int64"):
        self.address, self.dtype = memory, dtype
        if isinstance(memory, int):
            memory = (CTYPES[dtype] * tir.UNBOUNDED).from_address(memory)
        self.memory = memory if isinstance(memory, ctypes.Array) else None
        self.buffer = tir.buffer_at(memory, dtype) if self.memory is None else None

    def __getitem__(self, place) -> Any:
        if self.memory is None:
            return let(self.buffer[int64(place)])
        return self.memory[self._inside(place)]

    def __setitem__(self, place, value) -> None:
        if self.memory is None:
            T.buffer_store(self.buffer, int64(value), [int64(place)])
        else:
            self.memory[self._inside(place)] = value  # the low 64 bits of it, as in compiled code

    def _inside(self, place: int) -> int:
        if place < 0:
            raise IndexError(f"place {place} of numbers in memory")
        return place


class Struct:
    """A structure in memory: adjacent int64, which are attributes of the object.

    Each subclass has a class attribute `layout`, which names these integers.

    Args:
        memory: `Words`, or an address in bytes.
        start: the offset in `memory` at which the structure begins.
    """

    layout: ClassVar[Structure]
    words: Words
    start: Any

    def __init__(self, memory, start: Any = 0):
        self.words, self.start = memory if isinstance(memory, Words) else Words(memory), start

    def __getattr__(self, name: str) -> Any:
        if name not in self.layout:
            known = ", ".join(self.layout)
            raise AttributeError(f"{type(self).__name__} has no integer {name!r}; it has {known}")
        return self.words[self.start + self.layout[name]]

    def __setattr__(self, name: str, value) -> None:
        if name in self.layout:
            self.words[self.start + self.layout[name]] = value
        else:
            object.__setattr__(self, name, value)

    def fill(self, **values) -> None:
        """Set several integers: `fill(status=0)` does the same as `.status = 0`."""
        for name, value in values.items():
            setattr(self, name, value)


class Rows:
    """An array of adjacent structures: `rows[number]` is one of them.

    Args:
        kind: the class of the structures.
        words, start: the array begins at offset `start` of `words`.
    """

    def __init__(self, kind: type[Struct], words: Words, start: Any = 0):
        self.kind, self.words, self.start = kind, words, start

    def __getitem__(self, number) -> Any:
        place = self.start + number * len(self.kind.layout)
        return self.kind(self.words, let(place) if self.words.memory is None else place)


def popcount(number):
    """How many bits of a 64-bit integer are 1."""
    return (number & (1 << 64) - 1).bit_count() if isinstance(number, int) else T.popcount(number)
