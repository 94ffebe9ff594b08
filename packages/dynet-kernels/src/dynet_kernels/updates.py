"""The kernels of trainers: an update rule is a Rule of its own shape. Needs no TVM."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from . import formula
from .formula import Formula, Symbol
from .kernels import Adds, Alone
from .rule import Rule

SMALL = 1e-37  # what a state is held to be 0 below: somewhat above the smallest normal float32


class GradientNorm(Adds, Alone):
    """Adds up squared gradients; see families.norm."""

    parameters = ("size",)
    key = "gradient_norm"

    def cpu(self, lanes):
        return _family("norm").cpu(self, lanes)

    def cuda(self):
        return _family("norm").cuda(self)


class UpdateRule(Rule):
    """A rule that only sets tensors, all of one size."""

    def cpu(self, lanes):
        return _family("update").cpu(self, lanes)


def _family(name: str):
    return importlib.import_module(f".families.{name}", __package__)


def update_rule(states: tuple[str, ...], numbers: tuple[str, ...], **formulas: Callable) -> UpdateRule:
    """What an update sets the parameter `p` and its states to; it also sets the gradient `g` to zero.

    Args:
        states: names of tensors like the parameter, in the order of the trainer's table.
        numbers: names of hyper-parameters, in the order in which the trainer gives them.
        formulas: the new `p` and states, from what these were before, `g` and the numbers.
    """
    rule = UpdateRule(("p", "g", *states, *numbers), {**formulas, "g": lambda: 0.0}, numbers=numbers)
    for name in states:
        given = rule.outputs[name]
        rule.outputs[name] = Formula(given.names, without_denormals(given.result))
    return rule


def without_denormals(x: Symbol) -> Symbol:
    """x, or 0 where it is so small that many CPUs take a hundred cycles for each operation on it.

    An average of gradients that have become 0 would come to stay there: 0.9 times the smallest number is that number.
    """
    return formula.where(formula.absolute(x) < SMALL, 0.0, x)
