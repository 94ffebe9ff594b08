"""`elementwise` and `columnwise`: decorators that make an op from a formula, also for users (see CONTRIBUTING).

The body of the decorated function is the formula. The op has the function's docstring and argument names.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynet_core import recorder
from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of, node, one_operand, two_operands
from dynet_core.messages.hints import written_as
from dynet_core.op import OPS, Function, Op, Sample, check_name_is_free, register, remember, samples
from dynet_core.recorder.keywords import with_keywords
from dynet_core.signature import Signature, View, computed, number_views
from dynet_core.signature.by_sizes import by_plain_dims, by_sizes
from dynet_kernels import formula as f
from dynet_kernels.derivative import gradients as derived
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Formula, column_functions, is_per_column
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from .copying import repeat
from .layouts import Rank, batch_stride, broadcast, broadcasting, column_layout, column_views, longest, matched, of_rank
from .operands import finite, number_of


def operand_names(function: Callable) -> tuple[str, ...]:
    """Return the names of the parameters that are annotated as Expression."""
    return _names_annotated_as(function, "Expression", Expression)


def number_names(function: Callable) -> tuple[str, ...]:
    """Return the names of the parameters that are annotated as Number or float."""
    return _names_annotated_as(function, "Number", Number, "float", float)


def _names_annotated_as(function: Callable, *kinds: Any) -> tuple[str, ...]:
    """Return the names of parameters annotated with one of `kinds`, or with a string that ends in one ("dy.Number")."""
    annotations = {name: parameter.annotation for name, parameter in inspect.signature(function).parameters.items()}
    # Annotations are strings after `from __future__ import annotations`.
    found = {name: kind.rpartition(".")[2] if isinstance(kind, str) else kind for name, kind in annotations.items()}
    return tuple(name for name, kind in found.items() if kind in kinds)


def check_operand(name: str, operands: Sequence[str], operand: str, what: str, hint: str = "") -> None:
    """Raise ArgumentError if `operand` is not among `operands`. In the message, `what` comes first and `hint` last."""
    if operand not in operands:
        listed = ", ".join(operands) or "none"
        raise ArgumentError(f"{name}: {what} {operand!r}, which is not an operand; the operands are {listed}{hint}")


RESULT = "y"  # the name of an op's result in formulas and rules


def formula_name(name: str) -> str:
    """Return an argument's name in formulas: a dot in front makes it differ from all names of results and gradients."""
    return "." + name


def result_names(name: str, arguments: Sequence[str]) -> tuple[str, str]:
    """Return how stated gradients name the result and its gradient: the first free of y, dy; z, dz; result, dresult."""
    for result in ("y", "z", "result"):
        if not {result, "d" + result} & {*arguments}:
            return result, "d" + result
    raise ArgumentError(f"{name}: rename an argument, so that a gradient can ask for the result as y, z or result")


def formula_of(function: Callable, operands: Sequence[str]) -> Formula:
    """Return the formula in a function's body. Raise ArgumentError if a parameter is not among `operands`."""
    for parameter, given in inspect.signature(function).parameters.items():
        hint = f". Annotate an operand as `{parameter}: dy.Expression`, and a plain number as `{parameter}: dy.Number`"
        check_operand(function.__name__, operands, parameter, "the formula asks for", hint)
        is_positional = given.kind is given.POSITIONAL_OR_KEYWORD
        if not is_positional or not (given.default is given.empty or parameter in number_names(function)):
            what = given if is_positional else f"the {given.kind.description} {given}"
            raise ArgumentError(f"{function.__name__}: {what} is neither a plain operand nor a number with a default")
    return Formula.of(function, {operand: formula_name(operand) for operand in operands})


def check_elementwise(name: str, formulas: Iterable[Formula]) -> None:
    """Raise ArgumentError if a formula of an elementwise op does not work on each element separately."""
    for function in column_functions(formulas):
        raise ArgumentError(
            f"{name}: f.{function} is over a column, but this works on each element separately: make an op by "
            "`columnwise`, or pass the number as an operand"
        )


