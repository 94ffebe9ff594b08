"""A table of the builders of recurrent networks, each with a numpy function for one step, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from dynet_core.errors import ArgumentTypeError

from .sequences import _RNNBuilder, cell_of

Kind = TypeVar("Kind", bound=type[_RNNBuilder])
Reference = Callable[..., Any]


class RegisteredBuilder(NamedTuple):
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


BUILDERS: dict[str, RegisteredBuilder] = {}
"""The registered builders. A key is the class's name and the arguments, such as "VanillaLSTMBuilder, ln_lstm=True"."""


def register(*more_cases: tuple[dict[str, Any], Reference], step: Reference | None = None) -> Callable[[Kind], Kind]:
    """Return a decorator that adds a builder class to `BUILDERS`, from which tests are generated.

    Args:
        more_cases: what to test besides the default arguments: pairs (arguments, step); see `RegisteredBuilder`.
        step: the numpy function for the default arguments. None: the function that `cell_step` returns for the class.
    """
    if more_cases and isinstance(more_cases[0], type):
        raise ArgumentTypeError(f"register: {more_cases[0].__name__} is a class: write @register() above it")

    def decorate(builder_class: Kind) -> Kind:
        for arguments, reference_step in (({}, step or cell_step(builder_class)), *more_cases):
            name = ", ".join([builder_class.__name__, *(f"{key}={value}" for key, value in arguments.items())])
            BUILDERS[name] = RegisteredBuilder(builder_class, arguments, reference_step)
        return builder_class

    return decorate


def cell_step(builder_class: type[_RNNBuilder]) -> Reference:
    """Return a `step` that calls the cell's `reference` with only the parameters that the cell reads."""
    cell = cell_of(builder_class)
    names, reference = builder_class._names or cell.parameters, cell.reference
    assert reference is not None

    def step(x, *rest):
        state, parameters = rest[: len(cell.state)], dict(zip(names, rest[len(cell.state) :]))
        return reference(x, *state, *[parameters[name] for name in cell.parameters])

    return step
