"""Checks of what users give to ops."""

from __future__ import annotations

from collections.abc import Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, OutOfRangeError
from dynet_core.expression import Expression
from dynet_core.parameter import checked_index
from dynet_core.record import graph_of


def checked_dimension(name: str, d: int, dim: Dim) -> int:
    """A number of a dimension that a user gave."""
    d = checked_index(name, d)
    if not 0 <= d < len(dim.dims):
        raise OutOfRangeError(f"{name}: dimension {d} is out of range for x, which is {dim!r}")
    return d


def checked_expression(name: str, x) -> Expression:
    """What a user gave as an operand."""
    if not isinstance(x, Expression):
        graph_of(name, (x,))
    return x


def listed(name: str, xs) -> Sequence[Expression]:
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
