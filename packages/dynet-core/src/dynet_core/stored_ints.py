"""Whether compiled code can read the ints of a list itself, which takes a fifth of the time that packing them takes.

That depends on how this Python stores them: what is known of CPython (`dynet_kernels.layout`) is compared with some
lists and ints when this module is imported. Where it differs, the `struct` module packs.
"""

from __future__ import annotations

import ctypes
import sys

from dynet_kernels import layout as at

INT_TYPE = id(int)
SAMPLES = [0, 1, -1, 7, -300, 2**30 - 1, 1 - 2**30, 2**30, -(2**30), 2**31, -(2**52) - 7, 2**60 - 1, 1 - 2**60]


def word(address: int, place: int) -> int:
    return ctypes.c_int64.from_address(address + 8 * place).value


def read(number: int, stored: int) -> int | None:
    """What compiled code reads where a number is; None if it would leave it unread."""
    address = id(number)
    said = word(address, at.INT_LENGTH)
    if stored == at.SIGNED_LENGTH:
        length, negative = abs(said), said < 0
    else:
        length, negative = said >> 3, said & 3 == 2
    if word(address, at.OBJECT_TYPE) != INT_TYPE or length > 2:
        return None
    digits = (ctypes.c_int32 * length).from_address(address + 4 * at.INT_DIGITS)  # a zero may have none
    size = sum(digit << at.DIGIT_BITS * place for place, digit in enumerate(digits))
    return -size if negative else size


def _stored() -> int:
    """How ints say their sign and length, as `layout` has it; 0 if lists or ints are otherwise."""
    digits = sys.int_info
    sizes = list.__basicsize__, int.__basicsize__, int.__itemsize__, digits.bits_per_digit, digits.sizeof_digit
    if sys.implementation.name != "cpython" or sizes != (40, 24, 4, at.DIGIT_BITS, 4):
        return 0  # a build without a lock, one that traces objects, or one of 32 bits
    items = word(id(SAMPLES), at.LIST_ITEMS)
    if [word(items, place) for place in range(len(SAMPLES))] != [id(number) for number in SAMPLES]:
        return 0
    for stored in (at.SIGNED_LENGTH, at.TAGGED_LENGTH):
        if [read(number, stored) for number in SAMPLES] == SAMPLES:
            return stored
    return 0


STORED = _stored()
