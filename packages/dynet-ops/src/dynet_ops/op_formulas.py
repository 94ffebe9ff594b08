"""From a function whose body is a formula: the operands of its op, its gradients and its kernels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dynet_core.annotations import Number
from dynet_core.errors import ArgumentError
from dynet_core.graph.expression import Expression
from dynet_kernels import formula as f
from dynet_kernels.derivative import gradients as derived
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import REDUCTIONS, Formula, beneath, is_number
from dynet_kernels.table import KERNELS


def operand_names(function: Callable) -> tuple[str, ...]:
    """Return the parameters annotated as Expression."""
    return _annotated(function, ("Expression", Expression))


def number_names(function: Callable) -> tuple[str, ...]:
    """Return the parameters annotated as Number or float."""
    return _annotated(function, ("Number", Number), ("float", float))


def _annotated(function: Callable, *kinds: tuple[str, Any]) -> tuple[str, ...]:
    """Return the parameters annotated as one of some types, or by a text such as "dy.Number"."""
    given = {name: parameter.annotation for name, parameter in inspect.signature(function).parameters.items()}
    # Annotations are texts after `from __future__ import annotations`.
    last = {name: kind.rpartition(".")[2] if isinstance(kind, str) else kind for name, kind in given.items()}
    return tuple(name for name, kind in last.items() if any(kind == one for pair in kinds for one in pair))


def check_operand(name: str, operands: Sequence[str], operand: str, what: str, hint: str = "") -> None:
    """Raise ArgumentError if `operand` is not among `operands`. The message is `what`, the wrong name, then `hint`."""
    if operand not in operands:
        those = ", ".join(operands) or "none"
        raise ArgumentError(f"{name}: {what} {operand!r}, which is not an operand; the operands are {those}{hint}")


RESULT = "y"  # the name of an op's result in formulas and rules


def inner(name: str) -> str:
    """Return an argument's name in formulas, which no result and no gradient can have."""
    return "." + name


def result_names(name: str, arguments: Sequence[str]) -> tuple[str, str]:
    """Return what stated gradients call the result and its gradient: y, dy; z, dz; or result, dresult.

    It is the first of these pairs of which no argument has a name.
    """
    for result in ("y", "z", "result"):
        if not {result, "d" + result} & {*arguments}:
            return result, "d" + result
    raise ArgumentError(f"{name}: rename an argument, so that a gradient can ask for the result as y, z or result")


def formula_of(function: Callable, operands: Sequence[str]) -> Formula:
    """Return the formula in a function's body. Raise ArgumentError if a parameter is not among `operands`."""
    for parameter, given in inspect.signature(function).parameters.items():
        hint = f". Annotate an operand as `{parameter}: dy.Expression`, and a plain number as `{parameter}: dy.Number`"
        check_operand(function.__name__, operands, parameter, "the formula asks for", hint)
        is_plain = given.default is given.empty or parameter in number_names(function)
        if given.kind is not given.POSITIONAL_OR_KEYWORD or not is_plain:
            what = given if given.kind is given.POSITIONAL_OR_KEYWORD else f"the {given.kind.description} {given}"
            raise ArgumentError(f"{function.__name__}: {what} is neither a plain operand nor a number with a default")
    return Formula.of(function, {operand: inner(operand) for operand in operands})


OF_COLUMNS = ("first", "place", "position", *REDUCTIONS)  # what depends on how a value is divided into columns


def check_elementwise(name: str, formulas: Iterable[Formula]) -> None:
    """Raise ArgumentError if a formula of an elementwise op does not work on each element by itself."""
    for formula in formulas:
        for symbol in beneath(formula.result).values():
            if symbol.function in OF_COLUMNS:
                raise ArgumentError(
                    f"{name}: f.{symbol.function} is over a column, but this works on each element separately: make an "
                    "op by `columnwise`, or pass the number as an operand"
                )


def all_gradients(
    name: str, operands: Sequence[str], formula: Formula, stated: dict[str, Callable[..., Any]], *numbers: str
) -> dict[str, Formula]:
    """Return each operand's gradient: the one in `stated`, else the derivative. Plain `numbers` get none.

    An operand is left out if the result does not depend on it, or only through step functions such as `floor`.
    """
    result, gradient = result_names(name, (*operands, *numbers))
    allowed = (*operands, *numbers, result, gradient)
    for operand, function in stated.items():
        check_operand(name, operands, operand, "a gradient is given for")
        for asked in inspect.signature(function).parameters:
            if asked not in allowed:
                raise ArgumentError(
                    f"{name}: the gradient of {operand} asks for {asked!r}; there are {', '.join(allowed)}"
                )
    derivable = [inner(operand) for operand in operands if operand not in stated]
    found = derived(formula, derivable, RESULT, [inner(number) for number in numbers])
    names = {argument: inner(argument) for argument in (*operands, *numbers)} | {result: RESULT, gradient: "d" + RESULT}
    for operand, function in stated.items():
        found[inner(operand)] = Formula.of(function, names, f"{name}: the gradient of {operand}")
    return {operand: found[inner(operand)] for operand in operands if inner(operand) in found}


def rules_of(
    operands: Sequence[str],
    formula: Formula,
    gradients: dict[str, Formula],
    numbers: Sequence[str] = (),
    constants: Sequence[str] = (),
    one_number: bool = False,
) -> dict[str, Rule]:
    """Return kernels by the end of their names: "" for the formula, ".da" for the gradient of an operand a.

    `operands` include plain numbers. `numbers` have one number per column, `constants` one for all columns. With
    `one_number`, the result has one per column.
    """
    inners = tuple(map(inner, operands))
    facts = {"numbers": (*map(inner, numbers), *(RESULT,) * one_number), "constants": tuple(map(inner, constants))}
    rules = _rules(RESULT, inners, formula, {inner(name): found for name, found in gradients.items()}, **facts)
    return {end.replace(".d.", ".d"): rule for end, rule in rules.items()}


def _rules(
    result: str, operands: tuple[str, ...], formula: Formula, gradients: dict[str, Formula], **facts
) -> dict[str, Rule]:
    numbers = facts.get("numbers", ())
    rules = {"": Rule((result, *operands), {result: formula}, **facts)}
    for operand, gradient in gradients.items():
        if operand in numbers and not is_number(gradient.result, numbers):
            gradient = Formula(gradient.names, f.sum(gradient.result))
        rules[f".d{operand}"] = Rule((result, *operands), {"d" + operand: gradient}, **facts)
    return rules


def add_rules(
    name: str, operands: tuple[str, ...], formula: Formula, gradients: dict[str, Formula], result: str = "y", **facts
) -> None:
    """Add the kernels `name` and, for the gradient of an operand a, `name.da` to the table of kernels."""
    for end, rule in _rules(result, operands, formula, gradients, **facts).items():
        KERNELS.add(name + end, rule)
