"""The table of operations, from which tests and documentation are generated."""

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
    """One call of an op, for tests.

    Args:
        shapes: the dims and batch size of each operand.
        attributes: the other arguments, by name.
        as_list: the op takes its operands as one list.
    """

    shapes: Sequence[Shape]
    attributes: dict[str, Any] = field(default_factory=dict)
    as_list: bool = False


@dataclass(frozen=True)
class Op:
    """An entry of the table of operations.

    Args:
        name: the name of the function.
        record: the function that records the op.
        reference: computes the op in float64 numpy, from arrays of one batch element each.
        samples: calls to test.
        domain: the range from which tests draw the operands' values.
        whole_batch: `reference` takes whole batches; the last axis is the batch.
        differentiable: whether the operands get gradients.
        differentiated_as: the function whose gradient the op has, if this is deliberately not `reference`.
        tolerance: the largest error of a value, relative to the largest magnitude.
        tolerance_reason: why this is larger than the default.
        random: the op draws random numbers.
        prepare: turns drawn values into a valid operand, if not all values of `domain` are valid.
        elementwise: each element of the result depends on one element of each operand.
        limit: finite operands of a larger magnitude are not compared with `reference`.
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
    """Check that no other op has the name of a function.

    The same function may be defined again, as when a notebook cell is run twice: it has the same module and qualified
    name. Nodes recorded with the old definition stay as they are.

    Raises:
        ArgumentError: another op has this name.
    """
    name = function.__name__
    if name in OPS:
        old = OPS[name].record
        if (old.__module__, old.__qualname__) != (function.__module__, function.__qualname__):
            raise ArgumentError(f"{name}: {old.__module__} has an op of this name: give the new one another name")


def register(function: Function, *, repeats: bool = True, **facts: Any) -> Function:
    """Add an op to the table under its function's name, and return the function that records it from now on.

    Args:
        repeats: calls with the same arguments recur and record the same nodes, so templates pay; see `templates`.
        facts: the other fields of `Op`.
    """
    name = function.__name__
    check_is_free(function)
    if repeats:
        function = with_templates(function)
    OPS[name] = Op(name, function, **facts)
    return function
