"""Check the arguments of ops (operations on expressions). Each check returns the argument, or raises an error.

In all of these functions, `name` is the name of the op, and `what` the name of the argument. Messages show them. A
`Dim` is the shape of an expression: dimensions and batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from dynet_core.annotations import Dims, Index
from dynet_core.checks import as_list, single, whole
from dynet_core.dim import MAX_TOTAL, Dim, checked_batch, checked_dims
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from dynet_core.expression import Expression
from dynet_core.record import graph_of
from dynet_core.refusals import MOST_NESTED


def checked_dimension(name: str, d: Index, dim: Dim) -> int:
    """Return d, the number of a dimension, as an int; raise an error unless the shape `dim` has this dimension."""
    place = whole(name, "an index", d)
    if not 0 <= place < len(dim.dims):
        raise OutOfRangeError(f"{name}: dimension {place} is out of range for x, which is {dim!r}")
    return place


def checked_expression(name: str, x: Any) -> Expression:
    """Return x; raise an error unless it is a parameter or an expression of this thread's current graph."""
    graph_of(name, (x,))
    return x


def checked_shape(name: str, dims: Dims, batch_size: Index = 1) -> Dim:
    """Return the shape that a user passed as dimensions and a batch size; raise an error if it is none."""
    return Dim.of(checked_dims(name, dims), checked_batch(name, batch_size))


OF_ONE = {"average": "mean_elems", "emax": "max_dim", "esum": "sum_elems", "logsumexp": "logsumexp_dim"}
"""Op of a list of expressions -> what reduces the elements of one expression."""


def listed(name: str, xs: Any) -> Sequence[Expression]:
    """Return the argument xs of an op as a list or tuple; raise an error if it is empty or not iterable.

    xs may be a list, a tuple or another iterable, but no expression, though one can be iterated over. The caller has to
    check that the items are expressions.
    """
    if xs.__class__ is not list and xs.__class__ is not tuple:
        if isinstance(xs, Expression):
            use = f"dy.{OF_ONE[name]} is for the elements of one" if name in OF_ONE else f"{name}([x]) takes one"
            raise ArgumentTypeError(f"{name}: expected a list of expressions, got one of {xs.type!r}; {use}")
        try:
            xs = list(xs)
        except TypeError:
            graph_of(name, (xs,))
    if not xs:
        raise ArgumentError(f"{name}: no expressions")
    return xs


def checked_count(name: str, what: str, value, least: int) -> int:
    """Return the argument `what` as an int; raise an error if it is not a whole number, or less than `least`."""
    number = whole(name, what, value)
    if number < least:
        raise ArgumentError(f"{name}: {what} must be at least {least}, got {number}")
    return number


def checked_size(name: str, what: str, value) -> int:
    """Return the argument `what` as an int; raise an error unless it is a whole number from 1 to `MAX_TOTAL`.

    `MAX_TOTAL` is the most numbers that an expression can have.
    """
    size = whole(name, what, value)
    if not 1 <= size <= MAX_TOTAL:
        limit = "least 1" if size < 1 else f"most {MAX_TOTAL}"
        raise ArgumentError(f"{name}: {what} must be at {limit}, got {size}")
    return size


def nesting(value) -> int:
    """Return how many dimensions an argument has: 0 for a number, 1 for a list of numbers.

    Of nested lists only the first items are looked at, so their rows may differ in length. In a list, an array of one
    number counts as a number.
    """
    for depth in range(MOST_NESTED):
        if not isinstance(value, (list, tuple)):
            return depth + (value.ndim if isinstance(value, np.ndarray) else 0)
        value = single(value[0]) if value else None
    return MOST_NESTED


def is_list(value) -> bool:
    """Return whether an argument is a list, a tuple or a numpy array of at least one dimension."""
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def checked_pair(name: str, what: str, values) -> tuple[int, int]:
    """Return the argument `what` as two sizes, for rows and columns; raise an error if it is anything else.

    Further sizes that are 1, as programs for other libraries give for channels and the batch, are left out.
    """
    values = as_list(values)
    if not is_list(values):
        raise ArgumentTypeError(f"{name}: {what} must be two ints, not {values!r:.60}")
    values = [*values]
    if len(values) < 2 or not all(isinstance(value, Real) and value == 1 for value in values[2:]):
        raise ArgumentError(f"{name}: {what} must be two ints, got {len(values)}: {values!r:.60}")
    return checked_size(name, what, values[0]), checked_size(name, what, values[1])
