"""Structures in memory for emitters: to read an attribute emits a load, and to set it emits a store.

All fields are words of 64 bits. `words` lists their names.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir
from ..tir import int64, let
from . import words


def words_at(address):
    """Return the memory from an address on as a TIR buffer of words."""
    return tir.buffer_at(address, "int64")


def words_on_stack(count):
    """Allocate words on the stack of the compiled function."""
    return T.alloc_buffer((count,), "int64", scope="local", annotations=tir.ON_STACK)


class Structure:
    """A structure at an address. Its attributes are words in memory; subclasses list their names."""

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
    """Row number `place` of a recording function's table: `key` words, which identify it, then the words of ROW."""

    def __init__(self, table, place, key):
        self._words, self.key = words_at(let(table + place * int64(8 * (key + len(words.ROW))))), key

    def __getattr__(self, name):
        return self._words[int64(self.key + words.ROW.index(name))]

    def key_word(self, place):
        """Emit a load of word number `place` of the key."""
        return self._words[place]
