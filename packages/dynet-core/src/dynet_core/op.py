"""The table of operations: what tests and documentation need to know of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .errors import ArgumentError
from .templates import with_templates

Function = TypeVar("Function", bound=Callable[..., Any])
Shape = tuple[tuple[int, ...], int]  # dims and batch size


@dataclass(frozen=True)
class Sample:
    """One call of an op, for tests: the shapes of its operands and the other arguments.

    `as_list` says that the op takes its operands as one list.
    """

    shapes: Sequence[Shape]
    attributes: dict[str, Any] = field(default_factory=dict)
    as_list: bool = False


@dataclass(frozen=True)
class Op:
    """An operation as the table knows it.

    `reference` computes it in float64 numpy from arrays of one batch element each (`whole_batch`: from arrays
    whose last axis is the batch). `domain` is where operands' values are drawn from; `prepare` makes an operand of
    such values that tests may use, where not all are good. `differentiable` says which
    operands have a gradient; `differentiated_as` is the function whose gradient it is, where that is deliberately
    another than `reference`. `elementwise` ops compute each element by itself; for finite operands larger than `limit`
    they do not follow the reference. `tolerance` is for values, relative to the largest magnitude.
    """

    name: str
    record: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Sequence[Sample]
    domain: tuple[float, float] = (-2.0, 2.0)
    whole_batch: bool = False
    differentiable: bool = True
    differentiated_as: Callable[..., Any] | None = None
    tolerance: float = 2e-6
    tolerance_reason: str = ""
    random: bool = False
    prepare: Callable[..., Any] | None = None
    elementwise: bool = False
    limit: float = math.inf


OPS: dict[str, Op] = {}


def check_is_free(function: Callable) -> None:
    """Check that an op may have the name of a function: no other has, or it is the same one defined anew.

    That is so where it stands in the same place of the same module, as a cell of a notebook that is run again. What has
    been recorded with the old one remains so.

    Raises:
        ArgumentError: another op has the name.
    """
    name = function.__name__
    if name in OPS:
        old = OPS[name].record
        if (old.__module__, old.__qualname__) != (function.__module__, function.__qualname__):
            raise ArgumentError(f"{name}: {old.__module__} has an op of this name: give the new one another name")


def register(function: Function, *, repeats: bool = True, **facts: Any) -> Function:
    """Enter an op in the table under its function's name; gives what records it from now on.

    Args:
        repeats: what is recorded follows from the arguments, of which the same come again: see `templates`.
    """
    name = function.__name__
    check_is_free(function)
    if repeats:
        function = with_templates(function)
    OPS[name] = Op(name, function, **facts)
    return function
