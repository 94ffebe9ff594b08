"""Decorators that make an op from a formula, also for users (see CONTRIBUTING): `elementwise` and `columnwise`.

The body of the decorated function is the formula. Its docstring and argument names become those of the op.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of, node, one_operand, two_operands
from dynet_core.messages.keyword_hints import written
from dynet_core.op import OPS, Function, Op, Sample, check_is_free, register, samples
from dynet_core.recorder import describe
from dynet_core.recorder.keywords import with_keywords
from dynet_core.signature import Signature, View, computed, number_views
from dynet_kernels.formula import Formula, is_number
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from .layouts import Rank, broadcast, column_layout, column_views, lined_up, longest, matched
from .op_formulas import (
    all_gradients,
    check_elementwise,
    formula_of,
    inner,
    number_names,
    operand_names,
    rules_of,
)
from .operators import OPERATORS, SIGNS, Operator, with_op_name
from .with_number import finite

ONE = samples("1; 7; 16x3; 5x2*3; 130*2")
TWO = samples("1 1; 19 19; 7*3 7; 5x2 5x2*4; 33*2 33*2; 6 6x1x1*2")
NUMBERS = [0.75, 0.5, 2.0, -1.5, 1.25]  # values of plain numbers in samples
BROADCAST = samples("5x3*2 5; 5 5x3*2; 5x3*2 1; 1*3 17; 1x4*2 3x1; 2x3x4 2x1x4*2; 2x1x4 1x3x1*2")


def by_plain_dims(signature_of: Callable[..., Signature]) -> Callable[..., Signature]:
    """Cache `signature_of` by each Dim's `plain`, one object for all equal shapes: a parameter's Dim is its alone."""
    interned = functools.cache(signature_of)
    return lambda *dims: interned(*[dim.plain for dim in dims])


def op(record: Callable[..., Any], around: Callable | None = None, **facts: Any) -> Callable[[Function], Function]:
    """Return a decorator that registers `record` as an op, with the decorated function's name, docstring and arguments.

    The body of the decorated function never runs.

    Args:
        record: what users call. It appends a node to the graph.
        around: called in place of the Python function of `record`, as in `recorder.describe`.
        facts: what tests need to know, as fields of `dynet_core.op.Op`.
    """
    return lambda function: register(describe(record, function, around), **facts)


def by_dims(signature_of: Callable[..., Signature], **facts: Any) -> Callable[[Function], Function]:
    """Return a decorator that makes an op of one or two operands whose signature depends on their shapes alone.

    The body of the decorated function never runs. `signature_of` returns the signature for the operands' Dims; equal
    shapes are the same object. `facts` are what tests need to know, as fields of `dynet_core.op.Op`.
    """

    def decorate(function: Function) -> Function:
        recorder = one_operand if len(operand_names(function)) == 1 else two_operands
        record = recorder(function.__name__, by_plain_dims(signature_of))
        return register(describe(record, function), **facts)

    return decorate


@written("@elementwise(reference=f), of a numpy function f that computes the same")
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
    least: float = 0.0,
    range_reason: str = "",
    tolerance: float = 2e-6,
    tolerance_reason: str = "",
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op which works on each element. Operands are broadcast against each other.

    The body of the decorated function is the formula of the result. It is called once, with symbols in place of
    expressions: `*` multiplies element by element, and functions come from `dynet_kernels.formula`. The gradients are
    derived from the formula.

    Any number of operands come first. Then there may be parameters annotated as `dy.Number` or float: each is one
    number for all elements, without a gradient.

    Args:
        reference: the same function in numpy, for the tests.
        gradients: operand -> a function whose body is the formula of its gradient, instead of the derived one. Its
            arguments may be the operands, the numbers, the result `y` and its gradient `dy` (`z` and `dz` if an
            argument of the op is called y or dy; `result` and `dresult` if one is called z or dz, too).
        domain: the range from which tests draw operands.
        rank: returns the number of dimensions of the result, from the operands' shapes.
        scalars: also make kernels that read an operand with one number per column in place, such as a row added to a
            matrix. Otherwise it is first copied to the full shape.
        with_number: adds the node if the second operand is a plain number, as in `x + 1`.
        operator: the sign of a Python operator that does the same, such as "+". It goes into the table `OPERATORS` or
            `SIGNS` of `operators.py`. Its errors name the sign instead of the op.
        operator_with_number: used for the operator in place of `with_number`.
        limit, least: tests do not compare the op where an operand has a finite number of larger magnitude than `limit`,
            or of smaller magnitude than `least`, for example because the formula subtracts nearly equal numbers there.
        range_reason: why there is a `limit` or `least`.
        tolerance: the relative error that tests allow.
        tolerance_reason: why it is more than the default.
    """

    facts: dict[str, Any] = {"limit": limit, "least": least, "range_reason": range_reason, "domain": domain}
    facts |= {"elementwise": True, "tolerance": tolerance, "tolerance_reason": tolerance_reason}

    def decorate(function: Function) -> Function:
        name, operands, numbers, formula = _parsed(function, reference, gradients)
        differentiated = all_gradients(name, operands, formula, gradients or {}, *numbers)
        check_elementwise(name, [formula, *differentiated.values()])
        check_is_free(function)
        rules = rules_of((*operands, *numbers), formula, differentiated, constants=numbers)
        for operand in operands if scalars else ():
            of_number = rules_of(operands, formula, differentiated, numbers=(operand,))
            rules |= {f".{operand}_number{end}": rule for end, rule in of_number.items()}
        kernels = KERNELS.add_defined(name, rules)

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            return elementwise_signature(name, operands, dims, rank, kernels, len(numbers))

        record: Any
        if several := numbers or len(operands) > 2:
            record = _of_several(function, numbers, signature_of, lambda xs: _fitted(name, xs, rank))
        elif len(operands) == 1:
            record = one_operand(name, signature_of)
            if operator:
                SIGNS[operator] = one_operand(operator, with_op_name(name, signature_of))
        else:
            record = two_operands(name, signature_of, _repeated_first(name, name, scalars, rank), with_number)
            if operator:
                OPERATORS[operator] = Operator(
                    operator,
                    with_op_name(name, signature_of),
                    _repeated_first(name, operator, scalars, rank),
                    operator_with_number or with_number,
                )
        return register(
            record if several else describe(record, function),
            reference=lined_up(_with_defaults(function, numbers, reference), rank),
            samples=_samples(function, len(operands), numbers, BROADCAST),
            differentiable=bool(differentiated),
            formula=formula,
            **facts,
        )

    return decorate


