"""Update rules of trainers. A rule is stated as formulas, from which its kernel is compiled.

For each parameter, a rule may keep *states*: tensors of the parameter's shape, such as a moving average of gradients.
It also reads a few scalars in each update, such as the learning rate: its *numbers*. Compiled code refers to a kernel
by an integer, its *opcode*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynet_kernels.families.norm import GradientNorm
from dynet_kernels.families.rules import UpdateRule, update_rule
from dynet_kernels.table import KERNELS

NORM = KERNELS.add("gradient_norm", GradientNorm())  # the opcode of the kernel that sums the squares of gradients


class Rule:
    """An update rule with its compiled kernel, which is called `update.` and the name of the rule.

    Attributes:
        opcode: the opcode of the kernel.
        states: the names of the tensors that the rule keeps for each parameter. They have its shape and start at zero.
        numbers: the names of the scalars that the rule reads in each update.
        read: returns these numbers of a trainer, as in `Trainer._numbers`. `scale`, by which an update multiplies
            gradients, is a factor of `rate` unless the rule reads it. Others are attributes: `eps` is `trainer._eps`.
    """

    opcode: int
    states: tuple[str, ...]
    numbers: tuple[str, ...]
    read: Callable[..., tuple[float, ...]]

    def __init__(self, name: str, kernel: Any):
        self.opcode = KERNELS.add(KERNELS.add_defined(f"update.{name}", {"": kernel}, alone=True), kernel)
        self.states = tuple(name for name in kernel.views[2:] if name in kernel.outputs)
        self.numbers = kernel.views[2 + len(self.states) :]
        rate = "trainer._rate" if "scale" in self.numbers else "trainer._rate * scale"
        values = [{"rate": rate, "scale": "scale"}.get(name, f"trainer._{name}") for name in self.numbers]
        # Each update calls it: to read the attributes with `attrgetter` takes 200 ns more, of about 1 us in all.
        self.read = eval(f"lambda trainer, scale: ({''.join(value + ',' for value in values)})")


def update(function: Callable) -> Rule:
    """Return the update rule that a function states. Its kernel is called `update.` and the function's name.

    Args:
        function: takes the parameter `p`, its gradient `g`, the states and the numbers, and returns a dict with the new
            `p` and the new states. The numbers are the learning rate, `rate`; then, if it is a factor of its own,
            `scale`, by which the update multiplies gradients; then settings of the trainer.
    """
    return Rule(function.__qualname__, update_rule(function))


def without_states(name: str, *numbers: str, **formulas: Callable) -> Rule:
    """Return a rule that keeps no states, from formulas of what it changes: `p`, `g` or both."""
    return Rule(name, UpdateRule(("p", "g", *numbers), formulas, numbers=numbers))


CLEAR = without_states("clear", g=lambda: 0.0)  # only sets the gradients to zero; a trainer's own rule also does it
SHRINK = without_states("shrink", "decay", p=lambda p, decay: p - p * decay)  # weight decay; does not clear gradients
