"""Kernels that select or sort the elements of a column, and the scatter that computes their gradients.

Indices are int32s in the float32 memory. Elements are compared by integer keys (`_key`), in which NaN is the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import NUMBER, Effects, Kernel
from ..layout import ALONE
from ..tir import int64, let, load, serial, store, vector_loop
from ..tvm_modules import T, tirx
from .threads import Sums, share_of, thread_each_element

THREADS = 128
LOWEST = -(1 << 31)


@dataclass(frozen=True)
class LargestInOrder(Kernel):
    """y = the `chosen` (<= `size`) largest elements of x, in their order in x; indices = their indices in x.

    A binary search finds the key of the smallest of these elements, bit by bit.
    """

    parameters = ("size", "chosen", "y", "x", "indices")

    def effects(self, parameters):
        size, chosen, y, _, indices = parameters
        return Effects(((y, chosen), (indices, chosen)), 4 * NUMBER * size)

    def on_cpu(self, instruction, lanes):
        size, chosen, y_role, x_role, indices_role = instruction.parameters
        memory = instruction.memory
        one, none = tir.wide(1.0, lanes), tir.wide(0.0, lanes)

        with serial(instruction.count) as column:
            x = instruction.address(x_role, column)

            def count_from(limit, start=x):
                total = tir.Accumulator(lanes, none)

                def step(offset, mask):
                    key = _key(load(memory, let(start + offset), lanes, mask))
                    if mask is not None:
                        key = let(T.Select(mask, key, vmath.number(LOWEST, key, "int32")))
                    total.value += let(T.Select(key >= tir.wide(limit, lanes), one, none))

                vector_loop(size, lanes, step)
                return let(T.Cast("int64", vmath.horizontal(lambda a, b: a + b, let(total.value))))

            lower, step = tir.IntVariable(LOWEST), tir.IntVariable(1 << 31)
            with T.While(step.value > 0):
                reached = _halve(lower, step, count_from, chosen)
                with tir.when(reached == chosen):
                    # Exactly `chosen` keys are >= `lower`, so its remaining bits do not matter: end the loop.
                    step.value = 0
            threshold = let(T.Cast("int32", lower.value))
            above = tir.IntVariable(0)
            with tir.when(threshold < tirx.const((1 << 31) - 1, "int32")):
                above.value = count_from(let(threshold + tirx.const(1, "int32")))
            y, indices = instruction.addresses(column, y_role, indices_role)
            _put_in_order(memory, size, chosen, threshold, let(chosen - above.value), y, x, indices)

    def on_gpu(self, instruction):
        """Launch one block per column. All of its threads count keys; the first thread writes the results."""
        size, chosen, y_role, x_role, indices_role = instruction.parameters
        memory = instruction.memory
        column = instruction.thread("blockIdx.x", instruction.count)
        lane = instruction.thread("threadIdx.x", THREADS)
        sums = Sums(lane, THREADS, "int64")
        x = instruction.address(x_role, column)

        def count_from(limit):
            total = tir.IntVariable(0)
            with share_of(lane, THREADS, size) as element:
                total.value += T.Cast("int64", _key(load(memory, let(x + element))) >= limit)
            return sums.of_block(let(total.value), lambda a, b: a + b)

        lower, step = tir.IntVariable(LOWEST), tir.IntVariable(1 << 31)
        with serial(32):
            _halve(lower, step, count_from, chosen)
        threshold = let(T.Cast("int32", lower.value))
        last = tirx.const((1 << 31) - 1, "int32")
        following = let(T.Select(threshold < last, threshold + tirx.const(1, "int32"), threshold))
        counted = count_from(following)
        above = let(T.Select(threshold < last, counted, int64(0)))
        y, indices = instruction.addresses(column, y_role, indices_role)
        with tir.when(lane == 0):
            _put_in_order(memory, size, chosen, threshold, let(chosen - above), y, x, indices)


@dataclass(frozen=True)
class FallingOrder(Kernel):
    """y = x sorted from largest to smallest; order = indices, which has an index per element, in the same new order.

    An element's place is the number of elements that come before it, so the time is quadratic in `size`.
    """

    parameters = ("size", "y", "order", "x", "indices")

    def effects(self, parameters):
        size, y, order, *_ = parameters
        return Effects(((y, size), (order, size)), 4 * NUMBER * size * size)

    def on_cpu(self, instruction, lanes):
        with serial(instruction.count) as column:
            with serial(instruction.parameters[0]) as element:
                _put_by_rank(instruction, column, element)

    def on_gpu(self, instruction):
        """Launch one thread per element, which finds the element's place in the sorted column."""
        with thread_each_element(instruction, instruction.parameters[0]) as (column, element):
            _put_by_rank(instruction, column, element)


