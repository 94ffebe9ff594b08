"""Hash tables: each recording function (an op) has one, with a row for each kind of call that its fast path can handle.

A row is a key of a few words, such as the Dims (shapes) of the operands, and then the words of `words.ROW`. The first
word of a key is never 0; a row with 0 there is free. Rows are never removed. The tables use open addressing: if the row
at a key's hash has another key, the next rows are tried. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..plain import Words, entry, plain
from . import words
from .c_api import NULL, extern, fail
from .extension import c_function
from .structures import Function, Row, Shared

HASH, HASHED = 0x9E3779B1, (1 << 30) - 1


@plain
def is_one_of(number, known: Iterable[int]):
    """Whether a number is one of some known ones."""
    found = 0
    for each in known:
        if number == each:
            found = 1
    return found


@plain
def mixed(value, number):
    """Return the hash of one more word of a key, given the hash of the words before.

    The upper half of the word is folded into the lower half, because a word may be a float, and the lower bits of round
    floats are all 0. The result is cut to 30 bits before it is multiplied, because TVM assumes that products of int64
    do not overflow.
    """
    folded = number ^ (number >> 32)
    return (((value ^ folded) & HASHED) * HASH) >> 16


class Found(Row):
    """The row with a key, if it is `found`."""

    def __init__(self, table: Words, place: Any, key: Any, found: Any):
        super().__init__(table, place, key)
        self.found = found


def nothing_more(row: Row):
    return True


@plain
def search(table: Words, mask, key, first, value, same: Callable) -> Found:
    """Search a table for a key.

    Args:
        mask: the number of the table's rows minus 1.
        key, first: how many words a key has; and the first word of the wanted one.
        value: the hash of the key.
        same: called as same(row) for a row with this first word, says whether the rest of its key is the same.
    """
    place, found = value & mask, 0
    begin = Row(table, place, key).key_word(0)
    while begin != 0:
        if begin == first:
            if same(Row(table, place, key)):
                found = 1
                break
        place = (place + 1) & mask
        begin = Row(table, place, key).key_word(0)
    return Found(table, place, key, found)


@plain
def look_up(function: Function, key, first, value, same: Callable) -> Found:
    """Search the table of a recording function for a key."""
    return search(Words(function.table), function.mask, key, first, value, same)


@plain
def find(function: Function, *key) -> Found:
    """Search the table of a recording function for a key of a few words."""
    value = 0
    for number in key:
        value = mixed(value, number)

    def same(row: Row):
        alike = 1
        for place, number in enumerate(key[1:], 1):
            if row.key_word(place) != number:
                alike = 0
        return alike

    return look_up(function, len(key), key[0], value, same if len(key) > 1 else nothing_more)


@c_function()
@entry
def enter(shared: Shared, function_at, row_at):
    """Add a row to a recording function's table, or replace the row with the same key. Return 1.

    If the table would be more than half full, it is doubled first. If there is no memory, return NULL, with an error.
    """
    function, given = Function(function_at), Words(row_at)
    key = function.key
    if 2 * (function.used + 1) > function.mask + 1:
        double(function)
    function.used += put_row(Words(function.table), function.mask, key, given, 0)
    return 1


@plain
def double(function: Function) -> None:
    rows, width = function.mask + 1, function.key + len(words.ROW)
    table = extern("PyMem_RawCalloc", rows * 2, width * 8)
    if table == NULL:
        extern("PyErr_NoMemory")
        fail()
    old = Words(function.table)
    for place in range(rows):
        if old[place * width] != 0:
            put_row(Words(table), 2 * rows - 1, function.key, old, place * width)
    extern("PyMem_RawFree", function.table)
    function.table = table
    function.mask = 2 * rows - 1


@plain
def put_row(table: Words, mask, key, source: Words, begin):
    """Write a row to a table: over the row with the same key, or if there is none, to a free row. Return 1 if so.

    The first word of the key is written last, because the row counts as taken as soon as this word is not 0.

    Args:
        mask: the number of the table's rows minus 1.
        key: how many words a key has.
        source, begin: the row to write is in `source` from offset `begin` on.
    """
    value = 0
    for place in range(key):
        # The key for a call with a list of operands may end in unused words, which are 0. The hash leaves them out.
        if source[begin + place] != 0 or place == 0:
            value = mixed(value, source[begin + place])

    def same(row: Row):
        alike = 1
        for place in range(1, key):
            if row.key_word(place) != source[begin + place]:
                alike = 0
        return alike

    target = search(table, mask, key, source[begin], value, same)
    width = key + len(words.ROW)
    for place in range(width):
        back = width - 1 - place
        table[target.begin + back] = source[begin + back]
    return 1 - target.found
