"""Find the operands of an op, derive its gradients and make its kernels, from the function that holds its formula.

Ops such as `tanh` are Python functions whose body is a formula; decorators in `kinds.py` make ops of them. A `Formula`
is the tree of symbols that such a function returns if it is called with symbols. A `Rule` is a kernel that is stated as
formulas, from which its code is generated. An *operand* is an argument that is an expression and may get a gradient.
"""

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
    """Return the names of the parameters of an op that are annotated as Expression."""
    parameters = inspect.signature(function).parameters
    return tuple(name for name, p in parameters.items() if _is_expression(p.annotation))


def _is_expression(annotation) -> bool:
    return _is_named(annotation, "Expression", Expression)


def _is_named(annotation, name: str, meaning) -> bool:
    """Return whether an annotation is the type `meaning`, or a string with its name, such as "Number" or "dy.Number".

    `name` is the last part of such a string, here "Number".
    """
    if isinstance(annotation, str):  # annotations are strings after `from __future__ import annotations`
        return annotation.rpartition(".")[2] == name
    return annotation is meaning or annotation == meaning


def number_names(function: Callable) -> tuple[str, ...]:
    """Return the names of the parameters of an op that are annotated as plain numbers: as Number or float."""
    parameters = inspect.signature(function).parameters
    kinds = (("Number", Number), ("float", float))
    return tuple(name for name, p in parameters.items() if any(_is_named(p.annotation, *kind) for kind in kinds))


def number_parameter(function: Callable) -> str:
    """Return the name of an op's second parameter if its parameters are an expression and a plain number, else ""."""
    operands, numbers = operand_names(function), number_names(function)
    names = [*inspect.signature(function).parameters]
    return names[1] if len(operands) == len(numbers) == 1 and names == [*operands, *numbers] else ""


def check_gradients(name: str, operands: Sequence[str], gradients: dict[str, Callable]) -> None:
    """Raise ArgumentError unless each key of `gradients` is the name of an operand of the op `name`."""
    for operand in gradients:
        check_operand(name, operands, operand, "a gradient is given for")


def check_operand(name: str, operands: Sequence[str], operand: str, what: str) -> None:
    """Raise ArgumentError if `operand` is not among `operands`, the names of the operands of the op `name`.

    `what` is the part of the message before the wrong name, such as "a gradient is given for".
    """
    if operand not in operands:
        raise ArgumentError(
            f"{name}: {what} {operand!r}, which is no operand; "
            f"the operands are {', '.join(operands) or 'none: annotate them as Expression'}"
        )


def result_name(operands: Sequence[str]) -> str:
    """Return the name by which formulas of gradients refer to the op's result: y, or z if an operand is called y."""
    return "z" if "y" in operands else "y"


def formula_of(function: Callable, operands: Sequence[str]) -> Formula:
    """Return the formula that is the body of a function, by calling the function with symbols as arguments.

    Raises:
        ArgumentError: a parameter of the function is not among `operands`.
    """
    for parameter in inspect.signature(function).parameters:
        check_operand(function.__name__, operands, parameter, "the formula asks for")
    return Formula.of(function)


def all_gradients(
    name: str, operands: Sequence[str], formula: Formula, stated: dict[str, Callable[..., Any]], *numbers: str
) -> dict[str, Formula]:
    """Return the formula of each operand's gradient: the one in `stated` if there is one, else the derivative.

    Without a stated gradient, an operand is left out if the result does not depend on it, or depends on it only through
    step functions such as `floor`.

    Args:
        name: the name of the op, for messages.
        operands: the names of the operands.
        formula: the formula of the op's result.
        stated: operand -> a function whose body is the formula of its gradient.
        numbers: the names of the plain numbers that the formula reads. They get no gradient.
    """
    check_gradients(name, operands, stated)
    result = result_name(operands)
    named = {f"the gradient of {operand}": gradient for operand, gradient in stated.items()}
    check_names(name, named, *operands, *numbers, result, "d" + result)
    found = derived(formula, [operand for operand in operands if operand not in stated], result, numbers)
    found |= {operand: Formula.of(gradient) for operand, gradient in stated.items()}
    return {operand: found[operand] for operand in operands if operand in found}


def check_names(name: str, formulas: dict[str, Callable], *allowed: str) -> None:
    """Raise ArgumentError if a formula has a parameter that is not in `allowed`.

    Args:
        name: the name of the op, for the message.
        formulas: functions whose bodies are formulas. Each key is what the message calls the formula, such as "the
            gradient of x".
    """
    for what, formula in formulas.items():
        for asked in inspect.signature(formula).parameters:
            if asked not in allowed:
                raise ArgumentError(f"{name}: {what} asks for {asked!r}; there are {', '.join(allowed)}")


def add_kernels(name: str, rules: dict[str, Rule]) -> str:
    """Add the kernels of an op to the table of kernels, and return the beginning of their names.

    The names begin with the name of the op. If the op was defined before with other formulas, a number is appended to
    it, because the old kernels stay in the table.

    Args:
        name: the name of the op.
        rules: the kernels, by the ends of their names, as `rules_of` returns them.
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
    """Make a kernel that computes a formula, and for each of its gradients another kernel. Return them in a dict.

    The keys are the ends of the kernels' names: "" for the formula, ".da" for the gradient of an operand a.

    Args:
        operands: the names of the operands.
        formula: the formula of the op's result.
        gradients: the formula of each operand's gradient.
        facts: other arguments of `Rule`, such as `numbers`, the names of operands with one number per column.
    """
    result = result_name(operands)
    views, numbers = (result, *operands), facts.get("numbers", ())
    rules = {"": Rule(views, {result: formula}, **facts)}
    for operand, gradient in gradients.items():
        if operand in numbers and not is_number(gradient.result, numbers):
            gradient = Formula(gradient.names, f.sum(gradient.result))
        rules[f".d{operand}"] = Rule(views, {"d" + operand: gradient}, **facts)
    return rules


def add_rules(name: str, operands: Sequence[str], formula: Formula, gradients: dict[str, Formula], **facts) -> None:
    """Make kernels that compute a formula and its gradients, and add them to the table of kernels.

    The kernel for the formula is called `name`, the one for the gradient of an operand a `name.da`. The other arguments
    are as in `rules_of`.
    """
    for end, rule in rules_of(operands, formula, gradients, **facts).items():
        KERNELS.add(name + end, rule)
