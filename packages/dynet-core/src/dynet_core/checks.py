"""Checks of the user's arguments: whole numbers, indices, numbers, flags, paths and arrays.

In all functions, `name` is the function that the user called, for error messages.
"""

from __future__ import annotations

import math
import operator
import os

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from .refusals import Refusals


def whole(name: str, what: str, value) -> int:
    """Return a user's whole number as an int. The whole library accepts the same kinds of numbers:

    ints; floats without a fraction, because `8 / 2` is a float; booleans, True as 1 and False as 0; the same types of
    numpy, and its arrays without dimensions.

    Args:
        what: the argument, for error messages.

    Raises:
        ArgumentTypeError: the value is not a number.
        ArgumentError: the number has a fraction, or is infinite or NaN.
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
    """Return a user's index as an int."""
    return whole(name, "an index", index)


def _are_plain(values, size: int) -> bool:
    """Return whether `values` is a nonempty list or tuple of Python ints in 0..size, the common case."""
    if values.__class__ is not list and values.__class__ is not tuple:
        return False
    for value in values:
        if value.__class__ is not int or not 0 <= value < size:
            return False
    return bool(values)


def checked_indices(name: str, indices, size: int, of: object) -> list[int]:
    """Return a user's indices as a list, maybe the user's own list. All are in 0..size, `size` excluded.

    Args:
        of: the object with this size, for error messages: its name, or the Dim of an operand x.

    Raises:
        ArgumentTypeError: this is not a sequence of ints.
        ArgumentError: there are no indices, or one is not whole.
        OutOfRangeError: an index is out of range.
    """
    if _are_plain(indices, size):
        return indices if indices.__class__ is list else list(indices)
    if indices.__class__ is np.ndarray:
        indices = indices.tolist()
        if _are_plain(indices, size):
            return indices
    if not np.iterable(indices) or isinstance(indices, Refusals):
        raise ArgumentTypeError(f"{name}: indices must be a sequence of ints, not {indices!r:.60}")
    checked = []
    for index in indices:
        checked.append(whole(name, "an index", index))
    if not checked:
        raise ArgumentError(f"{name}: no indices")
    if min(checked) < 0 or max(checked) >= size:
        wrong = next(index for index in checked if not 0 <= index < size)
        named = of if isinstance(of, str) else f"x {of!r}"
        raise OutOfRangeError(f"{name}: index {wrong} is out of range for {named}, which has {size}")
    return checked


def checked_path(name: str, path) -> str:
    """Return a user's path as a str. Raise ArgumentTypeError if it is not a path."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: a file is named by its path, a string, not by {type(path).__name__} {path!r:.60}"
        ) from None


def checked_flag(name: str, what: str, value) -> bool:
    """Return a user's flag as a bool. Raise ArgumentTypeError unless it is True, False, 1 or 0.

    Args:
        what: the argument, for error messages.
    """
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise ArgumentTypeError(f"{name}: {what} must be True or False, not {value!r:.40}")
    return bool(value)


def checked_number(name: str, value) -> float:
    """Return a user's finite number as a float.

    Raises:
        ArgumentTypeError: the value is not a number.
        ArgumentError: the number is infinite or NaN.
    """
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
    """Return a user's numbers as a float32 array. Raise ArgumentTypeError if they are not real numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: expected an array of real numbers, got {type(values).__name__}") from None


def checked_array(name: str, values, dims: tuple[int, ...]) -> np.ndarray:
    """Return a user's array for a parameter of shape `dims`. A number is accepted if the parameter is a single number.

    Raises:
        ArgumentTypeError: the values are not real numbers.
        ShapeError: the array has another shape.
    """
    array = real_array(name, values)
    if array.shape != dims and array.size == 1 == math.prod(dims):
        array = array.reshape(dims)
    if array.shape != dims:
        raise ShapeError(f"{name}: the array is {array.shape}, the parameter is {dims}")
    return array
