"""The table of builders of networks that read sequences: what tests need to know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .base import _RNNBuilder

Kind = TypeVar("Kind", bound=type[_RNNBuilder])
Step = Callable[..., Any]


@dataclass(frozen=True)
class Registered:
    """A builder with arguments besides sizes and collection, and the step of one of its layers in numpy.

    `step(x, *state, *parameters)` gives the new state, one array or several, of float64 vectors; the state is 0 at
    first, and the parameters are those of a layer in the builder's order.
    """

    kind: type[_RNNBuilder]
    arguments: dict[str, Any]
    step: Step


BUILDERS: dict[str, Registered] = {}
"""By the name of the class, and what its arguments are."""


def register(*others: tuple[dict[str, Any], Step], step: Step | None = None) -> Callable[[Kind], Kind]:
    """Enter a builder in the table, which is all that its tests need.

    Args:
        others: further arguments to test it with, and what its step is then.
        step: the step without them; that of the cell, if it is left out.
    """

    def decorate(kind: Kind) -> Kind:
        for arguments, its_step in (({}, step or cell_step(kind)), *others):
            name = ", ".join([kind.__name__, *(f"{key}={value}" for key, value in arguments.items())])
            BUILDERS[name] = Registered(kind, arguments, its_step)
        return kind

    return decorate


def cell_step(kind: type[_RNNBuilder]) -> Step:
    """The step of a builder's cell, which takes those of a layer's parameters that it knows."""
    cell, names = kind._cell, kind._names or tuple(kind._cell.parameters)
    reference = cell.reference
    assert reference is not None

    def step(x, *rest):
        state, parameters = rest[: len(cell.state)], dict(zip(names, rest[len(cell.state) :]))
        return reference(x, *state, *[parameters[name] for name in cell.parameters])

    return step
