"""Checks of what users give: whole numbers, indices, numbers, flags and arrays."""

from __future__ import annotations

import math
import operator
import os

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from .refusals import Refusals


def whole(name: str, what: str, value) -> int:
    """A whole number that a user gave, as an int. What counts as one is said here, for the whole library.

    Ints do, and floats without a fraction: a size halved, `8 / 2`, is a float. True is 1 and False is 0. So do numpy's
    numbers, and its arrays of no dimensions.

    Args:
        name, what: the op and the argument, for errors.

    Raises:
        ArgumentTypeError: it is no number.
        ArgumentError: it is a number with a fraction, infinite or NaN.
    """
    if value.__class__ is int:
        return value
    try:
        return operator.index(value)
    except TypeError:
        number = value[()] if isinstance(value, np.ndarray) and not value.ndim else value  # a numpy number
    if not isinstance(number, (float, np.floating, np.bool_)):
        raise ArgumentTypeError(f"{name}: {what} must be an int, not {type(value).__name__} {value!r:.40}")
    if not float(number).is_integer():
        raise ArgumentError(f"{name}: {what} must be a whole number, not {value!r:.40}")
    return int(number)


def checked_index(name: str, index) -> int:
    """An index that a user gave, as an int."""
    return whole(name, "an index", index)


def _are_plain(values, size: int) -> bool:
    """Whether something is what indices mostly are: a list or tuple of plain ints, all within 0..size."""
    if values.__class__ is not list and values.__class__ is not tuple:
        return False
    for value in values:
        if value.__class__ is not int or not 0 <= value < size:
            return False
    return bool(values)


def checked_indices(name: str, indices, size: int, of: object) -> list[int]:
    """Indices that a user gave, all within 0..size; maybe the user's own list.

    Args:
        of: what has that size, for errors: a text, or the Dim of an operand x.
    """
    if _are_plain(indices, size):
        return indices if indices.__class__ is list else list(indices)
    if indices.__class__ is np.ndarray:
        indices = indices.tolist()  # of Python's numbers, mostly plain ones
        if _are_plain(indices, size):
            return indices
    if not np.iterable(indices) or isinstance(indices, Refusals):
        raise ArgumentTypeError(f"{name}: indices must be a sequence of ints, not {indices!r:.60}")
    found = []
    for index in indices:
        found.append(whole(name, "an index", index))
    if not found:
        raise ArgumentError(f"{name}: no indices")
    if min(found) < 0 or max(found) >= size:
        wrong = next(index for index in found if not 0 <= index < size)
        named = of if isinstance(of, str) else f"x {of!r}"
        raise OutOfRangeError(f"{name}: index {wrong} is out of range for {named}, which has {size}")
    return found


def checked_path(name: str, path) -> str:
    """The path of a file that a user gave."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: a file is named by its path, a string, not by {type(path).__name__} {path!r:.60}"
        ) from None


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
