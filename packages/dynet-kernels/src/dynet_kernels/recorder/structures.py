"""Structures in memory, for functions that emit code: to read an attribute emits a load, to set it emits a store.

Each attribute is a word of 64 bits. The module `words` lists the names of each structure's attributes.
"""

from __future__ import annotations

from .. import tir
from ..tir import int64, let
from ..tvm_modules import T
from . import words


def words_at(address):
    """Return the memory from `address` on, which counts bytes, as a TIR buffer of 64-bit words."""
    return tir.buffer_at(address, "int64")


def words_on_stack(count):
    """Emit code that allocates `count` words on the stack of the compiled function, and return them as a TIR buffer."""
    return T.alloc_buffer((count,), "int64", scope="local", annotations=tir.ON_STACK)


class Structure:
    """A structure in memory at `address`. Its words are attributes, which each subclass lists in `names`."""

    names: tuple[str, ...] = ()

    def __init__(self, address):
        object.__setattr__(self, "address", address)
        object.__setattr__(self, "_words", words_at(address))

    def __getattr__(self, name):
        return self._words[int64(self.names.index(name))]

    def __setattr__(self, name, value):
        T.buffer_store(self._words, int64(value), [int64(self.names.index(name))])


class Object(Structure):
    names = words.OBJECT


class List(Structure):
    names = words.LIST


class ArrayObject(Structure):
    names = words.ARRAY


class Tuple(Structure):
    names = words.TUPLE


class Slice(Structure):
    names = words.SLICE


class Expression(Structure):
    names = words.EXPRESSION


class Function(Structure):
    names = words.FUNCTION


class Graph(Structure):
    names = words.GRAPH


class Template(Structure):
    names = words.TEMPLATE


class Shared(Structure):
    names = words.SHARED


class Row:
    """A row of a recording function's table: first the words of its key, then the words of ROW, which are attributes.

    Args:
        table: the address of the table.
        place: the number of the row.
        key: the number of words of a key.
    """

    def __init__(self, table, place, key):
        self._words, self.key = words_at(let(table + place * int64(8 * (key + len(words.ROW))))), key

    def __getattr__(self, name):
        return self._words[int64(self.key + words.ROW.index(name))]

    def key_word(self, place):
        """Emit a load of word number `place` of the key."""
        return self._words[place]
