"""`forward`, `values` and `npvalues`: compute several expressions together, in one pass over the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..annotations import Array
from ..checks import checked_flag, checked_list
from ..errors import ArgumentTypeError
from .expression import Expression
from .record import graph_of


def forward(exps: Iterable[Expression], recalculate: bool = False) -> None:
    """Compute several expressions in one pass.

    Args:
        exps: a list of expressions.
        recalculate: compute the whole graph again, with the inputs' present values and new random numbers.

    >>> x = dy.inputVector([1, 2])
    >>> forward([x, dy.square(x)])
    """
    _computed("forward", exps, recalculate)


def values(exps: Iterable[Expression], recalculate: bool = False) -> list[Any]:
    """Return the values of several expressions, as `Expression.value` returns them. The arguments are as for `forward`.

    >>> x = dy.inputVector([1, 2])
    >>> values([x, dy.sum_elems(x)])
    [[1.0, 2.0], 3.0]
    """
    return [e.value() for e in _computed("values", exps, recalculate)]


def npvalues(
    exps: Iterable[Expression], recalculate: bool = False, *, dtype: npt.DTypeLike = np.float64
) -> list[Array]:
    """Return the values of several expressions as arrays, as `Expression.npvalue` returns them.

    `exps` and `recalculate` are as for `forward`, `dtype` as for `Expression.npvalue`.

    >>> x = dy.inputVector([1, 2])
    >>> npvalues([x, dy.sum_elems(x)])
    [array([1., 2.]), array([3.])]
    """
    return [e.npvalue(dtype=dtype) for e in _computed("npvalues", exps, recalculate)]


def _computed(name: str, exps: Iterable[Expression], recalculate: bool) -> Sequence[Expression]:
    """Check that `exps` are expressions, compute them, and return them as a list."""
    if isinstance(exps, Expression):
        raise ArgumentTypeError(f"{name}: expected a list of expressions, got one: {exps!r}")
    listed = checked_list(name, exps, "expressions")
    graph_of(name, listed).graph._compute(checked_flag(name, "recalculate", recalculate))
    return listed