def _parsed(function: Any, reference: Any, gradients: Any) -> tuple[str, tuple[str, ...], tuple[str, ...], Formula]:
    """Return a function's name, the names of its operands and numbers, and the formula in its body."""
    name, operands, numbers = function.__name__, operand_names(function), number_names(function)
    if not (reference is None or callable(reference)):
        raise ArgumentTypeError(f"{name}: reference must be a function of numpy arrays, not {reference!r:.60}")
    if gradients and not (isinstance(gradients, dict) and all(map(callable, gradients.values()))):
        raise ArgumentTypeError(
            f"{name}: gradients must be a dict such as {{'x': lambda dy: dy}}, not {gradients!r:.60}"
        )
    formula = formula_of(function, (*operands, *numbers))
    if not operands or formula.names != tuple(map(inner, (*operands, *numbers))):
        raise ArgumentError(f"{name}: one or more expressions are needed, and plain numbers come after them")
    return name, operands, numbers, formula


def _samples(
    function: Callable, operands: int, numbers: Sequence[str] = (), others: Sequence[Sample] = ()
) -> list[Sample]:
    """Return ONE, or TWO and others. The first leaves out plain numbers that have defaults."""
    parameters, found = inspect.signature(function).parameters, []
    for place, sample in enumerate(ONE if operands == 1 else [*TWO, *others]):
        given = [name for name in numbers if place or parameters[name].default is inspect.Parameter.empty]
        values = {name: NUMBERS[(place + k) % len(NUMBERS)] for k, name in enumerate(given)}
        found.append(Sample([*sample.shapes, *[sample.shapes[-1]] * (operands - 2)], values))
    return found


def _with_defaults(function: Callable, numbers: Sequence[str], reference: Callable) -> Callable:
    """Return a reference that gets all plain numbers by name, also those that a call leaves out."""
    given = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    defaults = {name: given[name] for name in numbers if given[name] is not inspect.Parameter.empty}
    return functools.partial(reference, **defaults) if defaults and reference else reference


def _of_several(
    function: Callable,
    numbers: Sequence[str],
    signature_of: Callable,
    fitted: Callable = lambda xs: xs,
    above: Mapping[str, float] = {},
) -> Callable[..., Expression]:
    """Return the recording function of an op of operands, then plain numbers, which must exceed those of `above`."""
    name, parameters = function.__name__, inspect.signature(function).parameters
    count = len(parameters) - len(numbers)

    def record(*arguments: Any) -> Expression:
        given = [*arguments[count:], *[parameters[number].default for number in numbers[len(arguments) - count :]]]
        values = [finite(name, number, value, above.get(number)) for number, value in zip(numbers, given)]
        graph_of(name, arguments[:count])
        xs = fitted(arguments[:count])
        return node(name, signature_of(*[x.type for x in xs]), xs, numbers=values)

    return functools.update_wrapper(with_keywords(function, record), function)


def _fitted(name: str, xs: Sequence[Expression], rank: Rank, scalars: bool = False) -> Sequence[Expression]:
    """Return the operands of an elementwise op, copied to the full shape if its kernels cannot broadcast them."""
    from .copying import repeat

    dims = [x.type.plain for x in xs]
    layout = column_layout(name, dims)
    if layout and (scalars or not layout[0](range(len(xs)))):
        return xs
    whole = broadcast(name, dims, rank)
    return [repeat(x, whole) for x in xs]