def all_gradients(
    name: str, operands: Sequence[str], formula: Formula, stated_gradients: dict[str, Callable[..., Any]], *numbers: str
) -> dict[str, Formula]:
    """Return operand -> formula of its gradient: as in `stated_gradients`, or else derived. Plain `numbers` have none.

    An operand is left out if the result does not depend on it, or only through step functions such as `floor`.
    """
    arguments = (*operands, *numbers)
    result, gradient = result_names(name, arguments)
    allowed = (*arguments, result, gradient)
    for operand, function in stated_gradients.items():
        check_operand(name, operands, operand, "a gradient is given for")
        for argument_name in inspect.signature(function).parameters:
            if argument_name not in allowed:
                raise ArgumentError(
                    f"{name}: the gradient of {operand} asks for {argument_name!r}; there are {', '.join(allowed)}"
                )
    derivable = [formula_name(operand) for operand in operands if operand not in stated_gradients]
    gradients = derived(formula, derivable, RESULT, [formula_name(number) for number in numbers])
    names = {argument: formula_name(argument) for argument in arguments}
    names |= {result: RESULT, gradient: "d" + RESULT}
    for operand, function in stated_gradients.items():
        gradients[formula_name(operand)] = Formula.of(function, names, f"{name}: the gradient of {operand}")
    return {operand: gradients[formula_name(operand)] for operand in operands if formula_name(operand) in gradients}


def rules_of(
    operands: Sequence[str],
    formula: Formula,
    gradients: dict[str, Formula],
    numbers: Sequence[str] = (),
    constants: Sequence[str] = (),
    reduces: bool = False,
) -> dict[str, Rule]:
    """Return suffix of a kernel's name -> rule: "" for the formula, ".da" for the gradient of an operand a.

    `operands` include plain numbers. As in `Rule`, those in `numbers` have a value per column, and so do those in
    `constants`, but in an `InterleavedRule` its columns share it. If `reduces`, the result has one value per column.
    """
    names = tuple(map(formula_name, operands))
    facts = {"numbers": tuple(map(formula_name, numbers)), "constants": tuple(map(formula_name, constants))}
    facts["numbers"] += (RESULT,) * reduces
    rules = _rules(names, formula, {formula_name(name): gradient for name, gradient in gradients.items()}, **facts)
    return {suffix.replace(".d.", ".d"): rule for suffix, rule in rules.items()}


def _rules(operands: tuple[str, ...], formula: Formula, gradients: dict[str, Formula], **facts) -> dict[str, Rule]:
    numbers = facts.get("numbers", ())
    views = (RESULT, *operands)
    rules = {"": Rule(views, {RESULT: formula}, **facts)}
    for operand, gradient in gradients.items():
        if operand in numbers and not is_per_column(gradient.result, numbers):  # one value, so its gradient is a sum
            gradient = Formula(gradient.names, f.sum(gradient.result))
        rules[f".d{operand}"] = Rule(views, {"d" + operand: gradient}, **facts)
    return rules


def derive_rules(name: str, formula: Formula, operands: Sequence[str], numbers: Sequence[str]) -> None:
    """Add a kernel `name` for a formula, and `name.da` for the gradient of an operand a. `numbers` are as in `Rule`."""
    gradients = derived(formula, operands, numbers=numbers)
    for suffix, rule in _rules(formula.names, formula, gradients, numbers=numbers).items():
        KERNELS.add(name + suffix, rule)


def add_rules(name: str, views: Sequence[str], outputs: Mapping[str, Callable], **facts: tuple[str, ...]) -> None:
    """Add a kernel for each output -> formula: `name` if the output is the first view, `name.dx` for a gradient dx."""
    for output, formula in outputs.items():
        KERNELS.add(name if output == views[0] else f"{name}.{output}", Rule(tuple(views), {output: formula}, **facts))


