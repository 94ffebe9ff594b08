"""The table of builders of networks that read sequences, from which their tests are generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .base import _RNNBuilder

Kind = TypeVar("Kind", bound=type[_RNNBuilder])
Step = Callable[..., Any]


@dataclass(frozen=True)
class Registered:
    """A builder, its arguments other than sizes and collection, and the step of one layer in numpy.

    `step(x, *state, *parameters)` returns the new state, one float64 array or several. The state is 0 at first. The
    parameters of the layer are in the order of the builder.
    """

    kind: type[_RNNBuilder]
    arguments: dict[str, Any]
    step: Step


BUILDERS: dict[str, Registered] = {}
"""The builders, by class name and arguments."""


def register(*others: tuple[dict[str, Any], Step], step: Step | None = None) -> Callable[[Kind], Kind]:
    """Add a builder to the table. Its tests are generated from this.

    Args:
        others: (arguments, step) to test in addition to the defaults.
        step: the step with the default arguments; the reference of the cell if None.
    """

    def decorate(kind: Kind) -> Kind:
        for arguments, its_step in (({}, step or cell_step(kind)), *others):
            name = ", ".join([kind.__name__, *(f"{key}={value}" for key, value in arguments.items())])
            BUILDERS[name] = Registered(kind, arguments, its_step)
        return kind

    return decorate


def cell_step(kind: type[_RNNBuilder]) -> Step:
    """Return the reference of a builder's cell, as a function of all parameters of a layer."""
    cell, names = kind._cell, kind._names or tuple(kind._cell.parameters)
    reference = cell.reference
    assert reference is not None

    def step(x, *rest):
        state, parameters = rest[: len(cell.state)], dict(zip(names, rest[len(cell.state) :]))
        return reference(x, *state, *[parameters[name] for name in cell.parameters])

    return step
