"""Hash tables of recording functions, with a row for each kind of call that the fast path can handle.

A row consists of a key of a few words and the words of `words.ROW`. The first word of a key is not 0; a row with 0
there is free. Collisions are resolved by linear probing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..plain import Words, on_stack, plain
from . import words
from .c_api import call_or_fail, extern, need
from .extension import c_function
from .structures import Function, Row, Shared

HASH_FACTOR, HASH_MASK = 0x9E3779B1, (1 << 30) - 1  # the factor is a prime near 2 ** 32 / the golden ratio


@plain
def is_one_of(value, candidates: Iterable[int]):
    result = 0
    for candidate in candidates:
        if value == candidate:
            result = 1
    return result


@plain
def extended_hash(hash_before, word):
    """Return the hash of a key's words up to `word`, given the hash of the words before `word`.

    Fold the upper half of the word into the lower half, because it may be a float, and the lower bits of round floats
    are 0. Cut the hash to 30 bits before multiplying it, because TVM assumes that int64 products do not overflow.
    """
    return (((hash_before ^ word ^ (word >> 32)) & HASH_MASK) * HASH_FACTOR) >> 16


@plain
def hash_of(key: Words, begin, size):
    """Return the hash of a key of `size` words from `key[begin]`. `size` must not count unused words at its end."""
    hash_value = 0
    for k in range(size):
        hash_value = extended_hash(hash_value, key[begin + k])
    return hash_value


@plain
def are_equal(a: Words, a_begin, b: Words, b_begin, size):
    result = 1
    for k in range(size):
        if a[a_begin + k] != b[b_begin + k]:
            result = 0
            break
    return result


@plain
def search(table: Words, mask, width, key: Words, begin, size, hash_value) -> Any:
    """Return the offset in a table of the row with this key, or of a free row if there is none.

    The table has `mask` + 1 rows of `width` words. The key is the `size` words from `key[begin]`.
    """
    row = hash_value & mask
    while table[row * width] != 0 and not are_equal(table, row * width, key, begin, size):
        row = (row + 1) & mask
    return row * width


@plain
def find(function: Function, *key) -> Row:
    """Return the row with this key in a recording function's table. If there is none, leave the entry."""
    key_words = on_stack(len(key))
    for k, word in enumerate(key):
        key_words[k] = word
    return find_row_with_hash(function, key_words, len(key), len(key), hash_of(key_words, 0, len(key)))


@plain
def find_row_with_hash(function: Function, key: Words, used_size, size: int, hash_value) -> Row:
    """Like `find`, for a key of `size` words with this hash: the first `used_size` are in `key`, the rest are 0."""
    table = Words(function.table)
    begin = search(table, function.mask, size + len(words.ROW), key, 0, used_size, hash_value)
    need(table[begin] != 0)
    return Row(table, begin + size)


@c_function()
def enter(shared_words: Shared, function_address, row_address):
    """Add a row to a recording function's table, or replace the row with the same key. Return 1.

    If the table would be more than half full, double it first. If memory runs out, return NULL with an error set.
    """
    function = Function(function_address)
    rows, width = function.mask + 1, function.key_size + len(words.ROW)
    if 2 * (function.used + 1) > rows:
        table, old = call_or_fail("PyMem_RawCalloc", rows * 2, width * 8), Words(function.table)
        for row in range(rows):
            if old[row * width] != 0:
                put_row(Words(table), 2 * rows - 1, function.key_size, old, row * width)
        extern("PyMem_RawFree", function.table)
        function.fill(table=table, mask=2 * rows - 1)
    function.used += put_row(Words(function.table), function.mask, function.key_size, Words(row_address), 0)
    return 1


@c_function()
def clear_table(shared_words: Shared, function_address):
    """Remove all rows from a recording function's table. Return 1."""
    function = Function(function_address)
    table = Words(function.table)
    for k in range((function.mask + 1) * (function.key_size + len(words.ROW))):
        table[k] = 0
    function.used = 0
    return 1


@plain
def put_row(table: Words, mask, key_size, source: Words, begin):
    """Write the row at `source[begin]` over the row with the same key, or to a free row. Return 1 if it was free.

    The first word of the key is written last, because the row counts as taken once this word is not 0.
    """
    width, used_size = key_size + len(words.ROW), 1
    while used_size < key_size and source[begin + used_size] != 0:  # a key may end in unused words, which are 0
        used_size += 1
    target = search(table, mask, width, source, begin, key_size, hash_of(source, begin, used_size))
    is_new = 1 if table[target] == 0 else 0
    for k in range(width):
        index = width - 1 - k
        table[target + index] = source[begin + index]
    return is_new
