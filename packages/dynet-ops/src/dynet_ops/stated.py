"""Ops that are stated as formulas: their operands, gradients and kernels."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from dynet_core.annotations import Number
from dynet_core.errors import ArgumentError
from dynet_core.expression import Expression
from dynet_kernels import formula as f
from dynet_kernels.derivative import gradients as derived
from dynet_kernels.formula import Formula, is_number
from dynet_kernels.kernels import KERNELS
from dynet_kernels.rule import Rule


def operand_names(function: Callable) -> tuple[str, ...]:
    """The parameters of an op that are annotated as expressions; the others are attributes."""
    parameters = inspect.signature(function).parameters
    return tuple(name for name, p in parameters.items() if _is_expression(p.annotation))


def _is_expression(annotation) -> bool:
    return _names(annotation, "Expression", Expression)


def _names(annotation, name: str, meaning) -> bool:
    if isinstance(annotation, str):  # from __future__ import annotations
        return annotation.rpartition(".")[2] == name
    return annotation is meaning or annotation == meaning


def number_name(function: Callable) -> str:
    """The name of the second parameter of an op, if it is a plain number."""
    parameters = [*inspect.signature(function).parameters.values()]
    if len(parameters) != 2 or not _is_expression(parameters[0].annotation):
        return ""
    of = parameters[1].annotation
    return parameters[1].name if _names(of, "Number", Number) or _names(of, "float", float) else ""


def check_gradients(name: str, operands: Sequence[str], gradients: dict[str, Callable]) -> None:
    """Check that gradients are those of operands."""
    for operand in gradients:
        check_operand(name, operands, operand, "a gradient is given for")


def check_operand(name: str, operands: Sequence[str], operand: str, what: str) -> None:
    """Check that a name is that of an operand; `what` says what asks for it."""
    if operand not in operands:
        raise ArgumentError(
            f"{name}: {what} {operand!r}, which is no operand; "
            f"the operands are {', '.join(operands) or 'none: annotate them as Expression'}"
        )


def result_name(operands: Sequence[str]) -> str:
    """What formulas call the result: y, or z where an operand is called y."""
    return "z" if "y" in operands else "y"


def traced(function: Callable, operands: Sequence[str]) -> Formula:
    """The formula that is the body of an op."""
    for parameter in inspect.signature(function).parameters:
        check_operand(function.__name__, operands, parameter, "the formula asks for")
    return Formula.of(function)


def all_gradients(
    name: str, operands: Sequence[str], formula: Formula, stated: dict[str, Callable[..., Any]], *numbers: str
) -> dict[str, Formula]:
    """The gradients of operands: those that are stated, and for the others those that follow from the formula."""
    check_gradients(name, operands, stated)
    result = result_name(operands)
    named = {f"the gradient of {operand}": gradient for operand, gradient in stated.items()}
    check_names(name, named, *operands, *numbers, result, "d" + result)
    found = derived(formula, [operand for operand in operands if operand not in stated], result)
    found |= {operand: Formula.of(gradient) for operand, gradient in stated.items()}
    return {operand: found[operand] for operand in operands if operand in found}


def check_names(name: str, formulas: dict[str, Callable], *allowed: str) -> None:
    """Check that formulas ask for nothing but what there is."""
    for what, formula in formulas.items():
        for asked in inspect.signature(formula).parameters:
            if asked not in allowed:
                raise ArgumentError(f"{name}: {what} asks for {asked!r}; there are {', '.join(allowed)}")


def add_kernels(name: str, rules: dict[str, Rule]) -> str:
    """Add the kernels of an op, whose names end in these; what they begin with.

    That is the name of the op, unless it has been defined before with other formulas: kernels are never taken away.
    """
    for number in itertools.count(1):
        start = name if number == 1 else f"{name}.{number}"
        try:
            for end, rule in rules.items():
                KERNELS.add(start + end, rule)
            return start
        except ValueError:  # there is another one of that name
            pass
    raise AssertionError


def rules_of(operands: Sequence[str], formula: Formula, gradients: dict[str, Formula], **facts) -> dict[str, Rule]:
    """The rules of a formula and of its gradients, by the ends of their names: ``, `.da`, ..."""
    result = result_name(operands)
    views, numbers = (result, *operands), facts.get("numbers", ())
    rules = {"": Rule(views, {result: formula}, **facts)}
    for operand, gradient in gradients.items():
        if operand in numbers and not is_number(gradient.result, numbers):
            gradient = Formula(gradient.names, f.sum(gradient.result))
        rules[f".d{operand}"] = Rule(views, {"d" + operand: gradient}, **facts)
    return rules


def add_rules(name: str, operands: Sequence[str], formula: Formula, gradients: dict[str, Formula], **facts) -> None:
    """Add the kernels of a formula and of its gradients: `name`, `name.da`, ..."""
    for end, rule in rules_of(operands, formula, gradients, **facts).items():
        KERNELS.add(name + end, rule)
