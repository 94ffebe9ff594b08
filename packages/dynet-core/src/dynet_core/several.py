"""Several expressions at once: what is new of the graph is computed in one go, and then their values are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .annotations import Array
from .errors import ArgumentTypeError
from .expression import Expression
from .record import graph_of


def forward(exps: Iterable[Expression], recalculate: bool = False) -> None:
    """Compute several expressions at once.

    Args:
        exps: a list of expressions.
        recalculate: compute all of the graph again, with the inputs' new values.

    >>> x = dy.inputVector([1, 2])
    >>> forward([x, dy.square(x)])
    """
    _computed("forward", exps, recalculate)


def values(exps: Iterable[Expression], recalculate: bool = False) -> list[Any]:
    """The values of several expressions, as their `value` gives them.

    Args:
        exps, recalculate: as for `forward`.

    >>> x = dy.inputVector([1, 2])
    >>> values([x, dy.sum_elems(x)])
    [[1.0, 2.0], 3.0]
    """
    return [e.value() for e in _computed("values", exps, recalculate)]


def npvalues(exps: Iterable[Expression], recalculate: bool = False) -> list[Array]:
    """The values of several expressions as arrays, as their `npvalue` gives them.

    Args:
        exps, recalculate: as for `forward`.

    >>> x = dy.inputVector([1, 2])
    >>> npvalues([x, dy.sum_elems(x)])
    [array([1., 2.], dtype=float32), array([3.], dtype=float32)]
    """
    return [e.npvalue() for e in _computed("npvalues", exps, recalculate)]


def _computed(name: str, exps: Iterable[Expression], recalculate: bool) -> Sequence[Expression]:
    """The expressions, checked and computed."""
    if isinstance(exps, Expression):
        raise ArgumentTypeError(f"{name}: expected a list of expressions, got one: {exps!r}")
    try:
        found = list(exps)
    except TypeError:
        raise ArgumentTypeError(f"{name}: expected a list of expressions, got {exps!r:.60}") from None
    graph_of(name, found).graph._compute(recalculate)
    return found
