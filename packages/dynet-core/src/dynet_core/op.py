"""The table of operations: what tests and documentation need to know of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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


def register(function: Function, *, repeats: bool = True, **facts: Any) -> Function:
    """Enter an op in the table under its function's name; gives what records it from now on.

    Args:
        repeats: what is recorded follows from the arguments, of which the same come again: see `templates`.
    """
    name = function.__name__
    if name in OPS:
        raise ValueError(f"op {name} is defined twice")
    if repeats:
        function = with_templates(function)
    OPS[name] = Op(name, function, **facts)
    return function
