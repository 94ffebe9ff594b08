"""The kinds of ops that are stated as mathematics: a decorated function is the whole op.

Users define their own ops with the same decorators; see CONTRIBUTING.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.expression import Expression
from dynet_core.op import OPS, Function, Op, Sample, check_is_free, register
from dynet_core.record import one_operand, two_operands
from dynet_core.recorder import describe
from dynet_core.recorder.keywords import with_keywords
from dynet_core.signature import Signature, Step, View
from dynet_kernels.formula import Formula, is_number
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Rule

from .layouts import Rank, broadcast, column_view, leading_run, longest, matched, of_rank, strides_of
from .stated import add_kernels, all_gradients, number_name, operand_names, result_name, rules_of, traced
from .with_number import finite, with_number

ONE = [
    Sample([((1,), 1)]),
    Sample([((7,), 1)]),
    Sample([((16, 3), 1)]),
    Sample([((5, 2), 3)]),
    Sample([((130,), 2)]),
]
TWO = [
    Sample([((1,), 1), ((1,), 1)]),
    Sample([((19,), 1), ((19,), 1)]),
    Sample([((7,), 3), ((7,), 1)]),
    Sample([((5, 2), 1), ((5, 2), 4)]),
    Sample([((33,), 2), ((33,), 2)]),
    Sample([((6,), 1), ((6, 1, 1), 2)]),
]
NUMBERS = [None, 0.5, 2.0, -1.5, 1.25]  # with the samples of ONE; None: the default
BROADCAST = [
    Sample([((5, 3), 2), ((5,), 1)]),
    Sample([((5,), 1), ((5, 3), 2)]),
    Sample([((5, 3), 2), ((1,), 1)]),
    Sample([((1,), 3), ((17,), 1)]),
    Sample([((1, 4), 2), ((3, 1), 1)]),
    Sample([((2, 3, 4), 1), ((2, 1, 4), 2)]),
    Sample([((2, 1, 4), 1), ((1, 3, 1), 2)]),
]


def by_plain_dims(signature_of: Callable[..., Signature]) -> Callable[..., Signature]:
    """For ops to which a parameter is like any other operand: one signature for all that share dimensions."""
    interned = functools.cache(signature_of)
    return lambda *dims: interned(*[dim.plain for dim in dims])


def finished(function: Function, record: Callable[..., Any], **facts: Any) -> Function:
    """The recording function under the name and docstring of the op it records, entered in the table."""
    return register(describe(record, function), **facts)


def op(record: Callable[..., Any], **facts: Any) -> Callable[[Function], Function]:
    """Decorates the name, docstring and argument names of an op whose recording function is made already."""

    def decorate(function: Function) -> Function:
        return finished(function, record, **facts)

    return decorate


def elementwise(
    *,
    reference: Callable[..., Any],
    gradients: dict[str, Callable[..., Any]] | None = None,
    domain: tuple[float, float] = (-2.0, 2.0),
    rank: Rank = longest,
    scalars: bool = False,
    with_number: Callable[..., Any] | None = None,
    operator: str = "",
    operator_with_number: Callable[..., Any] | None = None,
    limit: float = math.inf,
    tolerance: float = 2e-6,
    tolerance_reason: str = "",
) -> Callable[[Function], Function]:
    """An op that works on each element; two operands are broadcast against each other.

    A parameter after one operand that is annotated as a float, or a Number of `dynet_core.annotations`, is one number
    for all elements, without a gradient.

    The body of the decorated function is the formula of the result. It is called once, with symbols in place of the
    expressions that callers give: `*` is the product of elements, and functions are those of `dynet_kernels.formula`.
    Gradients follow from it.

    Args:
        reference: the same in numpy, for the tests.
        gradients: for operands whose gradient is to be another than that which follows, a formula of the operands,
            the result `y` and its gradient `dy` (`z` and `dz` where an operand is called y).
        domain: from where tests draw operands.
        rank: how many dimensions the result has.
        scalars: make kernels of their own for an operand that is one number a column.
        with_number: records an expression and something that is no expression.
        operator: the operator that does the same, which has a recording function of its own in `OPERATORS`: its errors
            call it by this.
        operator_with_number: `with_number` for the operator, if its errors name the op.
        limit: the largest magnitude of an operand for which the result is that of the reference.
    """

    def decorate(function: Function) -> Function:
        name, operands = function.__name__, operand_names(function)
        if number := number_name(function):
            return register(
                _of_number(function, number, gradients or {}, rank),
                reference=reference,
                samples=[Sample(one.shapes, {number: value} if value else {}) for one, value in zip(ONE, NUMBERS)],
                elementwise=True,
                limit=limit,
                domain=domain,
                tolerance=tolerance,
                tolerance_reason=tolerance_reason,
            )
        formula = traced(function, operands)
        differentiated = all_gradients(name, operands, formula, gradients or {})
        check_is_free(function)
        rules = rules_of(operands, formula, differentiated)
        for operand in operands if scalars else ():
            of_number = rules_of(operands, formula, differentiated, numbers=(operand,))
            rules |= {f".{operand}_number{end}": rule for end, rule in of_number.items()}
        kernels = add_kernels(name, rules)

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            return elementwise_signature(name, operands, tuple(differentiated), dims, rank, kernels)

        if len(operands) == 1:
            record = one_operand(name, signature_of)
            if operator:
                SIGNS[operator] = one_operand(operator, _named(name, signature_of))
        elif len(operands) == 2:
            record = two_operands(name, signature_of, _repeating(name, name, scalars, rank), with_number)
            if operator:
                OPERATORS[operator] = Operator(
                    operator,
                    _named(name, signature_of),
                    _repeating(name, operator, scalars, rank),
                    operator_with_number or with_number,
                )
        else:
            raise TypeError(f"{name}: an elementwise op has one or two operands")
        return finished(
            function,
            record,
            reference=lined_up(reference, rank),
            samples=ONE if len(operands) == 1 else TWO + BROADCAST,
            elementwise=True,
            limit=limit,
            domain=domain,
            differentiable=bool(differentiated),
            tolerance=tolerance,
            tolerance_reason=tolerance_reason,
        )

    return decorate


def _of_number(function: Function, number: str, stated: dict[str, Callable[..., Any]], rank: Rank) -> Function:
    """The op of an expression and a plain number, which must be finite, that a formula makes."""
    name, operands = function.__name__, operand_names(function)
    found = all_gradients(name, operands, Formula.of(function), stated, number)
    check_is_free(function)
    record = with_number(name, name, function, rank, *found.values())
    default = inspect.signature(function).parameters[number].default

    def checked(x: Expression, value: Number = default) -> Expression:
        return record(x, finite(name, number, value))

    return functools.update_wrapper(with_keywords(function, checked), function)  # type: ignore[return-value]


def lined_up(reference: Callable, rank: Rank | None = None) -> Callable:
    """A numpy function broadcast as here: missing dimensions are sizes of 1 after the others.

    The result has the rank that it is given, or is left as it comes.
    """

    def padded(*arrays, **attributes):
        dims = [Dim.of(array.shape) for array in arrays]
        result = reference(*[array.reshape(of_rank(array.shape, longest(dims))) for array in arrays], **attributes)
        return result if rank is None else result.reshape(of_rank(result.shape, rank(dims)))

    return padded


def elementwise_signature(
    name: str,
    operands: Sequence[str],
    differentiable: Sequence[str],
    dims: Sequence[Dim],
    rank: Rank = longest,
    kernels: str = "",
) -> Signature:
    """The kernels of an elementwise op on operands of these Dims.

    Args:
        kernels: what their names begin with; the name of the op if empty.
    """
    layout = column_layout(name, dims, rank)
    assert layout is not None
    kernel, whole, size, columns, views = layout
    start = kernels or name
    return Signature(
        whole,
        operands=len(dims),
        columns=columns,
        views=views,
        forward=[Step(start + kernel(operands), (size,))],
        backward=[
            Step(f"{start}{kernel(operands)}.d{operand}", (size,), gradient_of=operands.index(operand))
            for operand in differentiable
        ],
    )


def column_layout(name: str, dims: Sequence[Dim], rank: Rank = longest):
    """How broadcast operands fall into columns: (suffix of the kernel, result, column size, count, views)."""
    whole = broadcast(name, dims, rank)
    strides = [strides_of(dim, whole) for dim in dims]
    extents = (*whole.dims, whole.batch)
    run = leading_run(whole, strides)
    size = math.prod(extents[:run])
    number = None
    if size == 1 and whole.total > 1:
        # one operand stands still where the other runs: it is one number a column
        still = [k for k, s in enumerate(strides) if s[_first_moving(extents)] == 0]
        number, moving = still[0], 1 - still[0]
        run = leading_run(whole, [strides[moving]])
        while run and any(strides[number][k] for k in range(run)):
            run -= 1
        size = math.prod(extents[:run])
    views = [View(SELF, stride=size)]
    for place, operand_strides in enumerate(strides):
        view = column_view(place, extents[run:], operand_strides[run:])
        if view is None:
            return None
        views.append(view)
    columns = math.prod(extents[run:])

    def kernel(operands):
        return "" if number is None else f".{operands[number]}_number"

    return kernel, whole, size, columns, views


def _first_moving(extents: Sequence[int]) -> int:
    return next(place for place, extent in enumerate(extents) if extent > 1)


@dataclass(frozen=True)
class Operator:
    """An operator that is an op by another name, which errors call it by: see `two_operands`."""

    name: str
    signature_of: Callable[..., Signature]
    repeating: Callable[[Expression, Expression], Expression | None]
    with_number: Callable[..., Any] | None

    def record(self) -> Callable[[Expression, Expression], Expression]:
        """A recording function."""
        return two_operands(self.name, self.signature_of, self.repeating, self.with_number)


OPERATORS: dict[str, Operator] = {}
"""Operators of two operands that are ops, by their signs."""
SIGNS: dict[str, Callable[[Expression], Expression]] = {}
"""The recording functions of operators of one operand that are ops, by their signs."""


def _named(name: str, signature_of: Callable[..., Signature]) -> Callable[..., Signature]:
    """What finds a signature, which has the name of the op, whatever it is recorded by first."""

    def signature(*dims: Dim) -> Signature:
        found = signature_of(*dims)
        found.name = found.name or name
        return found

    return signature


def _repeating(name: str, called: str, scalars: bool, rank: Rank) -> Callable:
    """Records operands that no views can line up: they are repeated to the full shape first.

    Args:
        called: what errors call the op.
    """

    def record_repeated(a: Expression, b: Expression) -> Expression | None:
        from .copying import repeat

        dims = a.type.plain, b.type.plain
        layout = column_layout(called, dims)
        if layout is None or (not scalars and layout[0](("a", "b"))):
            whole = broadcast(called, dims, rank)
            return OPS[name].record(repeat(a, whole), repeat(b, whole))
        return None

    return record_repeated


def columnwise(
    *,
    reference: Callable[..., Any],
    gradients: dict[str, Callable[..., Any]] | None = None,
    whole: bool = False,
    called: str = "",
    domain: tuple[float, float] = (-2.0, 2.0),
    tolerance: float = 2e-6,
    tolerance_reason: str = "",
) -> Callable[[Function], Function]:
    """An op on columns.

    The body of the decorated function is the formula of the result, as that of `elementwise`. It may have sums and
    extremes of a column (`formula.sum`, `max`, `min`), and is one number a column if it has nothing but these.

    Args:
        reference: the same in numpy, on one batch element.
        gradients: for operands whose gradient is to be another than that which follows, as for `elementwise`.
        whole: a column is a whole batch element instead of its first dimension.
        called: what errors call it, if it is a part of another op.
    """

    def decorate(function: Function) -> Function:
        name, operands = function.__name__, operand_names(function)
        formula = traced(function, operands)
        number, result = is_number(formula.result), result_name(operands)
        differentiated = all_gradients(name, operands, formula, gradients or {})
        views = (result, *operands)
        numbers = (result,) if number else ()
        check_is_free(function)
        rules = {"": Rule(views, {result: formula}, numbers=numbers)}
        for operand, gradient in differentiated.items():
            rules[f".d{operand}"] = Rule(views, {"d" + operand: gradient}, numbers=numbers)
        kernels = add_kernels(name, rules)

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            shape = matched(name, dims)
            batch, inner = shape.batch, 1 if whole else shape.columns
            size = shape.size if whole else shape.rows
            dim = Dim.of((1,) if whole else shape.dims[1:] or (1,), batch) if number else shape
            extents = (inner, batch)
            at = [column_view(k, extents, (size, d.size if d.batch > 1 else 0)) for k, d in enumerate(dims)]
            return Signature(
                dim,
                operands=len(dims),
                columns=inner * batch,
                views=[View(SELF, stride=1 if number else size), *[view for view in at if view]],
                forward=[Step(kernels, (size,))],
                backward=[
                    Step(f"{kernels}.d{operand}", (size,), gradient_of=operands.index(operand))
                    for operand in differentiated
                ],
            )

        if len(operands) == 1:
            record, samples = one_operand(called or name, signature_of), ONE
        else:
            record, samples = two_operands(called or name, signature_of), TWO
        return finished(
            function,
            record,
            reference=lined_up(reference),
            samples=samples,
            domain=domain,
            differentiable=bool(differentiated),
            tolerance=tolerance,
            tolerance_reason=tolerance_reason,
        )

    return decorate


__all__ = ["Op", "Sample", "columnwise", "elementwise", "op"]