def elementwise_signature(
    name: str,
    operands: Sequence[str],
    dims: Sequence[Dim],
    rank: Rank = longest,
    kernels: str = "",
    numbers: int = 0,
    passes: bool = True,
) -> Signature:
    """Return the signature of a node of an elementwise op that has `numbers` plain numbers.

    `kernels` begins the kernels' names, by default `name`. `passes` says whether operands get gradients.
    """
    layout = column_layout(name, dims, rank)
    assert layout is not None
    kernel, whole, size, columns, views = layout
    views = [*views, *number_views(numbers)]
    return computed((kernels or name) + kernel(operands), whole, (size,), views, columns, passes=passes)


def _repeated_first(name: str, called: str, scalars: bool, rank: Rank) -> Callable:
    """Return a function (a, b) that applies the op to broadcast copies, or returns None if no copies are needed."""

    def record_repeated(*xs: Expression) -> Expression | None:
        copies = _fitted(called, xs, rank, scalars)
        return None if copies is xs else OPS[name].record(*copies)

    return record_repeated


@dataclass(frozen=True)
class Columnwise:
    """What `axes.Along` needs to know about a function that was decorated with `columnwise`.

    `constants` are its plain numbers. It `reduces` if x is the only operand and gets a gradient, and each column of x
    becomes one number.
    """

    kernels: str
    constants: Sequence[str]
    reduces: bool
    reference: Callable[..., Any]


COLUMNWISE: dict[str, Columnwise] = {}
"""Name of a function that was decorated with `columnwise` -> what `axes.Along` needs to know about it."""


@written("@columnwise(reference=f), of a numpy function f that computes the same")
def columnwise(
    *,
    reference: Callable[..., Any],
    gradients: dict[str, Callable[..., Any]] | None = None,
    whole: bool = False,
    called: str = "",
    is_op: bool = True,
    above: Mapping[str, float] = {},
    **facts: Any,
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op which works on each column, such as softmax.

    The body is the formula of the result, as with `elementwise`. It may also reduce a column to one number, by
    `formula.sum`, `formula.max` or `formula.min`. If operands are read only inside of these three, the result is one
    number per column. If x is then the only operand, `axes.Along` can make ops that reduce any dimensions.

    Args:
        reference: the same function in numpy, on one batch element.
        gradients: formulas that replace derived gradients, as with `elementwise`.
        whole: treat each batch element as one column, instead of the elements along the first dimension.
        called: the name of the op in errors, if users call it through another op.
        is_op: False if only `axes.Along` uses the function, and supplies its numbers. It is returned unchanged.
        above: plain number -> what it must be greater than.
        facts: `domain`, `tolerance`, `tolerance_reason` and `samples`, as fields of `dynet_core.op.Op`.
    """

    def decorate(function: Function) -> Function:
        name, operands, numbers, formula = _parsed(function, reference, gradients)
        if unknown := [*above.keys() - {*numbers}]:
            raise ArgumentError(f"{name}: above names {unknown[0]!r}, which is not one of its plain numbers")
        differentiated = all_gradients(name, operands, formula, gradients or {}, *numbers)
        one_number = is_number(formula.result, [*map(inner, numbers)])
        check_is_free(function)
        rules = rules_of((*operands, *numbers), formula, differentiated, constants=numbers, one_number=one_number)
        kernels = KERNELS.add_defined(name, rules)
        reduces = one_number and (*operands,) == (*differentiated,) == ("x",)
        COLUMNWISE[name] = Columnwise(kernels, numbers, reduces, reference)
        if not is_op:
            return function

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            shape = matched(name, dims)
            batch, across = shape.batch, 1 if whole else shape.columns
            size = shape.size if whole else shape.rows
            dim = Dim.of((1,) if whole else shape.dims[1:] or (1,), batch) if one_number else shape
            extents = (across, batch)
            views = column_views(extents, [(size, d.size if d.batch > 1 else 0) for d in dims])
            views = [View(SELF, stride=1 if one_number else size), *views, *number_views(len(numbers))]
            return computed(kernels, dim, (size,), views, across * batch)

        if several := numbers or len(operands) > 2:
            record: Any = _of_several(function, numbers, signature_of, above=above)
        else:
            record = (one_operand, two_operands)[len(operands) - 1](called or name, signature_of)
        shown: dict[str, Any] = {"samples": _samples(function, len(operands), numbers), **facts}
        return register(
            record if several else describe(record, function),
            reference=lined_up(_with_defaults(function, numbers, reference)),
            differentiable=bool(differentiated),
            **shown,
        )

    return decorate


__all__ = ["Op", "Sample", "columnwise", "elementwise", "op"]
