"""Numbers and structures in memory, for plain functions.

While TIR is being emitted, reading a number emits a load, and setting it a store. Otherwise, both happen immediately.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, ClassVar

from .. import tir
from ..layout import Structure
from ..tir import int64, let
from ..tvm_modules import T, tirx
from .lowering import as_integer, is_emitting, widen

CTYPES: dict[str, Any] = {
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "int16": ctypes.c_int16,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


class Words:
    """The numbers in memory, starting at an address. `words[index]` reads one, `words[index] = value` writes one.

    A number that was read stays the same if the memory changes later. It is an int64, or a float64 for floats.
    `memory` is an address in bytes, as an int or an integer of the emitted code; in tests it may be an array of ctypes,
    which knows its length: an index outside of it raises an IndexError.
    """

    def __init__(self, memory, dtype: str = "int64"):
        self.address, self.dtype = memory, dtype
        self.wide_dtype = "float64" if dtype.startswith("float") else "int64"
        if isinstance(memory, int):
            memory = (CTYPES[dtype] * (1 << 58)).from_address(memory)  # so that an address in floats can be an index
        self.array: Any = memory if isinstance(memory, ctypes.Array) else None
        self.buffer: Any = tir.buffer_at(memory, dtype) if self.array is None else None

    def __getitem__(self, index) -> Any:
        if self.array is None:
            value = tirx.BufferLoad(self.buffer, [int64(widen(index))])
            return let(value if self.dtype == self.wide_dtype else T.Cast(self.wide_dtype, value))
        return self.array[self._checked_index(index)]

    def __setitem__(self, index, value) -> None:
        if self.array is not None:
            self.array[self._checked_index(index)] = value  # keeps the low 64 bits, as compiled code does
            return
        if self.wide_dtype == "int64":
            as_integer(value)  # raises an error for a float
        emitted = tirx.const(value, self.dtype) if isinstance(value, int | float) else value
        cast = emitted if self.dtype == "int64" else T.Cast(self.dtype, emitted)
        T.buffer_store(self.buffer, cast, [int64(widen(index))])

    def _checked_index(self, index: int) -> int:
        if index < 0:
            raise IndexError(f"place {index} of numbers in memory")
        return index


class Struct:
    """A structure at index `start` of `memory`: int64s, which are attributes. `layout` has their names, in order."""

    layout: ClassVar[Structure]
    words: Words
    start: Any

    def __init__(self, memory, start: Any = 0):
        self.words, self.start = memory if isinstance(memory, Words) else Words(memory), start

    def __getattr__(self, name: str) -> Any:
        if name not in self.layout:
            raise AttributeError(f"{type(self).__name__} has no integer {name!r}; it has {', '.join(self.layout)}")
        return self.words[self.start + self.layout[name]]

    def __setattr__(self, name: str, value) -> None:
        if name in self.layout:
            self.words[self.start + self.layout[name]] = value
        else:
            object.__setattr__(self, name, value)

    def fill(self, **values) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def take(self, other: Struct, names: Iterable[str], to: str = "{}", of: str = "{}") -> None:
        """For each of `names`, copy the attribute `of.format(name)` of `other` to the attribute `to.format(name)`."""
        for name in names:
            setattr(self, to.format(name), getattr(other, of.format(name)))


class Rows:
    """An array of structures of class `kind`, starting at index `start` of `words`. `rows[k]` is structure k."""

    def __init__(self, kind: type[Struct], words: Words, start: Any = 0):
        self.kind, self.words, self.start = kind, words, start

    def __getitem__(self, index) -> Any:
        start = self.start + widen(index) * len(self.kind.layout)
        return self.kind(self.words, let(start) if self.words.array is None else start)


def on_stack(count: int) -> Words:
    """Return memory for `count` integers, which is valid until the compiled function ends."""
    words = object.__new__(Words)
    words.dtype = words.wide_dtype = "int64"
    if is_emitting():
        words.buffer = tir.on_stack(max(count, 1), "int64")
        words.array, words.address = None, T.address_of(words.buffer[int64(0)])
    else:
        words.array = (ctypes.c_int64 * count)()
        words.address = ctypes.addressof(words.array)
    return words


def bits_of(number):
    if isinstance(number, float):
        return ctypes.c_int64.from_buffer_copy(ctypes.c_double(number)).value
    return let(T.reinterpret("int64", number))


def popcount(number):
    return (number & (1 << 64) - 1).bit_count() if isinstance(number, int) else T.popcount(number)
