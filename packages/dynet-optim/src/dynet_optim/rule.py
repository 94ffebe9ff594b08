"""Update rules, each with its compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynet_kernels.families.norm import GradientNorm
from dynet_kernels.families.rules import UpdateRule, update_rule
from dynet_kernels.table import KERNELS

NORM = KERNELS.add("gradient_norm", GradientNorm())


@dataclass(frozen=True)
class Rule:
    """The kernel of an update: its opcode, its number of states per parameter, and how many numbers it reads."""

    opcode: int
    states: int
    numbers: int


class Update(Rule):
    """An update rule, made of formulas for the new parameter `p` and the new states.

    Args:
        name: the name of the kernel.
        states: the names of the tensors that the trainer keeps for each parameter, of its shape, zero at first.
        numbers: the names of the numbers that `Trainer._numbers` returns, in that order.
        formulas: the new value of `p` and of each state. They read the old `p`, the old states, the gradient `g` and
            the numbers.
    """

    def __init__(self, name: str, states: tuple[str, ...], numbers: tuple[str, ...], **formulas: Callable):
        opcode = KERNELS.add(f"update.{name}", update_rule(states, numbers, **formulas))
        super().__init__(opcode, len(states), len(numbers))


CLEAR = Update("clear", (), ())
SHRINK = Rule(
    KERNELS.add(
        "update.shrink",
        UpdateRule(("p", "g", "decay"), {"p": lambda p, decay: p - p * decay}, numbers=("decay",)),
    ),
    states=0,
    numbers=1,
)
"""The rule of weight decay: p becomes p - decay * p. Unlike other rules, it does not clear the gradient."""
