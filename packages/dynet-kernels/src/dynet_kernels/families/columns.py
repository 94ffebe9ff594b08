"""Runs rules: elementwise work, reductions, softmax and their gradients, column by column.

Parameters: (size of a column).
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import rule as rules
from .. import tir, tuning, vmath
from ..evaluation import Evaluation
from ..tir import int64, let, load, store, unrolled_loop

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

    def write(self, outputs, offsets, lanes, mask=None, add=None):
        """Evaluate outputs at some places, and put them where they belong when all are known."""
        values = [self.evaluate(outputs.values(), offset, lanes, mask) for offset in offsets]
        for name, parts in zip(outputs, zip(*values), strict=True):
            for offset, value in zip(offsets, parts, strict=True):
                at = let(self.addresses[name] + offset)
                if name not in self.rule.accumulate:
                    store(self.memory, at, value, mask)
                elif add:
                    add(self.memory, at, value)
                else:
                    store(self.memory, at, tir.added_to(self.instruction, self.memory, at, lanes, mask) + value, mask)


LIGHT = frozenset("add subtract multiply divide negative less less_equal equal where maximum minimum absolute".split())


def _outputs(rule, numbers: bool):
    return {name: formula for name, formula in rule.outputs.items() if (name in rule.numbers) == numbers}


def _weight(formulas):
    """About how many instructions formulas take, each symbol once."""
    symbols, stack = {}, [formula.result for formula in formulas]
    while stack:
        symbol = stack.pop()
        if id(symbol) not in symbols and symbol.function not in ("input", "constant"):
            symbols[id(symbol)] = symbol.function
            stack.extend(symbol.arguments)
    return sum(1 if function in LIGHT else 12 for function in symbols.values())


def _at_once(formulas, lanes):
    """How many vectors to work on at once: code that is heavy gains little, and takes long to compile."""
    sizes = tuning.cpu(lanes).columns
    return sizes.vectors if _weight(formulas) <= sizes.heaviest else 1


def cpu(rule, lanes):
    """One column after the other, in vectors."""

    def body(instruction):
        (size,) = instruction.parameters
        with T.serial(int64(0), instruction.count) as number:
            column = Column(rule, instruction, number)
            for name, reduction in rule.reductions.items():
                column.reduced[name] = _reduce_vectors(column, reduction, size, lanes)
            if outputs := _outputs(rule, numbers=False):
                vectors = _at_once(outputs.values(), lanes)
                unrolled_loop(size, lanes, vectors, lambda offsets, mask: column.write(outputs, offsets, lanes, mask))
            if numbers := _outputs(rule, numbers=True):
                column.write(numbers, [int64(0)], 1)

    return tir.kernel(body, rule.parameters, may_set=True)


def _reduce_vectors(column, reduction, size, lanes):
    combine, identity = COMBINE[reduction.combine]
    start = tir.wide(tir.float32(identity), lanes)
    vectors = _at_once([reduction.formula], lanes)
    chains = min(vectors, tuning.cpu(lanes).columns.chains)
    totals = [tir.Accumulator(lanes, start) for _ in range(chains)]

    def step(offsets, mask):
        values = [column.evaluate([reduction.formula], offset, lanes, mask)[0] for offset in offsets]
        for number, (offset, value) in enumerate(zip(offsets, values, strict=True)):
            column.keep(reduction, value, offset, mask)
            if mask is not None:
                value = let(T.Select(mask, value, start))
            total = totals[number % chains]
            total.set(combine(let(total.get()), value))

    unrolled_loop(size, lanes, vectors, step)
    for other in totals[1:]:
        totals[0].set(combine(let(totals[0].get()), let(other.get())))
    return vmath.horizontal(combine, let(totals[0].get()))


def cuda(rule):
    """A thread an element; with reductions, a block a column."""

    def body(instruction):
        (size,) = instruction.parameters
        vectors, numbers = _outputs(rule, numbers=False), _outputs(rule, numbers=True)
        if not rule.reductions:
            width = size if vectors else int64(1)
            number = thread_of_all(instruction, instruction.count * width)
            with tir.when(number < instruction.count * width):
                column = Column(rule, instruction, let(T.floordiv(number, width)))
                place = let(T.floormod(number, width))
                if vectors:
                    column.write(vectors, [place], 1, add=add_atomically)
                if numbers:
                    with tir.when(place == int64(0)):
                        column.write(numbers, [int64(0)], 1, add=add_atomically)
            return

        threads = tuning.cuda().threads
        column = Column(rule, instruction, instruction.thread("blockIdx.x", instruction.count))
        lane = instruction.thread("threadIdx.x", threads)
        shared = T.alloc_buffer((threads,), "float32", scope="shared")
        turns = let(T.floordiv(size - lane + int64(threads - 1), int64(threads)))
        for name, reduction in rule.reductions.items():
            combine, identity = COMBINE[reduction.combine]
            total = tir.Accumulator(1, tir.float32(identity))
            with T.serial(int64(0), turns) as turn:
                place = let(lane + turn * int64(threads))
                (value,) = column.evaluate([reduction.formula], place, 1)
                column.keep(reduction, value, place)
                total.set(combine(let(total.get()), value))
            column.reduced[name] = _reduce_block(shared, lane, total.get(), combine)
        if numbers:
            with tir.when(lane == int64(0)):
                column.write(numbers, [int64(0)], 1, add=add_atomically)
        if vectors:
            with T.serial(int64(0), turns) as turn:
                column.write(vectors, [let(lane + turn * int64(threads))], 1, add=add_atomically)

    return tir.kernel(body, rule.parameters)


def thread_of_all(instruction, count):
    """This thread's number, of at least `count` threads in blocks."""
    size = tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + int64(size - 1), int64(size)))
    return let(block * int64(size) + instruction.thread("threadIdx.x", size))


def _reduce_block(shared, lane, value, combine):
    """All threads' values combined, for every thread. Reads stand outside conditions, where waiting is allowed."""
    threads = tuning.cuda().threads
    T.buffer_store(shared, value, [lane])
    width = threads // 2
    while width:
        T.evaluate(T.tvm_storage_sync("shared"))
        partner = let(shared[T.floormod(lane + int64(width), int64(threads))])
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
