"""The update rules of trainers. They are bandwidth bound: each tensor is read and written some cache lines at a time.

Parameters: (size of a column).
"""

from __future__ import annotations

from collections.abc import Callable

from ... import formula, tir, tuning
from ...formula import Formula, Symbol
from ...lazy import T
from ...tir import int64, let, unrolled_loop
from .columns import Column
from .rule import Rule

SMALL = 1e-37  # smaller states become 0: just above the smallest normal float32


class UpdateRule(Rule):
    """A rule that overwrites tensors of one size."""

    def cpu(self, lanes):
        """Work on a few vectors of all tensors at a time. Threads share rows: stretches of all columns together."""
        vectors = tuning.cpu(lanes).update.vectors

        def body(instruction):
            (size,) = instruction.parameters
            first, end = instruction.stretch(instruction.count * size, lanes)

            def some(number, begin, stop):
                """Update elements begin..stop of a column."""
                column = Column(self, instruction, number)

                def step(offsets, mask):
                    column.write(self.outputs, [let(begin + offset) for offset in offsets], lanes, mask)

                unrolled_loop(let(stop - begin), lanes, vectors, step)

            width = let(T.max(size, int64(1)))
            with T.serial(let(T.floordiv(first, width)), let(T.floordiv(end + width - int64(1), width))) as number:
                begin = let(T.max(first - number * size, int64(0)))
                some(number, begin, let(T.max(T.min(end - number * size, size), begin)))

        return tir.kernel(body, self.parameters, shared=tir.ROWS)


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
    """x, or 0 where x is so small that many CPUs take a hundred cycles for each operation on it.

    A running average of zero gradients would stay at such a number: 0.9 times the smallest float32 rounds to itself.
    """
    return formula.where(formula.absolute(x) < SMALL, 0.0, x)
