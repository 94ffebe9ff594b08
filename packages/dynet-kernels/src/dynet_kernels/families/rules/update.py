"""Update rules of trainers, such as p = p - rate * g. A column is a parameter or one row of a lookup table.

For each of its elements, a kernel sets p, s, ... = formulas of p, g, s, ..., n, ... and g = 0. g is the gradient of the
parameter p, s stands for states, which are tensors of its size such as the momentum, and n for hyperparameters, which
are single numbers. Address list 2 v is for array number v, in the order p, g, states, hyperparameters. The kernels are
limited by memory bandwidth, so they read and write a few cache lines of each tensor at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ... import formula, tuning
from ...formula import Formula, Symbol
from ...layout import BY_ROWS
from ...tir import int64, let, unrolled_loop
from ...tvm_modules import T
from .columns import Column
from .rule import Rule

SMALL = 1e-37  # a little above the smallest normal float32; see `without_denormals`


class UpdateRule(Rule):
    """A rule that overwrites several tensors of the same size, element by element. It must have no reductions."""

    shared, may_set = BY_ROWS, False

    def on_cpu(self, instruction, lanes):
        """Take the elements of all columns as one list. Each thread works on one contiguous range of it."""
        vectors = tuning.cpu(lanes).update.vectors
        (size,) = instruction.parameters
        first, end = instruction.stretch(instruction.count * size, lanes)

        def some(number, begin, stop):
            """Emit the update of the elements [begin, stop) of column `number`."""
            column = Column(self, instruction, number)

            def step(offsets, mask):
                column.write(self.outputs, [let(begin + offset) for offset in offsets], lanes, mask)

            unrolled_loop(let(stop - begin), lanes, vectors, step)

        width = let(T.max(size, int64(1)))
        with T.serial(let(T.floordiv(first, width)), let(T.floordiv(end + width - int64(1), width))) as number:
            begin = let(T.max(first - number * size, int64(0)))
            some(number, begin, let(T.max(T.min(end - number * size, size), begin)))


def update_rule(function: Callable) -> UpdateRule:
    """Return the rule that updates a parameter `p` and its states as `function` says, and sets its gradient `g` to 0.

    `function` takes the old `p`, `g`, the old states and then hyperparameters. It returns a dict of the new `p` and
    states: so the arguments that are in the dict, other than `p`, are the states.
    """
    names = tuple(inspect.signature(function).parameters)
    new = Formula.several(function)
    states = tuple(name for name in names if name in new and name != "p")
    if names[:2] != ("p", "g") or names[2 : 2 + len(states)] != states or {*new} != {"p", *states}:
        raise ValueError(
            f"{function.__name__} takes {', '.join(names)} and returns {', '.join(new)}: it must take p, g, the states "
            "and then numbers, and return a dict of the new p and the new states"
        )
    for name in states:
        new[name] = Formula(new[name].names, without_denormals(new[name].result))
    return UpdateRule(names, {**new, "g": lambda: 0.0}, numbers=names[2 + len(states) :])


def without_denormals(x: Symbol) -> Symbol:
    """Return the formula: 0 where |x| < SMALL, else x."""
    # Operations on smaller numbers (denormals) take a hundred cycles on many CPUs. A running average of zero gradients
    # would shrink to one and stay there: 0.9 times the smallest float32 rounds to itself.
    return formula.where(formula.absolute(x) < SMALL, 0.0, x)