def with_number(name: str, operator: str, formula: Callable, rank: Rank = longest) -> Callable[..., Expression]:
    """Return a function of an expression and a plain number that adds a node, which computes `formula`.

    The number is stored among the graph's inputs, so nodes with different numbers share a signature. The kernels' names
    begin with `name`. Errors begin with `operator`, a sign such as "+" or the op's name.
    """
    operand, number_name = names = tuple(inspect.signature(formula).parameters)
    parsed = formula_of(formula, names)
    gradients = all_gradients(name, (operand,), parsed, {}, number_name)
    kernels = KERNELS.add_defined(name, rules_of(names, parsed, gradients, numbers=(number_name,)))

    @by_sizes
    def signature_of(dim):
        whole = Dim.of(of_rank(dim.dims, rank((dim,))), dim.batch)
        return computed(kernels, whole, (dim.total,), [View(SELF), View(0), *number_views(1)])

    def record_in_python(x: Expression, c) -> Expression:
        graph = graph_of(operator, (x,))
        number = number_of(operator, c)
        signature = signature_of.row((x.type.plain,))
        remember(record, (x.type,), signature)
        return graph.append(signature, (x.at, graph.take((number,))))

    record = recorder.function("number", record_in_python)
    return record


BINARY_OPERATORS: dict[str, tuple[Callable[..., Signature], Callable[..., Any], Callable[..., Any] | None]] = {}
"""Sign of an operator with two operands -> the arguments of `two_operands` that follow the name."""
UNARY_OPERATORS: dict[str, Callable[[Expression], Expression]] = {}
"""Sign of an operator with one operand -> the function that adds its node to the graph."""


ONE = samples("1; 7; 16x3; 5x2*3; 130*2")  # operands in tests of ops of one operand; 5x2*3 is 5 x 2 with batch size 3
TWO = samples("1 1; 19 19; 7*3 7; 5x2 5x2*4; 33*2 33*2; 6 6x1x1*2")  # the same for ops of two operands
SAMPLE_NUMBERS = [0.75, 0.5, 2.0, -1.5, 1.25]  # values of plain numbers in samples
BROADCAST_SAMPLES = samples("5x3*2 5; 5 5x3*2; 5x3*2 1; 1*3 17; 1x4*2 3x1; 2x3x4 2x1x4*2; 2x1x4 1x3x1*2")


def op(record: Callable[..., Any], around: Callable | None = None, **facts: Any) -> Callable[[Function], Function]:
    """Return a decorator that registers `record` as an op, with the decorated function's name, docstring and arguments.

    The body of the decorated function never runs.

    Args:
        record: what users call. It appends a node to the graph.
        around: called instead of the slow function of `record`, as `around(slow, *arguments)`; see `recorder.describe`.
        facts: fields of `dynet_core.op.Op`, which tests use.
    """
    return lambda function: register(recorder.describe(record, function, around), **facts)


def by_dims(signature_of: Callable[..., Signature], **facts: Any) -> Callable[[Function], Function]:
    """Return a decorator that makes an op of one or two operands, whose signature depends only on their shapes.

    The body of the decorated function never runs. `signature_of` returns the signature for the operands' Dims, which
    are one object for all operands of a shape. `facts` are fields of `dynet_core.op.Op`, which tests use.
    """

    def decorate(function: Function) -> Function:
        make = one_operand if len(operand_names(function)) == 1 else two_operands
        return op(make(function.__name__, by_plain_dims(signature_of)), **facts)(function)

    return decorate


