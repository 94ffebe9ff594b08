"""Operand names, gradients and kernels of an op, from the function that holds its formula."""

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
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Formula, is_number
from dynet_kernels.table import KERNELS


def operand_names(function: Callable) -> tuple[str, ...]:
    """Return the parameters of an op that are annotated as Expression. The others are attributes."""
    parameters = inspect.signature(function).parameters
    return tuple(name for name, p in parameters.items() if _is_expression(p.annotation))


def _is_expression(annotation) -> bool:
    return _is_named(annotation, "Expression", Expression)


def _is_named(annotation, name: str, meaning) -> bool:
    """Whether an annotation is the type `meaning`, or a string that ends in its name."""
    if isinstance(annotation, str):  # from __future__ import annotations
        return annotation.rpartition(".")[2] == name
    return annotation is meaning or annotation == meaning


def number_names(function: Callable) -> tuple[str, ...]:
    """Return the parameters of an op that are annotated as plain numbers."""
    parameters = inspect.signature(function).parameters
    kinds = (("Number", Number), ("float", float))
    return tuple(name for name, p in parameters.items() if any(_is_named(p.annotation, *kind) for kind in kinds))


def number_parameter(function: Callable) -> str:
    """Return the name of the second parameter of an op if it is annotated as a plain number, else ""."""
    operands, numbers = operand_names(function), number_names(function)
    names = [*inspect.signature(function).parameters]
    return names[1] if len(operands) == len(numbers) == 1 and names == [*operands, *numbers] else ""


def check_gradients(name: str, operands: Sequence[str], gradients: dict[str, Callable]) -> None:
    """Raise ArgumentError if a gradient is given for something that is not an operand."""
    for operand in gradients:
        check_operand(name, operands, operand, "a gradient is given for")


def check_operand(name: str, operands: Sequence[str], operand: str, what: str) -> None:
    """Raise ArgumentError if `operand` is not the name of an operand; `what` says who asks for it."""
    if operand not in operands:
        raise ArgumentError(
            f"{name}: {what} {operand!r}, which is no operand; "
            f"the operands are {', '.join(operands) or 'none: annotate them as Expression'}"
        )


def result_name(operands: Sequence[str]) -> str:
    """Return the name of the result in formulas: y, or z if an operand is called y."""
    return "z" if "y" in operands else "y"


def formula_of(function: Callable, operands: Sequence[str]) -> Formula:
    """Return the formula in the body of an op."""
    for parameter in inspect.signature(function).parameters:
        check_operand(function.__name__, operands, parameter, "the formula asks for")
    return Formula.of(function)


def all_gradients(
    name: str, operands: Sequence[str], formula: Formula, stated: dict[str, Callable[..., Any]], *numbers: str
) -> dict[str, Formula]:
    """Return the gradient of each operand: the one in `stated` if there is one, else the derivative of the formula."""
    check_gradients(name, operands, stated)
    result = result_name(operands)
    named = {f"the gradient of {operand}": gradient for operand, gradient in stated.items()}
    check_names(name, named, *operands, *numbers, result, "d" + result)
    found = derived(formula, [operand for operand in operands if operand not in stated], result, numbers)
    found |= {operand: Formula.of(gradient) for operand, gradient in stated.items()}
    return {operand: found[operand] for operand in operands if operand in found}


def check_names(name: str, formulas: dict[str, Callable], *allowed: str) -> None:
    """Raise ArgumentError if a formula has a parameter that is not in `allowed`."""
    for what, formula in formulas.items():
        for asked in inspect.signature(formula).parameters:
            if asked not in allowed:
                raise ArgumentError(f"{name}: {what} asks for {asked!r}; there are {', '.join(allowed)}")


def add_kernels(name: str, rules: dict[str, Rule]) -> str:
    """Add the kernels of an op, and return the start of their names; the keys of `rules` are the ends.

    The start is the name of the op. If the op was defined before with other formulas, a number is appended, because
    kernels are never removed.
    """
    for number in itertools.count(1):
        start = name if number == 1 else f"{name}.{number}"
        try:
            for end, rule in rules.items():
                KERNELS.add(start + end, rule)
            return start
        except ValueError:  # another kernel has this name
            pass
    raise AssertionError


def rules_of(operands: Sequence[str], formula: Formula, gradients: dict[str, Formula], **facts) -> dict[str, Rule]:
    """Return the rules of a formula and of its gradients, by the ends of their names: ``, `.da`, ..."""
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
