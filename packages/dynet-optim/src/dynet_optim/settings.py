"""Functions that check the hyper-parameters of trainers. They return the checked value or raise an ArgumentError."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import TOO_LARGE, single, whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, TooLargeError

Range = tuple[str, Callable[[float], bool]]  # words for error messages, and whether a number is allowed
FINITE: Range = "a finite number", lambda x: True  # `checked` itself refuses infinities and NaN
POSITIVE: Range = "a positive number", lambda x: x > 0
NOT_NEGATIVE: Range = "a finite number, 0 or more", lambda x: x >= 0
FRACTION: Range = "at least 0 and less than 1", lambda x: 0 <= x < 1
UP_TO_ONE: Range = "more than 0 and at most 1", lambda x: 0 < x <= 1


def plain_number(name: str, value: Any) -> float:
    """Return `value` as a float; raise ArgumentTypeError if it is not a number. The message begins with `name`."""
    try:
        number = single(value)
        if isinstance(number, (str, bytes, np.ndarray)):
            raise TypeError
        return float(number)
    except OverflowError:
        raise TooLargeError(f"{name}: {TOO_LARGE}") from None
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise ArgumentTypeError(f"{name} must be a number, not {kind} {value!r:.40}") from None


def checked(name: str, value: Any, range: Range) -> float:
    """Return `value` as a float; raise ArgumentError if it, rounded to float32, is not finite or not in `range`."""
    number, (words, holds) = plain_number(name, value), range
    rounded = float32(number)
    if not (math.isfinite(rounded) and holds(rounded)):
        raise ArgumentError(f"{name} must be {words}, got {value!r}")
    return number


def places(name: str, given: Iterable[Index], begin: int, end: int) -> list[int]:
    """Return the indices in `given`, which count from `begin`, as ints from `begin` to `end` - 1 that count from 0."""
    try:
        listed = list(given)
    except TypeError:
        raise ArgumentTypeError(f"{name} must be a list of ints, not {given!r:.60}") from None
    found = [begin + whole(name, "a place", place) for place in listed]
    for place in found:
        if not begin <= place < end:
            raise OutOfRangeError(f"{name}: {place - begin} is out of range, the collection has {end - begin}")
    return found


def float32(number: float) -> float:
    """Return the float32 nearest to a number; plus or minus infinity if the number is too large."""
    return ctypes.c_float(number).value


def either(who: str, default: float, **given: Number | None) -> Any:
    """Return the value of a hyper-parameter of the class `who` that has two names. None: the user passed nothing."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ArgumentError(f"{who}: {' and '.join(names)} mean the same thing: give one of them")
    return given[names[0]] if names else default
