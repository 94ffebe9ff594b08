"""Update rules as compiled code knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynet_kernels.kernels import KERNELS
from dynet_kernels.updates import GradientNorm, UpdateRule, update_rule

NORM = KERNELS.add("gradient_norm", GradientNorm())


@dataclass(frozen=True)
class Rule:
    """A kernel that updates parameters: how many states it keeps of each, and how many numbers it is told."""

    opcode: int
    states: int
    numbers: int


class Update(Rule):
    """An update rule: what it sets the parameter `p` and its states to.

    Args:
        name: names the kernel.
        states: names of tensors like the parameter that the trainer keeps; zero at first.
        numbers: names of what `Trainer._numbers` returns, in that order.
        formulas: the new `p` and states, from what these were before, the gradient `g` and the numbers.
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
"""The rule of weight decay: p becomes p - decay * p. It leaves gradients alone."""
