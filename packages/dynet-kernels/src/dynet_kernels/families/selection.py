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
from .threads import BlockReducer, share_of, thread_each_element

THREADS = 128  # threads per CUDA block
LOWEST_KEY = -(1 << 31)  # the smallest int32


@dataclass(frozen=True)
class LargestInOrder(Kernel):
    """y = the `chosen` (<= `size`) largest elements of x, in their order in x; indices = their indices in x.

    A binary search finds the key of the smallest of these elements, bit by bit.
    """

    parameters = ("size", "chosen", "y", "x", "indices")

    def effects(self, parameters):
        size, chosen, y, _, indices = parameters
        return Effects(((y, chosen), (indices, chosen)), 4 * NUMBER * size)  # 4: the search reads x several times

    def on_cpu(self, instruction, lanes):
        size, chosen, y_role, x_role, indices_role = instruction.parameters
        memory = instruction.memory
        one, zero = tir.broadcast(1.0, lanes), tir.broadcast(0.0, lanes)

        with serial(instruction.count) as column:
            x = instruction.address(x_role, column)

            def count_keys_from(min_key, address=x):
                total = tir.Accumulator(lanes, zero)

                def count_vector(offset, mask):
                    key = _key(load(memory, let(address + offset), lanes, mask))
                    if mask is not None:
                        key = let(T.Select(mask, key, vmath.broadcast_like(LOWEST_KEY, key, "int32")))
                    total.value += let(T.Select(key >= tir.broadcast(min_key, lanes), one, zero))

                vector_loop(size, lanes, count_vector)
                return let(T.Cast("int64", vmath.combine_lanes(lambda a, b: a + b, let(total.value))))

            lower, step = tir.IntVariable(LOWEST_KEY), tir.IntVariable(1 << 31)
            with T.While(step.value > 0):
                reached = _search_step(lower, step, count_keys_from, chosen)
                with tir.when(reached == chosen):
                    # Exactly `chosen` keys are >= `lower`, so its remaining bits do not matter: end the loop.
                    step.value = 0
            threshold = let(T.Cast("int32", lower.value))
            count_above = tir.IntVariable(0)
            with tir.when(threshold < tirx.const((1 << 31) - 1, "int32")):  # else no key is above the threshold
                count_above.value = count_keys_from(let(threshold + tirx.const(1, "int32")))
            y, indices = instruction.addresses(column, y_role, indices_role)
            _put_in_order(memory, size, chosen, threshold, let(chosen - count_above.value), y, x, indices)

    def on_gpu(self, instruction):
        """Launch one block per column. All of its threads count keys; the first thread writes the results."""
        size, chosen, y_role, x_role, indices_role = instruction.parameters
        memory = instruction.memory
        column = instruction.thread("blockIdx.x", instruction.count)
        thread = instruction.thread("threadIdx.x", THREADS)
        sums = BlockReducer(thread, THREADS, "int64")
        x = instruction.address(x_role, column)

        def count_keys_from(min_key):
            total = tir.IntVariable(0)
            with share_of(thread, THREADS, size) as element:
                total.value += T.Cast("int64", _key(load(memory, let(x + element))) >= min_key)
            return sums.fold_block(let(total.value), lambda a, b: a + b)

        lower, step = tir.IntVariable(LOWEST_KEY), tir.IntVariable(1 << 31)
        with serial(32):  # a step for each bit of a key
            _search_step(lower, step, count_keys_from, chosen)
        threshold = let(T.Cast("int32", lower.value))
        highest_key = tirx.const((1 << 31) - 1, "int32")
        next_key = let(T.Select(threshold < highest_key, threshold + tirx.const(1, "int32"), threshold))
        counted = count_keys_from(next_key)  # without a condition: all threads must reach the barriers in it
        count_above = let(T.Select(threshold < highest_key, counted, int64(0)))
        y, indices = instruction.addresses(column, y_role, indices_role)
        with tir.when(thread == 0):
            _put_in_order(memory, size, chosen, threshold, let(chosen - count_above), y, x, indices)


@dataclass(frozen=True)
class FallingOrder(Kernel):
    """y = x sorted from largest to smallest; order = `indices`, one for each element of x, in the order of y.

    For each element, all elements that come before it in y are counted. So the time is quadratic in `size`.
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
        """Launch one thread per element, which finds the element's position in the sorted column."""
        with thread_each_element(instruction, instruction.parameters[0]) as (column, element):
            _put_by_rank(instruction, column, element)


