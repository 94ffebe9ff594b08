"""Runs rules: elementwise work, reductions, softmax and their gradients, column by column.

Parameters: (size of a column).
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import rule as rules
from .. import tir, vmath
from ..evaluation import Evaluation
from ..tir import int64, let, load, store, vector_loop

THREADS = 128  # threads that share one column on a GPU
COMBINE = {
    rules.SUM: (lambda a, b: a + b, 0.0),
    rules.MAXIMUM: (vmath.maximum, float("-inf")),
    rules.MINIMUM: (vmath.minimum, float("inf")),
}


class Column:
    """The values one column of one instruction offers to the formulas, loaded when first asked for."""

    def __init__(self, rule, instruction, column):
        self.rule, self.instruction, self.column = rule, instruction, column
        self.memory = instruction.memory
        self.addresses, self.reduced = {}, {}
        for name in sorted(rule.reads | set(rule.outputs)):
            self.addresses[name] = instruction.address(int64(rule.role_of(name)), column)
        for name in sorted(rule.reads & rule.numbers):
            self.reduced[name] = load(self.memory, self.addresses[name], 1)

    def evaluate(self, formulas, offset, lanes, mask=None):
        """The values of formulas at one place of the column."""
        loaded = {}

        def value_of(name):
            if name in self.reduced:
                return tir.wide(self.reduced[name], lanes)
            if name not in loaded:
                loaded[name] = load(self.memory, self.addresses[name] + offset, lanes, mask)
            return loaded[name]

        def position_of():
            start = T.Cast("int32", offset)
            return T.Ramp(start, tirx.const(1, "int32"), lanes) if lanes > 1 else start

        evaluation = Evaluation([f.result for f in formulas], value_of, position_of, lanes)
        return [let(evaluation(formula.result)) for formula in formulas]

    def keep(self, reduction, value, offset, mask=None):
        """Put the term of a reduction where it is to be kept."""
        if reduction.keep:
            store(self.memory, let(self.addresses[reduction.keep] + offset), value, mask)

    def write(self, outputs, offset, lanes, mask=None, add=None):
        """Evaluate outputs at one place and put them where they belong."""
        values = self.evaluate(outputs.values(), offset, lanes, mask)
        for name, value in zip(outputs, values, strict=True):
            at = let(self.addresses[name] + offset)
            if name not in self.rule.accumulate:
                store(self.memory, at, value, mask)
            elif add:
                add(self.memory, at, value)
            else:
                store(self.memory, at, load(self.memory, at, lanes, mask) + value, mask)


def _outputs(rule, numbers: bool):
    return {name: formula for name, formula in rule.outputs.items() if (name in rule.numbers) == numbers}


def cpu(rule, lanes):
    """One column after the other, in vectors."""

    def body(instruction):
        (size,) = instruction.parameters
        with T.serial(int64(0), instruction.count) as number:
            column = Column(rule, instruction, number)
            for name, reduction in rule.reductions.items():
                column.reduced[name] = _reduce_vectors(column, reduction, size, lanes)
            if vectors := _outputs(rule, numbers=False):
                vector_loop(size, lanes, lambda offset, mask: column.write(vectors, offset, lanes, mask))
            if numbers := _outputs(rule, numbers=True):
                column.write(numbers, int64(0), 1)

    return tir.kernel(body, rule.parameters)


def _reduce_vectors(column, reduction, size, lanes):
    combine, identity = COMBINE[reduction.combine]
    start = tir.wide(tir.float32(identity), lanes)
    total = tir.Accumulator(lanes, start)

    def step(offset, mask):
        (value,) = column.evaluate([reduction.formula], offset, lanes, mask)
        column.keep(reduction, value, offset, mask)
        if mask is not None:
            value = let(T.Select(mask, value, start))
        total.set(combine(let(total.get()), value))

    vector_loop(size, lanes, step)
    return vmath.horizontal(combine, let(total.get()))


def cuda(rule):
    """A thread an element; with reductions, a block a column."""

    def body(instruction):
        (size,) = instruction.parameters
        vectors, numbers = _outputs(rule, numbers=False), _outputs(rule, numbers=True)
        if not rule.reductions:
            width = size if vectors else int64(1)
            blocks = T.floordiv(instruction.count * width + int64(255), int64(256))
            block = instruction.thread("blockIdx.x", blocks)
            number = let(block * int64(256) + instruction.thread("threadIdx.x", 256))
            with tir.when(number < instruction.count * width):
                column = Column(rule, instruction, let(T.floordiv(number, width)))
                place = let(T.floormod(number, width))
                if vectors:
                    column.write(vectors, place, 1, add=add_atomically)
                if numbers:
                    with tir.when(place == int64(0)):
                        column.write(numbers, int64(0), 1, add=add_atomically)
            return

        column = Column(rule, instruction, instruction.thread("blockIdx.x", instruction.count))
        lane = instruction.thread("threadIdx.x", THREADS)
        shared = T.alloc_buffer((THREADS,), "float32", scope="shared")
        turns = let(T.floordiv(size - lane + int64(THREADS - 1), int64(THREADS)))
        for name, reduction in rule.reductions.items():
            combine, identity = COMBINE[reduction.combine]
            total = tir.Accumulator(1, tir.float32(identity))
            with T.serial(int64(0), turns) as turn:
                place = let(lane + turn * int64(THREADS))
                (value,) = column.evaluate([reduction.formula], place, 1)
                column.keep(reduction, value, place)
                total.set(combine(let(total.get()), value))
            column.reduced[name] = _reduce_block(shared, lane, total.get(), combine)
        if numbers:
            with tir.when(lane == int64(0)):
                column.write(numbers, int64(0), 1, add=add_atomically)
        if vectors:
            with T.serial(int64(0), turns) as turn:
                column.write(vectors, let(lane + turn * int64(THREADS)), 1, add=add_atomically)

    return tir.kernel(body, rule.parameters)


def _reduce_block(shared, lane, value, combine):
    """All threads' values combined, for every thread. Reads stand outside conditions, where waiting is allowed."""
    T.buffer_store(shared, value, [lane])
    width = THREADS // 2
    while width:
        T.evaluate(T.tvm_storage_sync("shared"))
        partner = let(shared[T.floormod(lane + int64(width), int64(THREADS))])
        combined = let(combine(let(shared[lane]), partner))
        T.evaluate(T.tvm_storage_sync("shared"))
        with tir.when(lane < int64(width)):
            T.buffer_store(shared, combined, [lane])
        width //= 2
    T.evaluate(T.tvm_storage_sync("shared"))
    total = let(shared[0])
    T.evaluate(T.tvm_storage_sync("shared"))
    return total


def add_atomically(memory, at, value):
    """Several columns may feed one gradient, so threads meet there."""
    T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(memory[at]), value))
