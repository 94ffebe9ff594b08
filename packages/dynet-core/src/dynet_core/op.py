"""OPS, the table of all ops (operations on expressions). Tests and documentation are generated from this table."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dynet_kernels.formula import Formula

from . import recorder
from .errors import ArgumentError
from .graph.templates import with_templates
from .signature import Signature
from .signature.by_sizes import enter

Function = TypeVar("Function", bound=Callable[..., Any])
Shape = tuple[tuple[int, ...], int]  # (dimensions, batch size)


@dataclass(frozen=True)
class Sample:
    """An op's arguments in a test: operands' shapes, other arguments by name, and whether the operands are one list."""

    shapes: Sequence[Shape]
    attributes: dict[str, Any] = field(default_factory=dict)
    as_list: bool = False


def samples(text: str) -> list[Sample]:
    """Parse samples, which are separated by `;`.

    A sample is the shape of each operand, then arguments: `3x4*2 5 d=1` means operands of shape (3, 4) with batch size
    2, and of shape (5,), and the argument d=1. Brackets mean that the op takes its operands as one list: `[3 5]`. An
    argument must not contain spaces.
    """
    parsed = []
    for words in map(str.split, text.split(";")):
        operands = [word.strip("[]").partition("*") for word in words if "=" not in word]
        shapes = [(tuple(map(int, dims.split("x"))), int(batch or 1)) for dims, _, batch in operands]
        arguments = [word.partition("=") for word in words if "=" in word]
        attributes = {name: ast.literal_eval(value) for name, _, value in arguments}
        parsed.append(Sample(shapes, attributes, words[0].startswith("[")))
    return parsed


@dataclass(frozen=True)
class Op:
    """The facts about an operation that tests and documentation use.

    Args:
        name: the name of the op and of the function that users call.
        record: the function that users call. It appends one or more nodes to the graph.
        reference: computes the op with numpy in float64, from one batch element of each operand.
        samples: the arguments with which tests call the op.
        domain: the range from which tests draw the operands' values.
        whole_batch: whether `reference` takes whole batches, with the batch as the last axis.
        differentiable: whether the operands get gradients.
        differentiated_as: the function whose derivative backward passes use, if this is by design not `reference`.
        tolerance: the largest error that tests accept, relative to the largest magnitude of the correct values.
        tolerance_reason: why `tolerance` is larger than the default.
        random: whether the op draws random numbers.
        prepare: makes a valid operand from random numbers, if not all numbers in `domain` are valid.
        elementwise: whether each element of the result depends on only one element of each operand.
        limit, least: the largest and the smallest magnitude of operands at which tests compare with exact results.
        range_reason: why tests leave out larger or smaller magnitudes.
        formula: the `dynet_kernels.formula.Formula` that the op applies to each element, if a formula defines the op.
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
    least: float = 0.0
    range_reason: str = ""
    formula: Formula | None = None


OPS: dict[str, Op] = {}


def check_name_is_free(function: Callable) -> None:
    """Raise ArgumentError if another op has the function's name.

    An op whose function has the same module and qualified name may be replaced, as when a notebook cell is run twice.
    """
    name = function.__name__
    if name in OPS:
        registered = OPS[name].record
        if (registered.__module__, registered.__qualname__) != (function.__module__, function.__qualname__):
            raise ArgumentError(
                f"{name}: {registered.__module__} already has an op of this name: give the new one a different name"
            )


def register(function: Function, *, repeats: bool = True, **facts: Any) -> Function:
    """Add an op to OPS under the name of `function`, and return the function that users call.

    Args:
        repeats: whether templates record repeated calls, without calling `function`; see `graph/templates.py`. What it
            records must then depend on nothing but its arguments.
        facts: the fields of `Op` other than `name` and `record`. `samples` may be a string.
    """
    name = function.__name__
    check_name_is_free(function)
    if repeats:
        function = with_templates(function)
    if isinstance(facts.get("samples"), str):
        facts["samples"] = samples(facts["samples"])
    OPS[name] = Op(name, function, **facts)
    return function


def recorded(kind: str = "", **facts: Any) -> Callable[[Function], Function]:
    """Return a decorator that makes an op from a function that appends nodes to the graph.

    `kind`, such as "index", selects compiled code (see `recorder.function`). It records calls whose keys the decorated
    function has passed to `remember`. Without `kind`, compiled code uses only templates. `facts` are as in `register`.
    """
    return lambda function: register(
        recorder.describe(recorder.function(kind, function), function) if kind else function, **facts
    )


def remember(op: Callable, key: Sequence, signature: Signature, limit: int = 0) -> None:
    """Let compiled code record later calls of `op` with this key. `limit`: a bound or size that such code needs."""
    enter(op, key, signature, limit)
