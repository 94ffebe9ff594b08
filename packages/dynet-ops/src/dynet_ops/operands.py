"""Checks of ops' arguments. Most return the argument, perhaps converted, or raise an error.

In all of these functions, `name` is the op's name and `what` the argument's name, for error messages.
"""

from __future__ import annotations

import functools
from numbers import Real
from typing import Any

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import HUGE_INT, TOO_LARGE_REASON, as_list, unpacked, whole
from dynet_core.dim import MAX_TOTAL, Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, TooLargeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.numbers import Number as FunctionNumber
from dynet_core.graph.record import graph_of, remedy
from dynet_core.messages.refusals import MAX_NESTING
from dynet_core.messages.wording import shown
from dynet_kernels.formula import LARGEST_FLOAT


def shape_of(name: str, x: Expression) -> Dim:
    """Return the shape of x. Raise an error if x is neither a parameter nor in this thread's current graph."""
    graph_of(name, (x,))
    return x.type.plain


def shape_along(name: str, x: Expression, d: Index) -> tuple[Dim, int]:
    """Return the shape of x, and d as an int. Raise OutOfRangeError unless x has a dimension of this number."""
    graph_of(name, (x,))
    shape, axis = x.type.plain, whole(name, "an index", d)
    if not 0 <= axis < len(shape.dims):
        raise OutOfRangeError(f"{name}: dimension {axis} is out of range for x, which is {shape!r}")
    return shape, axis


def checked_count(name: str, what: str, value, least: int = 0, most: int = HUGE_INT) -> int:
    """Return the argument as an int. Raise ArgumentError unless it is a whole number from `least` to `most`."""
    count = whole(name, what, value)
    if not least <= count <= most:
        limit = f"least {least}" if count < least else f"most {most}"
        raise ArgumentError(f"{name}: {what} must be at {limit}, got {count}")
    return count


checked_size = functools.partial(checked_count, least=1, most=MAX_TOTAL)  # a size that an expression can have


def nesting(value) -> int:
    """Return how many dimensions an argument has: 0 for a number, 1 for a list of numbers.

    Only the first item of each list counts. In a list, an array of one number counts as a number.
    """
    for depth in range(MAX_NESTING):
        if not isinstance(value, (list, tuple)):
            return depth + (value.ndim if isinstance(value, np.ndarray) else 0)
        value = unpacked(value[0]) if value else None
    return MAX_NESTING


def is_list(value) -> bool:
    """Return whether an argument is a list, a tuple or an array of at least one dimension."""
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def checked_pair(name: str, what: str, values) -> tuple[int, int]:
    """Return two sizes, for rows and columns, without the 1s that other libraries add for channels and batch."""
    values = as_list(values)
    if not is_list(values):
        raise ArgumentTypeError(f"{name}: {what} must be two ints, not {values!r:.60}")
    values = [*values]
    if len(values) < 2 or not all(isinstance(value, Real) and value == 1 for value in values[2:]):
        raise ArgumentError(f"{name}: {what} must be two ints, got {len(values)}: {values!r:.60}")
    return checked_size(name, what, values[0]), checked_size(name, what, values[1])


def number_of(name: str, value) -> float:
    """Return `value` as a float; raise ArgumentTypeError if it is not a number."""
    number = _as_float(name, value)
    if number is None:
        raise ArgumentTypeError(f"{name}: expected an Expression or a number, got {_shown(value)}{remedy(value)}")
    return number


def finite(name: str, argument: str, value, above: float | None = None) -> float:
    """Return `value` as a float; raise an error unless it is a finite float32, and greater than `above` if given."""
    number = _as_float(f"{name}: {argument}", value)
    if number is None:
        raise ArgumentTypeError(f"{name}: {argument} must be a number, got {_shown(value)}")
    if not abs(number) <= LARGEST_FLOAT:
        raise ArgumentError(f"{name}: {argument} must be a finite float32, got {number}")
    if above is not None and np.float32(number) <= above:
        raise ArgumentError(f"{name}: {argument} must be above {above}, got {number}")
    return number


def _as_float(name: str, value) -> Any:
    if value.__class__ is np.ndarray:
        value = unpacked(value)
    if value.__class__ is not int and not isinstance(value, (Real, np.floating, np.integer, np.bool_)):
        return None
    try:
        return value if type(value) is FunctionNumber else float(value)
    except OverflowError:
        raise TooLargeError(f"{name}: {TOO_LARGE_REASON}") from None


def _shown(value) -> str:
    return f"{type(value).__name__} {shown(value)}"
