"""Kernels that map scores x to probabilities y, which may be exactly 0 or at an upper bound u.

- sparsemax: y_i = max(0, x_i - t), where t makes the sum of y equal 1.
- constrained_softmax: y_i = min(u_i, exp(x_i) / s), where s makes the sum of y equal 1. If the sum of u is < 1, y = u.

The threshold, t or log(s), is found by iteration. Each round moves the threshold past some elements; the last
round passes none. A handful of rounds is usually enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import NUMBER, Effects, Kernel
from ..tir import float32, let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each

THREADS = 64  # threads per CUDA block: few, because each thread works on a whole column
START_THRESHOLD = 3.4e38  # the initial threshold of constrained softmax: x - log(u) is above it only for u = 0


@dataclass(frozen=True)
class Simplex(Kernel):
    """Sets y to "sparsemax" or "constrained_softmax" of the scores x.

    Address list 0 is y, 2 is x, and 4 is the bounds u. They must not overlap. A column has at least one element.
    """

    function: str
    parameters = ("size",)

    def effects(self, parameters):
        (size,) = parameters
        return Effects(((0, size),), 10 * NUMBER * size)  # 10: several rounds read the column

    def on_cpu(self, instruction, lanes):
        with serial(instruction.count) as column:
            self._emit(instruction, column, lanes)

    def on_gpu(self, instruction):
        """Launch one thread per column."""
        with thread_each(instruction, instruction.count, THREADS) as column:
            self._emit(instruction, column, 1)

    def _emit(self, instruction, column, lanes):
        array_count, emit = EMITTERS[self.function]
        emit(_ColumnEmitter(instruction, column, array_count, lanes))


class _ColumnEmitter:
    """Emits loops over the elements of a column. Array 0 is the result y, 1 the scores x, and 2 the bounds u."""

    def __init__(self, instruction, column, array_count, lanes):
        (self.size,) = instruction.parameters
        self.memory, self.lanes = instruction.memory, lanes
        self.addresses = [instruction.address(2 * array, column) for array in range(array_count)]

    def broadcast(self, value):
        return tir.broadcast(value, self.lanes)

    def constant(self, value):
        return self.broadcast(float32(value))

    def assign(self, target, formula, *sources):
        """Set each element of array `target` to a formula of that element of each array in `sources`."""

        def assign_vector(offset, mask):
            values = [load(self.memory, let(self.addresses[source] + offset), self.lanes, mask) for source in sources]
            store(self.memory, let(self.addresses[target] + offset), let(formula(*values)), mask)

        vector_loop(self.size, self.lanes, assign_vector)

    def reduce(self, combine, identity, formulas, *sources):
        """Return, for each of `formulas`, its values for all elements of the arrays `sources`, combined into one."""
        start = self.constant(identity)
        totals = [tir.Accumulator(self.lanes, start) for _ in formulas]

        def reduce_vector(offset, mask):
            values = [load(self.memory, let(self.addresses[source] + offset), self.lanes, mask) for source in sources]
            for total, formula in zip(totals, formulas):
                value = let(formula(*values))
                if mask is not None:
                    value = let(T.Select(mask, value, start))
                total.value = combine(let(total.value), value)

        vector_loop(self.size, self.lanes, reduce_vector)
        return [vmath.combine_lanes(combine, let(total.value)) for total in totals]

    def count_and_sum(self, condition, formula, *sources):
        """Return for how many elements `condition` is true, and the sum of `formula` over them."""
        one, zero = self.constant(1.0), self.constant(0.0)
        terms = [lambda *x: T.Select(condition(*x), one, zero), lambda *x: T.Select(condition(*x), formula(*x), zero)]
        return self.reduce(vmath.add, 0.0, terms, *sources)


def _move_until_stable(measure, move):
    """Emit a loop that moves a threshold until the number of elements on one side of it stays the same.

    measure() returns this number and a sum over the elements on this side; move(number, sum) then moves the threshold.
    """
    # All moves have the same direction, so there are no more rounds than elements.
    is_moving, previous = tir.IntVariable(1), tir.Accumulator(1, -1.0)
    with T.While(is_moving.value > 0):
        count, total = measure()
        with tir.when(count == let(previous.value)):
            is_moving.value = 0
        with tir.when(count != let(previous.value)):
            previous.value = count
            move(count, total)


def _sparsemax(column):
    """Emit y = max(0, z - t) with z = x - max(x), where t makes the sum of y equal 1."""
    # t = (the sum of the z above t, minus 1) / (the number of z above t). The search starts at t = -1 and raises t.
    (peak,) = column.reduce(vmath.maximum, float("-inf"), [lambda x: x], 1)
    peak = column.broadcast(peak)
    threshold = tir.Accumulator(1, -1.0)

    def measure_above():
        t = column.broadcast(let(threshold.value))
        return column.count_and_sum(lambda x: x - peak > t, lambda x: x - peak, 1)

    def raise_threshold(count, total):
        level = let((total - 1.0) / count)
        with tir.when(level > let(threshold.value)):  # rounding must not lower the threshold: the loop might not end
            threshold.value = level

    _move_until_stable(measure_above, raise_threshold)
    t = column.broadcast(let(threshold.value))
    column.assign(0, lambda x: vmath.maximum(let(x - peak - t), column.constant(0.0)), 1)


def _constrained_softmax(column):
    """Emit y = min(u, exp(x) / s), where s makes the sum of y equal 1; if the sum of u is less than 1, y = u."""
    # y = u where x - log(u) is above the threshold log(s). Until the end, y's memory holds x - log(u), the `key`.
    column.assign(0, lambda x, u: x - vmath.log(u), 1, 2)
    threshold = tir.Accumulator(1, START_THRESHOLD)
    # `mass` is the probability that remains for the elements below their bounds; `total` is their sum of exp(x - peak).
    peak, mass, total = (tir.Accumulator(1, 0.0) for _ in range(3))
    zero, lowest = column.constant(0.0), column.constant(float("-inf"))

    def measure_bounded():
        t = column.broadcast(let(threshold.value))
        return column.count_and_sum(lambda key, u: key > t, lambda key, u: u, 0, 2)

    def lower_threshold(_, bound_sum):
        t = column.broadcast(let(threshold.value))
        (highest,) = column.reduce(vmath.maximum, float("-inf"), [lambda key, x: T.Select(key > t, lowest, x)], 0, 1)
        wide_peak = column.broadcast(highest)

        def exponential(key, x):
            return T.Select(key > t, zero, let(vmath.exp(let(x - wide_peak))))

        (exponential_sum,) = column.reduce(vmath.add, 0.0, [exponential], 0, 1)
        peak.value = highest
        mass.value = T.max(float32(0.0), 1.0 - bound_sum)
        total.value = exponential_sum
        with tir.when(let(mass.value) > 0.0):
            level = let(highest + vmath.log(let(exponential_sum / let(mass.value))))
            with tir.when(level < let(threshold.value)):
                threshold.value = level

    _move_until_stable(measure_bounded, lower_threshold)
    t, highest = column.broadcast(let(threshold.value)), column.broadcast(let(peak.value))
    share = column.broadcast(let(let(mass.value) / let(total.value)))
    column.assign(0, lambda key, x, u: T.Select(key > t, u, let(let(vmath.exp(let(x - highest))) * share)), 0, 1, 2)


# `Simplex.function` -> (how many of the arrays y, x and u it uses: the first ones; the function that emits its code)
EMITTERS = {"sparsemax": (2, _sparsemax), "constrained_softmax": (3, _constrained_softmax)}
