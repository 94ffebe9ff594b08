"""Checks of what users give to ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import whole
from dynet_core.dim import MAX_TOTAL, Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from dynet_core.expression import Expression
from dynet_core.record import graph_of


def checked_dimension(name: str, d: Index, dim: Dim) -> int:
    """A number of a dimension that a user gave."""
    place = whole(name, "an index", d)
    if not 0 <= place < len(dim.dims):
        raise OutOfRangeError(f"{name}: dimension {place} is out of range for x, which is {dim!r}")
    return place


def checked_expression(name: str, x: Any) -> Expression:
    """What a user gave as an operand."""
    graph_of(name, (x,))
    return x


def listed(name: str, xs: Any) -> Sequence[Expression]:
    """The operands that a user gave together."""
    if not isinstance(xs, (list, tuple)):
        if isinstance(xs, Expression):
            return [xs]
        try:
            xs = list(xs)
        except TypeError:
            graph_of(name, (xs,))
    if not xs:
        raise ArgumentError(f"{name}: no expressions")
    return xs


def checked_count(name: str, what: str, value, least: int) -> int:
    """A number of things that a user gave, at least `least`."""
    number = whole(name, what, value)
    if number < least:
        raise ArgumentError(f"{name}: {what} must be at least {least}, got {number}")
    return number


def checked_size(name: str, what: str, value) -> int:
    """A size that a user gave, from 1 to what an expression can hold."""
    size = whole(name, what, value)
    if not 1 <= size <= MAX_TOTAL:
        limit = "least 1" if size < 1 else f"most {MAX_TOTAL}"
        raise ArgumentError(f"{name}: {what} must be at {limit}, got {size}")
    return size


def is_list(value) -> bool:
    """Whether a user gave several things: an array of no dimensions is a single one."""
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def checked_pair(name: str, what: str, values) -> tuple[int, int]:
    """Two sizes that a user gave, for rows and columns."""
    if not is_list(values):
        raise ArgumentTypeError(f"{name}: {what} must be two ints, not {values!r:.60}")
    if len(values) != 2:
        raise ArgumentError(f"{name}: {what} must be two ints, got {len(values)}: {values!r:.60}")
    return checked_size(name, what, values[0]), checked_size(name, what, values[1])