@dataclass(frozen=True)
class Scatter(Kernel):
    """target[indices[i]] += source[i] for each i < size. All indices must be within the target."""

    parameters = ("size", "target", "source", "indices")
    shared = ALONE

    def effects(self, parameters):
        size, target, *_ = parameters
        return Effects(((target, size),), shared=self.shared)

    def on_cpu(self, instruction, lanes):
        size, target_role, source_role, indices_role = instruction.parameters
        memory = instruction.memory
        with serial(instruction.count) as column:
            target, source, indices = instruction.addresses(column, target_role, source_role, indices_role)
            with serial(size) as element:
                address = let(target + _index_at(memory, let(indices + element)))
                store(memory, address, load(memory, address) + load(memory, let(source + element)))

    def on_gpu(self, instruction):
        """Launch one thread per element of the source; the additions are atomic."""
        size, target_role, source_role, indices_role = instruction.parameters
        memory = instruction.memory
        with thread_each_element(instruction, size) as (column, element):
            target, indices = instruction.addresses(column, target_role, indices_role)
            address = let(target + _index_at(memory, let(indices + element)))
            value = load(memory, let(instruction.address(source_role, column) + element))
            instruction.write(address, value, add=True)


def _key(x):
    """Return int32 keys that sort like the float32s x. -0 equals 0; NaN of either sign is above infinity."""
    lanes = vmath.lanes_of(x)
    bits = let(T.reinterpret(tir.vector_type("int32", lanes), x))
    sign = T.shift_right(bits, vmath.number(31, bits, "int32"))
    key = let(T.bitwise_xor(bits, T.bitwise_and(sign, vmath.number(0x7FFFFFFF, bits, "int32"))))
    minus_zero = vmath.number(-1, bits, "int32")
    key = let(T.Select(key == minus_zero, vmath.number(0, bits, "int32"), key))
    magnitude = let(T.bitwise_and(bits, vmath.number(0x7FFFFFFF, bits, "int32")))
    return let(T.Select(magnitude > vmath.number(0x7F800000, bits, "int32"), magnitude, key))


def _halve(lower, step, count_from, count):
    """Emit a step of the binary search for a key. Return how many keys are >= lower + step, with their old values."""
    # If this is at least `count`, add `step` to `lower`, which begins with LOWEST. Always halve `step`.
    candidate = let(lower.value + step.value)
    reached = count_from(let(T.Cast("int32", candidate)))
    with tir.when(reached >= count):
        lower.value = candidate
    step.value = T.shift_right(step.value, 1)
    return reached


def _put_in_order(memory, size, count, threshold, spare, y, x, indices):
    """Copy to y the elements of x with keys above `threshold`, and the first `spare` equal to it, and their indices."""
    filled, equals = tir.IntVariable(0), tir.IntVariable(spare)
    with serial(size) as element:
        value = load(memory, let(x + element))
        key = _key(value)
        equal = let(T.Cast("int64", key == threshold))
        taken = T.Or(key > threshold, T.And(key == threshold, equals.value > 0))
        with tir.when(T.And(taken, filled.value < count)):
            store(memory, let(y + filled.value), value)
            store(memory, let(indices + filled.value), T.reinterpret("float32", T.Cast("int32", element)))
            filled.value += 1
            equals.value = equals.value - equal


def _put_by_rank(instruction, column, element):
    """Store element `element` of x in y, and of `indices` in `order`, at its rank. Equal elements keep their order."""
    size, *roles = instruction.parameters
    memory = instruction.memory
    y, order, x, indices = instruction.addresses(column, *roles)
    value = load(memory, let(x + element))
    key = _key(value)
    rank = tir.IntVariable(0)
    with serial(size) as other:
        its_key = _key(load(memory, let(x + other)))
        before = T.Or(its_key > key, T.And(its_key == key, other < element))
        rank.value += T.Cast("int64", before)
    store(memory, let(y + rank.value), value)
    store(memory, let(order + rank.value), load(memory, let(indices + element)))


def _index_at(memory, address):
    """Load an index, an int32 stored in the float32 memory, as an int64."""
    return let(T.Cast("int64", T.reinterpret("int32", load(memory, address))))
