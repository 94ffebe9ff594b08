"""Update rules of trainers, such as p = p - rate * g.

For each element i < size of a column, which is a parameter or one row of a lookup table:

    p[i], s[i], ... = formulas of p[i], g[i], s[i], ..., n, ...    and    g[i] = 0

with the parameter p, its gradient g, the tensors s that the trainer keeps for each parameter (its states, of the same
size), and hyper-parameters n, which are single numbers. Address list 2 v holds the addresses of value number v, in the
order p, g, states, numbers.

The CPU emitter assumes that formulas have no reductions, so that threads can share the elements in any way. The kernels
are limited by memory bandwidth, so they read and write a few cache lines of each tensor at a time.

Parameters: (size,).
"""

from __future__ import annotations

from collections.abc import Callable

from ... import formula, tir, tuning
from ...formula import Formula, Symbol
from ...lazy import T
from ...tir import int64, let, unrolled_loop
from .columns import Column
from .rule import Rule

SMALL = 1e-37  # states of a smaller magnitude become 0; it is a little above the smallest normal float32


class UpdateRule(Rule):
    """A rule that overwrites several tensors of the same size, element by element."""

    def cpu(self, lanes):
        """Emit a CPU kernel that works on a few vectors of every tensor at a time.

        The elements of all columns, one column behind the other, are divided into one contiguous range per thread.
        """
        vectors = tuning.cpu(lanes).update.vectors

        def body(instruction):
            (size,) = instruction.parameters
            first, end = instruction.stretch(instruction.count * size, lanes)

            def some(number, begin, stop):
                """Update the elements [begin, stop) of a column."""
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
    """Return the rule that updates a parameter `p` and its states by formulas, and sets its gradient `g` to zero.

    Args:
        states: the names of the tensors that the trainer keeps for each parameter, in the order of its table.
        numbers: the names of the hyper-parameters, in the order in which the trainer passes them.
        formulas: functions that compute the new `p` and the new states, by name. Their arguments are any of the old
            `p`, the old states, `g` and the numbers.
    """
    rule = UpdateRule(("p", "g", *states, *numbers), {**formulas, "g": lambda: 0.0}, numbers=numbers)
    for name in states:
        given = rule.outputs[name]
        rule.outputs[name] = Formula(given.names, without_denormals(given.result))
    return rule


def without_denormals(x: Symbol) -> Symbol:
    """Return a formula: 0 where |x| < SMALL, else x. Many CPUs take a hundred cycles for an operation on such numbers.

    Otherwise, a running average of gradients that are zero would shrink to such a number and stay there, because 0.9
    times the smallest float32 rounds to itself.
    """
    return formula.where(formula.absolute(x) < SMALL, 0.0, x)
