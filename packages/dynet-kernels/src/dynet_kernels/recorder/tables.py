"""Hash tables of recording functions, with a row for each kind of call that the fast path can handle.

A row consists of a key of a few words and the words of `words.ROW`. The first word of a key is not 0; a row with 0
there is free. Rows are never removed. Collisions are resolved by linear probing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..plain import Words, on_stack, plain
from . import words
from .c_api import call_or_fail, extern, need
from .extension import c_function
from .structures import Function, Row, Shared

HASH_FACTOR, HASH_MASK = 0x9E3779B1, (1 << 30) - 1


@plain
def is_one_of(value, known: Iterable[int]):
    result = 0
    for each in known:
        if value == each:
            result = 1
    return result


@plain
def mixed(value, word):
    """Return the hash of a key up to the word `word`, given `value`, the hash of the words before it.

    Fold the upper half of the word into the lower half, because it may be a float, and the lower bits of round floats
    are 0. Cut the hash to 30 bits before multiplying it, because TVM assumes that int64 products do not overflow.
    """
    return (((value ^ word ^ (word >> 32)) & HASH_MASK) * HASH_FACTOR) >> 16


@plain
def hashed(key: Words, begin, size):
    """Return the hash of the `size` words of a key from `key[begin]`, not including unused words at its end."""
    value = 0
    for k in range(size):
        value = mixed(value, key[begin + k])
    return value


@plain
def are_equal(a: Words, begin, b: Words, start, size):
    alike = 1
    for k in range(size):
        if a[begin + k] != b[start + k]:
            alike = 0
            break
    return alike


@plain
def search(table: Words, mask, width, key: Words, begin, size, hash_value) -> Any:
    """Return the offset in a table of the row with this key, or of a free row if there is none.

    The table has `mask` + 1 rows of `width` words. The key has this hash, and `size` words from `key[begin]`.
    """
    row = hash_value & mask
    while table[row * width] != 0 and not are_equal(table, row * width, key, begin, size):
        row = (row + 1) & mask
    return row * width


@plain
def find(function: Function, *key) -> Row:
    """Return the row with this key in a recording function's table. If there is none, leave the entry."""
    given = on_stack(len(key))
    for k, word in enumerate(key):
        given[k] = word
    return find_words(function, given, len(key), len(key), hashed(given, 0, len(key)))


@plain
def find_words(function: Function, key: Words, used, size: int, hash_value) -> Row:
    """Like `find`, for a key of `size` words with this hash: the first `used` are in `key`, the rest are 0."""
    table = Words(function.table)
    begin = search(table, function.mask, size + len(words.ROW), key, 0, used, hash_value)
    need(table[begin] != 0)
    return Row(table, begin + size)


@c_function()
def enter(shared: Shared, function_at, row_at):
    """Add a row to a recording function's table, or replace the row with the same key. Return 1.

    If the table would be more than half full, double it first. If memory runs out, return NULL with an error set.
    """
    function = Function(function_at)
    rows, width = function.mask + 1, function.key + len(words.ROW)
    if 2 * (function.used + 1) > rows:
        table, old = call_or_fail("PyMem_RawCalloc", rows * 2, width * 8), Words(function.table)
        for row in range(rows):
            if old[row * width] != 0:
                put_row(Words(table), 2 * rows - 1, function.key, old, row * width)
        extern("PyMem_RawFree", function.table)
        function.fill(table=table, mask=2 * rows - 1)
    function.used += put_row(Words(function.table), function.mask, function.key, Words(row_at), 0)
    return 1


@plain
def put_row(table: Words, mask, key, source: Words, begin):
    """Write the row at `source[begin]` over the row with the same key, or to a free row. Return 1 if it was free.

    The first word of the key is written last, because the row counts as taken once this word is not 0.
    """
    width, used = key + len(words.ROW), 1
    while used < key and source[begin + used] != 0:  # a key for a list or an array may end in unused words, which are 0
        used += 1
    target = search(table, mask, width, source, begin, key, hashed(source, begin, used))
    is_new = 1 if table[target] == 0 else 0
    for k in range(width):
        back = width - 1 - k
        table[target + back] = source[begin + back]
    return is_new
