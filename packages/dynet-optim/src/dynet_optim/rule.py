"""Update rules of trainers: formulas, from which a kernel is compiled.

A rule may keep *states* of each parameter, such as a moving average, and reads *numbers*, such as the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynet_kernels.families.norm import GradientNorm
from dynet_kernels.families.rules import UpdateRule, update_rule
from dynet_kernels.table import KERNELS

NORM = KERNELS.add("gradient_norm", GradientNorm())  # the opcode of the kernel that sums the squares of gradients


class TrainerRule:
    """An update rule and its compiled kernel, named `update.` plus the name of the rule.

    States start at zero, or, with `starts_as_values`, as the parameter's values. `read_numbers(trainer, scale)` returns
    the numbers that `number_names` lists: the value of `eps` is `trainer._eps`, and `rate` includes the gradients'
    factor `scale`, unless `scale` is one of them.
    """

    opcode: int
    state_names: tuple[str, ...]
    number_names: tuple[str, ...]
    read_numbers: Callable[..., tuple[float, ...]]

    def __init__(self, name: str, kernel: Any, starts_as_values: bool = False):
        self.opcode = KERNELS.add(KERNELS.add_defined(f"update.{name}", {"": kernel}, alone=True), kernel)
        self.starts_as_values = starts_as_values
        self.state_names = tuple(name for name in kernel.views[2:] if name in kernel.outputs)  # views 0, 1: p, g
        self.number_names = kernel.views[2 + len(self.state_names) :]
        rate = "trainer._rate" if "scale" in self.number_names else "trainer._rate * scale"
        sources = [{"rate": rate, "scale": "scale"}.get(name, f"trainer._{name}") for name in self.number_names]
        # Updates call `read_numbers`. With `attrgetter` instead of `eval`, an update would take 1.2 us instead of 1 us.
        self.read_numbers = eval(f"lambda trainer, scale: ({''.join(source + ',' for source in sources)})")


def update(function: Callable) -> TrainerRule:
    """Return the update rule that a function defines. Its kernel is named `update.` plus the function's name.

    Args:
        function: takes the parameter `p`, its gradient `g`, the states and the numbers, and returns a dict with the new
            `p` and the new states. The numbers are `rate`, the learning rate; `scale`, the factor of the gradients, if
            `rate` should not include it; and settings of the trainer.
    """
    return TrainerRule(function.__qualname__, update_rule(function))


def stateless_rule(name: str, *numbers: str, **formulas: Callable) -> TrainerRule:
    return TrainerRule(name, UpdateRule(("p", "g", *numbers), formulas, numbers=numbers))


CLEAR = stateless_rule("clear", g=lambda: 0.0)  # only sets gradients to zero, which trainers' rules also do
SHRINK = stateless_rule("shrink", "decay", p=lambda p, decay: p - p * decay)  # weight decay; does not clear gradients
