"""A table of the builders of recurrent networks, each with a numpy function for one step, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from dynet_core.errors import ArgumentTypeError

from .sequences import _RNNBuilder, cell_of

Kind = TypeVar("Kind", bound=type[_RNNBuilder])
Reference = Callable[..., Any]


class Registered(NamedTuple):
    """A builder class and what its tests need.

    Attributes:
        kind: the builder class.
        arguments: the arguments to make a builder with, other than the sizes and the collection.
        step: a numpy function for one step of one layer. `step(x, *state, *parameters)` returns the new state: one
            float64 array, or a tuple of several. At the start of a sequence, the arrays in `state` are 0. `parameters`
            has all parameters of the layer, in the order in which the builder creates them.
    """

    kind: type[_RNNBuilder]
    arguments: dict[str, Any]
    step: Reference


BUILDERS: dict[str, Registered] = {}
"""The registered builders. A key is the class's name and the arguments, such as "VanillaLSTMBuilder, ln_lstm=True"."""


def register(*more_cases: tuple[dict[str, Any], Reference], step: Reference | None = None) -> Callable[[Kind], Kind]:
    """Return a decorator that adds a builder class to `BUILDERS`, from which tests are generated.

    Args:
        more_cases: what to test besides the default arguments: pairs (arguments, step); see `Registered`.
        step: the numpy function for the default arguments. None: the function that `cell_step` returns for the class.
    """
    if more_cases and isinstance(more_cases[0], type):
        raise ArgumentTypeError(f"register: {more_cases[0].__name__} is a class: write @register() above it")

    def decorate(kind: Kind) -> Kind:
        for arguments, reference_step in (({}, step or cell_step(kind)), *more_cases):
            name = ", ".join([kind.__name__, *(f"{key}={value}" for key, value in arguments.items())])
            BUILDERS[name] = Registered(kind, arguments, reference_step)
        return kind

    return decorate


def cell_step(kind: type[_RNNBuilder]) -> Reference:
    """Return a `Registered.step` that calls the cell's `reference` with only the parameters that the cell reads."""
    cell = cell_of(kind)
    names, reference = kind._names or cell.parameters, cell.reference
    assert reference is not None

    def step(x, *rest):
        state, parameters = rest[: len(cell.state)], dict(zip(names, rest[len(cell.state) :]))
        return reference(x, *state, *[parameters[name] for name in cell.parameters])

    return step
