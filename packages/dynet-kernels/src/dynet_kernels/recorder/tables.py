"""Emits code for hash tables. Each recording function (an op) has one, with a row for each kind of call it can handle.

A row is a key of a few words, such as the Dims (shapes) of the operands, and then the words of `words.ROW`. The first
word of a key is never 0; a row with 0 there is free. Rows are never removed. The tables use open addressing: if the row
at a key's hash has another key, the next rows are tried. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .objects import NULL, Flag, extern, not_
from .structures import Function, Row, words_at

HASH, HASHED = 0x9E3779B1, (1 << 30) - 1


def mixed(value, number):
    """Emit one step of computing a hash: combine the hash so far, `value`, with the next word, `number`.

    The upper half of the word is folded into the lower half, because a word may be a float, and the lower bits of round
    floats are all 0. The result is cut to 30 bits before it is multiplied, because TVM assumes that products of int64
    do not overflow.
    """
    number = let(int64(number))
    folded = T.bitwise_xor(number, T.shift_right(number, int64(32)))
    product = let(T.bitwise_and(T.bitwise_xor(value, folded), int64(HASHED)) * int64(HASH))
    return let(T.shift_right(product, int64(16)))


class Found:
    """Looks up a key in the table of a recording function: `with Found(...) as row`.

    The code of the `with` block runs only if the table has a row with this key.

    Args:
        table, mask: the address of the table, and its number of rows minus 1.
        key: the number of words of a key.
        first: the first word of the key.
        same: emits the comparison of the other words of the key with those of a row. It is called as same(row, known),
            and its code sets the variable `known` to 0 if they differ. None: the key has only one word.
        value: the hash of the key.
    """

    def __init__(self, table, mask, key, first, same, value):
        place, going, self.known = IntVariable(T.bitwise_and(value, mask)), IntVariable(int64(1)), Flag(0)
        self._table, self._key, self.place = table, key, place
        with T.While(going.get() != int64(0)):
            here = Row(table, let(place.get()), key)
            begin = let(here.key_word(int64(0)))
            going.set(int64(0))
            with when(begin == int64(first)):
                self.known.set(int64(1))
                if same is not None:
                    same(here, self.known)
            with when(T.And(not_(self.known.on), begin != int64(0))):
                going.set(int64(1))
                place.set(T.bitwise_and(place.get() + int64(1), mask))

    def __enter__(self):
        self._within = when(self.known.on)
        self._within.__enter__()
        return Row(self._table, let(self.place.get()), self._key)

    def __exit__(self, *problem):
        return self._within.__exit__(*problem)


def found(function, key, first, same, value):
    """Return a `Found` of the table of a recording function."""
    return Found(let(function.table), let(function.mask), key, first, same, value)


def find(function, *key):
    """Look up a key in the table of a recording function: `with find(function, *key) as row`.

    The code of the `with` block runs only if the table has a row with this key.

    Args:
        function: the recording function.
        key: the words of the key.
    """
    value = int64(0)
    for number in key:
        value = mixed(value, number)

    def same(row, known):
        for place, number in enumerate(key[1:], 1):
            known.require(row.key_word(int64(place)) == number)

    return found(function, len(key), key[0], same if len(key) > 1 else None, value)


def enter(shared_at, function_at, row_at, out):
    """Emit the C function that adds a row to a recording function's table, or replaces the row with the same key.

    If the table would be more than half full, it is doubled first. The C function returns 1. If there is no memory, it
    sets a MemoryError and returns 0.
    """
    function, result, given = Function(function_at), words_at(out), words_at(row_at)
    key = let(function.key)
    width = let(key + int64(len(words.ROW)))
    fine = Flag()
    with when((function.used + int64(1)) * int64(2) > function.mask + int64(1)):
        rows = let(function.mask + int64(1))
        table = extern("PyMem_RawCalloc", rows * int64(2), width * int64(8))
        with when(table == int64(NULL)):
            T.evaluate(T.call_extern("int64", "PyErr_NoMemory"))
            fine.set(int64(0))
        with when(table != int64(NULL)):
            old, mask = words_at(let(function.table)), let(rows * int64(2) - int64(1))
            with T.serial(int64(0), rows) as place:
                with when(old[place * width] != int64(0)):
                    put_row(table, mask, key, width, old, let(place * width), IntVariable(int64(0)))
            T.evaluate(T.call_extern("int32", "PyMem_RawFree", function.table))
            function.table = table
            function.mask = mask
    T.buffer_store(result, fine.get(), [int64(0)])
    with when(fine.on):
        new = IntVariable(int64(0))
        put_row(let(function.table), let(function.mask), key, width, given, int64(0), new)
        function.used = function.used + new.get()


def put_row(table, mask, key, width, source, begin, new):
    """Emit code that writes a row to a table: over the row with the same key, or if there is none, to a free row.

    The first word of the key is written last, because the row counts as taken as soon as this word is not 0.

    Args:
        table, mask: the address of the table, and its number of rows minus 1.
        key, width: the number of words of a key and of a row.
        source, begin: the row to write is in the buffer `source`, from offset `begin` on.
        new: a variable of the emitted code, which is set to 1 if the row was free.
    """
    value = IntVariable(int64(0))
    with T.serial(int64(0), key) as place:
        number = let(source[begin + place])
        # The key for a call with a list of operands may end in unused words, which are 0. The hash leaves them out.
        with when(T.Or(number != int64(0), place == int64(0))):
            value.set(mixed(value.get(), number))

    def same(row, known):
        with T.serial(int64(1), key) as place:
            known.require(row.key_word(place) == source[begin + place])

    target = Found(table, mask, key, source[begin], same, value.get())
    with when(not_(target.known.on)):
        new.set(int64(1))
    row = words_at(let(table + target.place.get() * width * int64(8)))
    with T.serial(int64(0), width) as place:
        back = let(width - int64(1) - place)
        T.buffer_store(row, source[begin + back], [back])
