"""Checks of what users give: indices, numbers, flags and arrays."""

from __future__ import annotations

import math
import operator

import numpy as np

from .dim import Dim
from .errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError


def checked_index(name: str, index) -> int:
    """An index that a user gave, as an int."""
    try:
        if isinstance(index, bool):
            raise TypeError
        return operator.index(index)
    except TypeError:
        raise ArgumentTypeError(f"{name}: an index must be an int, not {type(index).__name__} {index!r:.40}") from None


def _are_plain(values, size: int) -> bool:
    """Whether something is what indices mostly are: a list or tuple of plain ints, all within 0..size."""
    if values.__class__ is not list and values.__class__ is not tuple:
        return False
    for value in values:
        if value.__class__ is not int or not 0 <= value < size:
            return False
    return bool(values)


def checked_indices(name: str, indices, size: int, of: str | Dim) -> list[int]:
    """Indices that a user gave, all within 0..size; maybe the user's own list.

    Args:
        of: what has that size, for errors; a Dim means an operand x.
    """
    if _are_plain(indices, size):
        return indices if indices.__class__ is list else list(indices)
    try:
        if any(isinstance(index, bool) for index in indices):
            raise TypeError
        found = [operator.index(index) for index in indices]
    except TypeError:
        raise ArgumentTypeError(f"{name}: indices must be a sequence of ints, not {indices!r:.60}") from None
    if not found:
        raise ArgumentError(f"{name}: no indices")
    if min(found) < 0 or max(found) >= size:
        wrong = next(index for index in found if not 0 <= index < size)
        named = f"x {of!r}" if isinstance(of, Dim) else of
        raise OutOfRangeError(f"{name}: index {wrong} is out of range for {named}, which has {size}")
    return found


def checked_flag(name: str, what: str, value) -> bool:
    """Yes or no, as a user gave it."""
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise ArgumentTypeError(f"{name}: {what} must be True or False, not {value!r:.40}")
    return bool(value)


def checked_number(name: str, value) -> float:
    """A finite number that a user gave."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentTypeError(f"{name}: expected a number, got {value!r:.40}") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{name}: expected a finite number, got {number}")
    return number


def real_array(name: str, values) -> np.ndarray:
    """Numbers that a user gave, as a float32 array."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: expected an array of real numbers, got {type(values).__name__}") from None


def checked_array(name: str, values, dims: tuple[int, ...]) -> np.ndarray:
    """An array that a user gave for something of these dimensions; a number will do for a single one."""
    array = real_array(name, values)
    if array.shape != dims and array.size == 1 == math.prod(dims):
        array = array.reshape(dims)
    if array.shape != dims:
        raise ShapeError(f"{name}: the array is {array.shape}, the parameter is {dims}")
    return array
