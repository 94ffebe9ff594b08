"""Update rules of trainers. A rule is stated as formulas, from which its kernel is compiled.

For each parameter, a rule may keep *states*: tensors of the parameter's shape, such as a moving average of gradients.
It also reads a few scalars in each update, such as the learning rate: its *numbers*. Compiled code refers to a kernel
by an integer, its *opcode*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynet_kernels.families.norm import GradientNorm
from dynet_kernels.families.rules import UpdateRule, update_rule
from dynet_kernels.table import KERNELS

NORM = KERNELS.add("gradient_norm", GradientNorm())  # the opcode of the kernel that sums the squares of gradients


@dataclass(frozen=True)
class Rule:
    """What `Table`, the class that updates all parameters of a trainer, needs to know about an update rule.

    Attributes:
        opcode: the opcode of the rule's kernel.
        states: how many tensors the rule keeps for each parameter, such as a moving average of gradients.
        numbers: how many scalars the rule reads in each update, such as the learning rate.
    """

    opcode: int
    states: int
    numbers: int


class Update(Rule):
    """An update rule that is stated as formulas: one for the new value of a parameter `p`, and one for each state.

    Args:
        name: the name of the rule. Its kernel is called `update.` and this name.
        states: the names of the tensors that the rule keeps for each parameter. They have its shape and start at zero.
        numbers: the names of the scalars that `Trainer._numbers` returns, in the order in which it returns them.
        formulas: functions that return new values. The keyword is `p` or the name of a state, whose new value it is.
            The names of a function's arguments say what it reads: the old `p`, old states, the gradient `g`, or some of
            `numbers`.
    """

    def __init__(self, name: str, states: tuple[str, ...], numbers: tuple[str, ...], **formulas: Callable):
        opcode = KERNELS.add_alone(f"update.{name}", update_rule(states, numbers, **formulas))
        super().__init__(opcode, len(states), len(numbers))


CLEAR = Update("clear", (), ())  # only sets the gradients to zero; a trainer's own rule also does it after changing `p`
SHRINK = Rule(
    KERNELS.add_alone(
        "update.shrink",
        UpdateRule(("p", "g", "decay"), {"p": lambda p, decay: p - p * decay}, numbers=("decay",)),
    ),
    states=0,
    numbers=1,
)
"""The rule of weight decay: p becomes p - decay * p. Unlike other rules, it does not clear the gradient."""
