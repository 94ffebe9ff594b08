"""Kernels that map a column of scores x to probabilities y of the same size, some of which are exactly 0 or at a bound.

- sparsemax: y_i = max(0, x_i - t), where t makes the sum of y equal 1.
- constrained_softmax, with upper bounds u: y_i = min(u_i, exp(x_i) / s), where s makes the sum of y equal 1. If the sum
  of u is less than 1, then y = u.

Both need a threshold. For sparsemax it is t. For constrained_softmax it is log(s): the elements with x_i - log(u_i)
above it have y_i = u_i. An iteration finds the threshold. Each round moves it, always in the same direction, so that
some elements get to its other side. The iteration ends when no element did. So there are at most as many rounds as
elements; usually there are a handful.

The emitters assume that y, x and u do not overlap, and that a column has at least one element.

Parameters: (size,). Address lists: 0 holds the addresses of y, 2 those of x, and 4 those of u. Terms such as column and
address list: see `families/__init__.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..functions import vmath
from ..kernels import NUMBER, Effects, Kernel
from ..tir import float32, int64, let, load, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each

THREADS = 64  # threads per CUDA block; few, because each thread works on a whole column
# The first threshold of constrained softmax: x - log(u) is below it for every u > 0, and above it for u = 0, because
# -log(0) is infinite.
LARGEST = 3.4e38


@dataclass(frozen=True)
class Simplex(Kernel):
    """Maps each column of scores to probabilities, by the function "sparsemax" or "constrained_softmax"."""

    function: str
    parameters = ("size",)

    def effects(self, parameters):
        (size,) = parameters
        return Effects(((0, size),), 10 * NUMBER * size)

    def on_cpu(self, instruction, lanes):
        views, emit = EMITTERS[self.function]
        with T.serial(int64(0), instruction.count) as number:
            emit(_Column(instruction, number, views, lanes))

    def on_gpu(self, instruction):
        """Emit a CUDA kernel with one thread per column."""
        views, emit = EMITTERS[self.function]
        with thread_each(instruction, instruction.count, THREADS) as number:
            emit(_Column(instruction, number, views, 1))


class _Column:
    """Emits loops over the elements of one column of the instruction.

    Methods refer to the arrays of the column by number: 0 is the result y, 1 the scores x, 2 the bounds u.
    """

    def __init__(self, instruction, number, views, lanes):
        (self.size,) = instruction.parameters
        self.memory, self.lanes = instruction.memory, lanes
        self.at = [instruction.address(int64(2 * view), number) for view in range(views)]

    def wide(self, value):
        return tir.wide(value, self.lanes)

    def constant(self, value):
        return self.wide(float32(value))

    def each(self, view, formula, *reads):
        """Emit a loop that sets each element i of array `view` to formula(element i of each array in `reads`)."""

        def step(offset, mask):
            values = [load(self.memory, let(self.at[read] + offset), self.lanes, mask) for read in reads]
            store(self.memory, let(self.at[view] + offset), let(formula(*values)), mask)

        vector_loop(self.size, self.lanes, step)

    def reduce(self, combine, identity, formulas, *reads):
        """Emit a loop that reduces each formula: evaluates it for every element, and combines the values to one number.

        Args:
            combine: emits the combination of two values, such as their sum.
            identity: the value that changes nothing when it is combined with another.
            formulas: functions that are called with element i of each array in `reads`.

        Returns:
            The resulting number for each formula.
        """
        start = self.constant(identity)
        totals = [tir.Accumulator(self.lanes, start) for _ in formulas]

        def step(offset, mask):
            values = [load(self.memory, let(self.at[read] + offset), self.lanes, mask) for read in reads]
            for total, formula in zip(totals, formulas):
                value = let(formula(*values))
                if mask is not None:
                    value = let(T.Select(mask, value, start))
                total.set(combine(let(total.get()), value))

        vector_loop(self.size, self.lanes, step)
        return [vmath.horizontal(combine, let(total.get())) for total in totals]


def _sum(a, b):
    return a + b


def _rounds(side, move):
    """Emit the loop that finds a threshold.

    Args:
        side: side() emits code and returns two results of it: how many elements are on one side of the threshold, and a
            sum over these elements. The loop ends when their number is the same as in the round before.
        move: if the number has changed, move(number, sum) emits the code that moves the threshold.
    """
    going, previous = tir.IntVariable(int64(1)), tir.Accumulator(1, float32(-1.0))
    with T.While(going.get() > int64(0)):
        count, total = side()
        with tir.when(count == let(previous.get())):
            going.set(int64(0))
        with tir.when(count != let(previous.get())):
            previous.set(count)
            move(count, total)


def _sparsemax(column):
    """Emit sparsemax: y = max(0, z - t) with z = x - max(x), where the sum of y must be 1.

    So t = (the sum of the z above t, minus 1) / (how many z are above t). The iteration starts at t = -1, and t rises.
    """
    (peak,) = column.reduce(vmath.maximum, float("-inf"), [lambda x: x], 1)
    peak = column.wide(peak)
    threshold = tir.Accumulator(1, float32(-1.0))
    zero, one = column.constant(0.0), column.constant(1.0)

    def above():
        t = column.wide(let(threshold.get()))
        return column.reduce(
            _sum,
            0.0,
            [
                lambda x: T.Select(x - peak > t, one, zero),
                lambda x: T.Select(x - peak > t, x - peak, zero),
            ],
            1,
        )

    def raise_threshold(count, total):
        level = let((total - float32(1.0)) / count)
        with tir.when(level > let(threshold.get())):  # never lower it because of a rounding error: the loop must end
            threshold.set(level)

    _rounds(above, raise_threshold)
    t = column.wide(let(threshold.get()))
    column.each(0, lambda x: vmath.maximum(let(x - peak - t), zero), 1)


def _constrained_softmax(column):
    """Emit constrained softmax, y = min(u, exp(x) / s): y = u where x - log(u) is above a threshold, which is log(s).

    The y of all other elements are in proportion to exp(x), so that all y together have the sum 1. Until the end, the
    memory of the result holds x - log(u).
    """
    column.each(0, lambda x, u: x - vmath.log(u), 1, 2)
    threshold = tir.Accumulator(1, float32(LARGEST))
    peak, mass, total = (tir.Accumulator(1, float32(0.0)) for _ in range(3))
    zero, one, lowest = column.constant(0.0), column.constant(1.0), column.constant(float("-inf"))

    def held():
        t = column.wide(let(threshold.get()))
        return column.reduce(
            _sum,
            0.0,
            [lambda key, u: T.Select(key > t, one, zero), lambda key, u: T.Select(key > t, u, zero)],
            0,
            2,
        )

    def lower_threshold(_, bounds):
        t = column.wide(let(threshold.get()))
        (highest,) = column.reduce(vmath.maximum, float("-inf"), [lambda key, x: T.Select(key > t, lowest, x)], 0, 1)
        wide_peak = column.wide(highest)
        (exponentials,) = column.reduce(
            _sum,
            0.0,
            [lambda key, x: T.Select(key > t, zero, let(vmath.exp(let(x - wide_peak))))],
            0,
            1,
        )
        peak.set(highest)
        mass.set(T.max(float32(0.0), float32(1.0) - bounds))
        total.set(exponentials)
        with tir.when(let(mass.get()) > float32(0.0)):
            level = let(highest + vmath.log(let(exponentials / let(mass.get()))))
            with tir.when(level < let(threshold.get())):
                threshold.set(level)

    _rounds(held, lower_threshold)
    t, highest = column.wide(let(threshold.get())), column.wide(let(peak.get()))
    share = column.wide(let(let(mass.get()) / let(total.get())))
    column.each(
        0,
        lambda key, x, u: T.Select(key > t, u, let(let(vmath.exp(let(x - highest))) * share)),
        0,
        1,
        2,
    )


# For each function: how many of the arrays y, x and u it has, and what emits its code for a `_Column`.
EMITTERS = {"sparsemax": (2, _sparsemax), "constrained_softmax": (3, _constrained_softmax)}
