"""Update rules of trainers: formulas, from which a kernel is compiled.

For each parameter, a rule may keep *states*, such as a moving average of gradients. It also reads *numbers* in each
update: scalars such as the learning rate.
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

    `states` and `numbers` are names; states begin at zero. `read` returns the values of the numbers for a trainer, as
    `Trainer._numbers` does: `eps` is `trainer._eps`, and `rate` has the factor `scale` unless the rule reads `scale`
    itself.
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
        # Each update calls it. Reading the attributes with `attrgetter` takes 200 ns more, of about 1 us in all.
        self.read = eval(f"lambda trainer, scale: ({''.join(value + ',' for value in values)})")


def update(function: Callable) -> Rule:
    """Return the update rule that a function states. Its kernel is called `update.` and the function's name.

    Args:
        function: takes the parameter `p`, its gradient `g`, the states and the numbers, and returns a dict with the new
            `p` and the new states. The numbers are the learning rate, `rate`; then, if it is a separate factor,
            `scale`, by which the update multiplies gradients; then settings of the trainer.
    """
    return Rule(function.__qualname__, update_rule(function))


def without_states(name: str, *numbers: str, **formulas: Callable) -> Rule:
    return Rule(name, UpdateRule(("p", "g", *numbers), formulas, numbers=numbers))


CLEAR = without_states("clear", g=lambda: 0.0)  # only sets the gradients to zero; a trainer's own rule also does it
SHRINK = without_states("shrink", "decay", p=lambda p, decay: p - p * decay)  # weight decay; does not clear gradients