@written_as("@elementwise(reference=f), of a numpy function f that computes the same")
def elementwise(
    *,
    reference: Callable[..., Any],
    gradients: dict[str, Callable[..., Any]] | None = None,
    domain: tuple[float, float] = (-2.0, 2.0),
    rank: Rank = longest,
    scalars: bool = False,  # whether to add kernels for an operand of one number per column
    with_number: Callable[..., Any] | None = None,  # adds the node if the second operand is a plain number
    operator: str = "",
    limit: float = math.inf,  # the largest magnitude of operands in tests
    least: float = 0.0,  # the smallest magnitude of operands in tests
    range_reason: str = "",
    tolerance: float = 2e-6,
    tolerance_reason: str = "",
    above: Mapping[str, float] = {},  # name of a plain number -> a limit that it must exceed
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op that works on each element. Operands are broadcast against each other.

    The body of the decorated function is the formula of the result. It is called once, with symbols in place of
    expressions: `*` multiplies element by element, and functions come from `dynet_kernels.formula`. The gradients are
    derived from the formula.

    The operands come first. Parameters annotated as `dy.Number` or float may follow. Each is one number for all
    elements, and gets no gradient.

    Args:
        reference: the same function in numpy, for the tests.
        gradients: maps an operand to a function whose body is the formula of its gradient, instead of the derived
            formula. The function may take the operands, the numbers, the result `y` and its gradient `dy` (`z` and `dz`
            if an argument of the op is called y or dy; `result` and `dresult` if an argument is also called z or dz).
        domain: the range from which tests draw operands.
        rank: a function of the operands' shapes that returns the number of dimensions of the result.
        scalars: whether to add kernels that read an operand with one number per column, such as a row that is added to
            a matrix, without a copy. If False, such an operand is first copied to the full shape.
        with_number: the function that adds the node if the second operand is a plain number, as in `x + 1`.
        operator: the sign of a Python operator that does the same, such as "+". The operator's errors begin with the
            sign, not with the op's name. `BINARY_OPERATORS` or `UNARY_OPERATORS` gets an entry for the sign.
        limit, least: tests skip finite operands of larger magnitude than `limit` or of smaller magnitude than `least`,
            for example because the formula subtracts nearly equal values there.
        range_reason: why there is a `limit` or `least`.
        tolerance: the relative error that tests allow.
        tolerance_reason: why `tolerance` is more than the default.
        above: maps the name of a plain number to a limit that the number must exceed.
    """
    fields: dict[str, Any] = {"limit": limit, "least": least, "range_reason": range_reason, "domain": domain}
    fields |= {"elementwise": True, "tolerance": tolerance, "tolerance_reason": tolerance_reason}

    def decorate(function: Function) -> Function:
        name, operands, numbers, formula = _parse_function(function, reference, gradients, above)
        differentiated = all_gradients(name, operands, formula, gradients or {}, *numbers)
        check_elementwise(name, [formula, *differentiated.values()])
        check_name_is_free(function)
        rules = rules_of((*operands, *numbers), formula, differentiated, constants=numbers)
        for operand in operands if scalars else ():
            number_rules = rules_of(operands, formula, differentiated, numbers=(operand,))
            rules |= {f".{operand}_number{suffix}": rule for suffix, rule in number_rules.items()}
        kernels = KERNELS.add_defined(name, rules)

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            return elementwise_signature(name, operands, dims, rank, kernels, len(numbers))

        record: Any
        if recorded_in_python := numbers or len(operands) > 2:
            record = _python_record(function, numbers, signature_of, above, lambda xs: _full_copies(name, xs, rank))
        elif len(operands) == 1:
            record = one_operand(name, signature_of)
            if operator:
                UNARY_OPERATORS[operator] = one_operand(operator, signature_of)
        else:
            record = two_operands(name, signature_of, _copying_record(name, name, scalars, rank), with_number)
            if operator:
                BINARY_OPERATORS[operator] = signature_of, _copying_record(name, operator, scalars, rank), with_number
        return register(
            record if recorded_in_python else recorder.describe(record, function),
            reference=broadcasting(_with_defaults(function, numbers, reference), rank),
            samples=_samples(function, len(operands), numbers, above, BROADCAST_SAMPLES),
            differentiable=bool(differentiated),
            formula=formula,
            **fields,
        )

    return decorate


def _parse_function(
    function: Any, reference: Any, gradients: Any, lower_limits: Any
) -> tuple[str, tuple[str, ...], tuple[str, ...], Formula]:
    """Return a function's name, the names of its operands and numbers, and the formula in its body."""
    name, operands, numbers = function.__name__, operand_names(function), number_names(function)
    if not (reference is None or callable(reference)):
        raise ArgumentTypeError(f"{name}: reference must be a function of numpy arrays, not {reference!r:.60}")
    if gradients and not (isinstance(gradients, dict) and all(map(callable, gradients.values()))):
        raise ArgumentTypeError(
            f"{name}: gradients must be a dict such as {{'x': lambda dy: dy}}, not {gradients!r:.60}"
        )
    arguments = (*operands, *numbers)
    formula = formula_of(function, arguments)
    if not operands or formula.names != tuple(map(formula_name, arguments)):
        raise ArgumentError(f"{name}: one or more expressions are needed, and plain numbers come after them")
    defaults = {parameter.name: parameter.default for parameter in inspect.signature(function).parameters.values()}
    for number, limit in dict(lower_limits).items():
        if number not in numbers:
            raise ArgumentError(f"{name}: above names {number!r}, which is not one of its plain numbers")
        finite(name, f"the limit of {number}", limit)
        if defaults[number] is not inspect.Parameter.empty:
            finite(name, number, defaults[number], limit)
    return name, operands, numbers, formula


def _samples(
    function: Callable, count: int, numbers: Sequence[str], above: Mapping[str, float], more: Sequence[Sample] = ()
) -> list[Sample]:
    """Return samples of `count` operands. The first omits numbers that have defaults; other numbers exceed `above`."""
    parameters, all_samples = inspect.signature(function).parameters, []
    for index, sample in enumerate(ONE if count == 1 else [*TWO, *more]):
        passed_names = [name for name in numbers if index or parameters[name].default is inspect.Parameter.empty]
        values = {name: SAMPLE_NUMBERS[(index + k) % len(SAMPLE_NUMBERS)] for k, name in enumerate(passed_names)}
        values |= {name: above[name] + abs(values[name]) for name in passed_names if name in above}
        all_samples.append(Sample([*sample.shapes, *[sample.shapes[-1]] * (count - 2)], values))
    return all_samples


def _with_defaults(function: Callable, numbers: Sequence[str], reference: Callable) -> Callable:
    """Return the reference with the defaults of plain numbers, for calls that omit them."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.name in numbers and p.default is not p.empty}
    return functools.partial(reference, **defaults) if defaults and reference else reference


def _python_record(
    function: Callable,
    numbers: Sequence[str],
    signature_of: Callable,
    above: Mapping[str, float],
    copy_operands: Callable = lambda xs: xs,
    name_in_errors: str = "",
) -> Callable[..., Expression]:
    """Return a Python function that records an op. `copy_operands` may copy operands; numbers must exceed `above`."""
    name, parameters = name_in_errors or function.__name__, inspect.signature(function).parameters
    count = len(parameters) - len(numbers)

    def record(*arguments: Any) -> Expression:
        given = [*arguments[count:], *[parameters[number].default for number in numbers[len(arguments) - count :]]]
        values = [finite(name, number, value, above.get(number)) for number, value in zip(numbers, given)]
        graph_of(name, arguments[:count])
        xs = copy_operands(arguments[:count])
        return node(name, signature_of(*[x.type for x in xs]), xs, numbers=values)

    return functools.update_wrapper(with_keywords(function, record), function)


def _full_copies(name: str, xs: Sequence[Expression], rank: Rank, scalars: bool = False) -> Sequence[Expression]:
    """Return the operands, copied to the full shape if no kernel broadcasts them (see `scalars` in `elementwise`)."""
    dims = [x.type.plain for x in xs]
    if all(dim is dims[0] for dim in dims):
        return xs
    layout = column_layout(name, dims)
    if layout and (scalars or layout[0] is None):  # layout[0] is the operand with one number per column, if any
        return xs
    whole = broadcast(name, dims, rank)
    return [repeat(x, whole) for x in xs]


def elementwise_signature(
    name: str,
    operands: Sequence[str],
    dims: Sequence[Dim],
    rank: Rank = longest,
    kernels: str = "",
    number_count: int = 0,
    passes: bool = True,
) -> Signature:
    """Return the signature of a node of an elementwise op that has `number_count` plain numbers.

    The kernels' names begin with `kernels`, by default `name`. `passes` says whether operands get gradients.
    """
    layout = column_layout(name, dims, rank)
    assert layout is not None
    scalar_operand, whole, size, columns, views = layout
    kernel = (kernels or name) + ("" if scalar_operand is None else f".{operands[scalar_operand]}_number")
    return computed(kernel, whole, (size,), [*views, *number_views(number_count)], columns, passes=passes, name=name)


def _copying_record(name: str, name_in_errors: str, has_number_kernels: bool, rank: Rank) -> Callable:
    """Return a function that applies the op to operands copied to the full shape; it returns None if none is copied."""

    def record_repeated(*xs: Expression) -> Expression | None:
        copies = _full_copies(name_in_errors, xs, rank, has_number_kernels)
        return None if copies is xs else OPS[name].record(*copies)

    return record_repeated


@dataclass(frozen=True)
class Columnwise:
    """What `axes.Along` needs to know about a function decorated with `columnwise`.

    `kernels` begins the names of its kernels; `constants` are the names of its plain numbers. `reduces` is true if x is
    the only operand and gets a gradient, and each column of x becomes one number.
    """

    kernels: str
    constants: Sequence[str]
    reduces: bool
    reference: Callable[..., Any]


COLUMNWISE: dict[str, Columnwise] = {}
"""All functions decorated with `columnwise`, by name."""


@written_as("@columnwise(reference=f), of a numpy function f that computes the same")
def columnwise(
    *,
    reference: Callable[..., Any],
    gradients: dict[str, Callable[..., Any]] | None = None,
    whole: bool = False,  # whether each batch element is one column
    name_in_errors: str = "",  # the op that errors name, by default this one
    is_op: bool = True,
    above: Mapping[str, float] = {},  # name of a plain number -> a limit that it must exceed
    **facts: Any,
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op that works on each column, such as softmax.

    The body is the formula of the result, as with `elementwise`. It may also reduce a column to one number, by
    `formula.sum`, `formula.max` or `formula.min`. If all operands are inside these three, the result is one number
    per column; if x is also the only operand, `axes.Along` can make ops that reduce any dimensions.

    Args:
        reference: the same function in numpy, on one batch element.
        gradients: formulas that replace derived gradients, as with `elementwise`.
        whole: whether each batch element is one column. If False, the elements along the first dimension are a column.
        name_in_errors: the op that errors name, if users call a different op, which calls this one.
        is_op: False if only `axes.Along` uses the function; then the function itself is returned.
        above: maps the name of a plain number to a limit that the number must exceed.
        facts: `domain`, `tolerance`, `tolerance_reason` and `samples`, as fields of `dynet_core.op.Op`.
    """

    def decorate(function: Function) -> Function:
        name, operands, numbers, formula = _parse_function(function, reference, gradients, above)
        differentiated = all_gradients(name, operands, formula, gradients or {}, *numbers)
        result_is_number = is_per_column(formula.result, [*map(formula_name, numbers)])
        check_name_is_free(function)
        rules = rules_of((*operands, *numbers), formula, differentiated, constants=numbers, reduces=result_is_number)
        kernels = KERNELS.add_defined(name, rules)
        reduces = result_is_number and (*operands,) == (*differentiated,) == ("x",)
        COLUMNWISE[name] = Columnwise(kernels, numbers, reduces, reference)
        if not is_op:
            return function

        @by_plain_dims
        def signature_of(*dims: Dim) -> Signature:
            shape = matched(name_in_errors or name, dims)
            batch, column_count = shape.batch, 1 if whole else shape.columns
            size = shape.size if whole else shape.rows
            dim = Dim.of((1,) if whole else shape.dims[1:] or (1,), batch) if result_is_number else shape
            views = column_views((column_count, batch), [(size, batch_stride(d)) for d in dims])
            views = [View(SELF, stride=1 if result_is_number else size), *views, *number_views(len(numbers))]
            return computed(kernels, dim, (size,), views, column_count * batch)

        if numbers or len(operands) > 2:
            record: Any = _python_record(function, numbers, signature_of, above, name_in_errors=name_in_errors)
        else:
            make = (one_operand, two_operands)[len(operands) - 1]
            record = recorder.describe(make(name_in_errors or name, signature_of), function)
        fields: dict[str, Any] = {"samples": _samples(function, len(operands), numbers, above), **facts}
        return register(
            record,
            reference=broadcasting(_with_defaults(function, numbers, reference)),
            differentiable=bool(differentiated),
            **fields,
        )

    return decorate


__all__ = ["Op", "Sample", "columnwise", "elementwise", "op"]
