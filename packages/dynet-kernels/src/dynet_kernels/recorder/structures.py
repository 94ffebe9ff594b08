"""Structures in memory, for functions that emit code: to read an attribute emits a load, to set it emits a store.

Each attribute is a word of 64 bits. The module `words` lists the names of each structure's attributes.
"""

from __future__ import annotations

import functools

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
    """A structure in memory at `address`. Its words are attributes, with these names."""

    def __init__(self, names, address):
        for name, value in (("names", names), ("address", address), ("_words", words_at(address))):
            object.__setattr__(self, name, value)

    def __getattr__(self, name):
        return self._words[int64(self.names.index(name))]

    def __setattr__(self, name, value):
        T.buffer_store(self._words, int64(value), [int64(self.names.index(name))])


Object, List, ArrayObject, Tuple, Slice, Expression, Function, Graph, Template, Shared = (
    functools.partial(Structure, names)
    for names in (
        words.OBJECT, words.LIST, words.ARRAY, words.TUPLE, words.SLICE, words.EXPRESSION, words.FUNCTION,
        words.GRAPH, words.TEMPLATE, words.SHARED,
    )
)  # fmt: skip


class Row:
    """A row of a recording function's table: first the words of its key, then the words of ROW, which are attributes.

    Args:
        table: the address of the table.
        place: the number of the row.
        key: the number of words of a key.
    """

    def __init__(self, table, place, key):
        self._words, self.key = words_at(let(table + place * int64(8) * (int64(key) + int64(len(words.ROW))))), key

    def __getattr__(self, name):
        return self._words[int64(self.key) + int64(words.ROW.index(name))]

    def key_word(self, place):
        """Emit a load of word number `place` of the key."""
        return self._words[place]