@dataclass(frozen=True)
class Scatter(Kernel):
    """target[indices[i]] += source[i] for each i < size. All indices must be within the target."""

    parameters = ("size", "target", "source", "indices")
    shared = ALONE

    def effects(self, parameters):
        size, target, *_ = parameters
        return Effects(((target, size),), shared=self.shared)  # one thread runs this kernel, so `size` does not matter

    def on_cpu(self, instruction, lanes):
        size, target_role, source_role, indices_role = instruction.parameters
        memory = instruction.memory
        with serial(instruction.count) as column:
            target, source, indices = instruction.addresses(column, target_role, source_role, indices_role)
            with serial(size) as element:
                address = let(target + _load_index(memory, let(indices + element)))
                store(memory, address, load(memory, address) + load(memory, let(source + element)))

    def on_gpu(self, instruction):
        """Launch one thread per element of the source; the additions are atomic."""
        size, target_role, source_role, indices_role = instruction.parameters
        memory = instruction.memory
        with thread_each_element(instruction, size) as (column, element):
            target, indices = instruction.addresses(column, target_role, indices_role)
            address = let(target + _load_index(memory, let(indices + element)))
            value = load(memory, let(instruction.address(source_role, column) + element))
            instruction.write(address, value, add=True)


def _key(x):
    """Return int32 keys that sort like the float32s x. -0 equals 0; NaN of either sign is above infinity."""
    lanes = vmath.lanes_of(x)
    bits = let(T.reinterpret(tir.vector_type("int32", lanes), x))
    sign = T.shift_right(bits, vmath.broadcast_like(31, bits, "int32"))
    key = let(T.bitwise_xor(bits, T.bitwise_and(sign, vmath.broadcast_like(0x7FFFFFFF, bits, "int32"))))
    minus_zero = vmath.broadcast_like(-1, bits, "int32")
    key = let(T.Select(key == minus_zero, vmath.broadcast_like(0, bits, "int32"), key))
    magnitude = let(T.bitwise_and(bits, vmath.broadcast_like(0x7FFFFFFF, bits, "int32")))
    return let(T.Select(magnitude > vmath.broadcast_like(0x7F800000, bits, "int32"), magnitude, key))


def _search_step(lower_bound, step, count_keys_from, min_count):
    """Emit a step of the binary search for a key. Return how many keys are >= the old lower + step."""
    # If this is at least `min_count`, add `step` to `lower_bound`, which begins as LOWEST_KEY. Always halve `step`.
    candidate = let(lower_bound.value + step.value)
    reached = count_keys_from(let(T.Cast("int32", candidate)))
    with tir.when(reached >= min_count):
        lower_bound.value = candidate
    step.value = T.shift_right(step.value, 1)
    return reached


def _put_in_order(memory, size, chosen_count, threshold, equal_count, y, x, indices):
    """Store the elements of x with keys above `threshold`, the first `equal_count` equal to it, and their indices."""
    filled, equal_left = tir.IntVariable(0), tir.IntVariable(equal_count)
    with serial(size) as element:
        value = load(memory, let(x + element))
        key = _key(value)
        equal = let(T.Cast("int64", key == threshold))
        taken = T.Or(key > threshold, T.And(key == threshold, equal_left.value > 0))
        with tir.when(T.And(taken, filled.value < chosen_count)):
            store(memory, let(y + filled.value), value)
            store(memory, let(indices + filled.value), T.reinterpret("float32", T.Cast("int32", element)))
            filled.value += 1
            equal_left.value = equal_left.value - equal


def _put_by_rank(instruction, column, element):
    """Store element `element` of x in y, and of `indices` in `order`, at its rank. Equal elements keep their order."""
    size, *roles = instruction.parameters
    memory = instruction.memory
    y, order, x, indices = instruction.addresses(column, *roles)
    value = load(memory, let(x + element))
    key = _key(value)
    rank = tir.IntVariable(0)
    with serial(size) as other:
        other_key = _key(load(memory, let(x + other)))
        before = T.Or(other_key > key, T.And(other_key == key, other < element))
        rank.value += T.Cast("int64", before)
    store(memory, let(y + rank.value), value)
    store(memory, let(order + rank.value), load(memory, let(indices + element)))


def _load_index(memory, address):
    """Load an index, an int32 stored in the float32 memory, as an int64."""
    return let(T.Cast("int64", T.reinterpret("int32", load(memory, address))))
