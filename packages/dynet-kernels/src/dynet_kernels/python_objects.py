"""What compiled code reads of Python's own objects, where it takes Python several times as long to hand it over.

How CPython stores these is not promised. Who calls finds out first that they are as expected here: `handles` and
`stored_ints` of `dynet_core`.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from . import layout as at
from . import tir
from .layout import SLOT
from .tir import function, int64, let


def find_others():
    """Which of the int64 numbers at `count` addresses are others than `usual`: how many, then their places."""

    def body(addresses, count, usual, found):
        at_each, others = tir.buffer_at(addresses, "int64"), tir.buffer_at(found, "int64")
        number = tir.Counter(int64(0))
        with T.serial(int64(0), count) as place:
            with tir.when(tir.buffer_at(at_each[place], "int64")[int64(0)] != usual):
                number.set(number.get() + int64(1))
                T.buffer_store(others, place, [number.get()])
        T.buffer_store(others, number.get(), [int64(0)])

    return function("find_others", ["addresses", "count", "usual", "found"], body)


def read_ints():
    """Write numbers begin..end of a list to the same places of `fresh`.

    `stored` says how ints say their sign and length, `int_type` is the address of their type. The slot `unread` is not
    0 afterwards if there was something else in the list, or a number of more than 60 bits.
    """

    def body(context, numbers, begin, end, stored, int_type):
        slots = tir.buffer_at(context, "int64")
        target = tir.buffer_at(slots[SLOT["fresh"]], "int64")
        items = tir.buffer_at(tir.buffer_at(numbers, "int64")[int64(at.LIST_ITEMS)], "int64")
        unread = tir.Counter(int64(0))
        with T.serial(int64(0), end - begin) as step:
            place = let(begin + step)
            words, digits = tir.buffer_at(items[place], "int64"), tir.buffer_at(items[place], "int32")
            said = let(words[int64(at.INT_LENGTH)])
            by_sign = let(stored == int64(at.SIGNED_LENGTH))
            length = let(T.Select(by_sign, T.Select(said < int64(0), -said, said), T.shift_right(said, int64(3))))
            negative = T.Select(by_sign, said < int64(0), T.bitwise_and(said, int64(3)) == int64(2))
            low = T.Cast("int64", digits[int64(at.INT_DIGITS)])
            further = T.Cast("int64", digits[int64(at.INT_DIGITS + 1)])
            high = T.if_then_else(length > int64(1), T.shift_left(further, int64(at.DIGIT_BITS)), int64(0))
            size = let(T.if_then_else(length > int64(0), low, int64(0)) + high)  # a zero may have no digit
            T.buffer_store(target, T.Select(let(negative), -size, size), [place])
            strange = T.Or(words[int64(at.OBJECT_TYPE)] != int_type, length > int64(2))
            unread.set(T.bitwise_or(unread.get(), T.Select(let(strange), int64(1), int64(0))))
        T.buffer_store(slots, unread.get(), [int64(SLOT["unread"])])

    return function("read_ints", ["context", "numbers", "begin", "end", "stored", "int_type"], body)
