"""Rules for columns whose elements are interleaved, such as the rows of a matrix that is stored column by column."""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir
from ...kernels import Effects, Kernel
from ...tir import int64, let, load, store, vector_loop
from ...tvm_modules import T
from ..threads import add_atomically, thread_each
from .columns import Totals, multiples
from .evaluation import Evaluation
from .rule import Rule


@dataclass(frozen=True)
class Across(Kernel):
    """Applies a rule to `width` interleaved columns of `size` elements: element i of column w is at i * width + w.

    So a rule works along any dimension of a tensor without a transpose. One column of the instruction stands for all
    `width`. Each lane of a vector is another of them, so reductions need not add up lanes. A value with one number per
    column (`Rule.numbers`) is `width` contiguous floats. Gradients are always added to their targets, never set.
    Outputs must not overlap with inputs, except that without reductions they may be the same memory.
    """

    rule: Rule
    parameters = ("size", "width")

    @property
    def key(self) -> str:
        return f"across({self.rule.key})"

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        size, width = parameters
        of = self.rule.effects((size,))
        writes = tuple((role, floats * width) for role, floats in of.writes)
        return of._replace(writes=writes, work=of.work * width, covers=False)

    def on_cpu(self, instruction, lanes):
        size, width = instruction.parameters

        with T.serial(int64(0), instruction.count) as number:
            vector_loop(
                width,
                lanes,
                lambda offset, mask: Columns(self.rule, instruction, number, offset, lanes, mask).run(size),  # noqa: B023
            )

    def on_gpu(self, instruction):
        """Launch one thread per interleaved column: neighboring threads read neighboring floats."""
        size, width = instruction.parameters
        with thread_each(instruction, instruction.count * width) as number:
            column, offset = let(T.floordiv(number, width)), let(T.floormod(number, width))
            Columns(self.rule, instruction, column, offset, 1).run(size, add_atomically)


class Columns:
    """Emits a rule for `lanes` neighboring interleaved columns, from `offset` on, of column `number`."""

    def __init__(self, rule, instruction, number, offset, lanes, mask=None):
        _, self.width = instruction.parameters
        self.rule, self.memory, self.lanes, self.mask = rule, instruction.memory, lanes, mask
        self.addresses, self.reduced = {}, {}
        for name in sorted(rule.reads | set(rule.outputs)):
            start = instruction.address(int64(rule.role_of(name)), number)
            if name in rule.constants:
                self.reduced[name] = tir.wide(load(self.memory, start, 1), lanes)
                continue
            self.addresses[name] = let(start + offset)
            if name in rule.reads & rule.numbers:
                self.reduced[name] = load(self.memory, self.addresses[name], lanes, mask)

    def evaluate(self, formulas, row):
        """Return the values of formulas for element `row` of each column. Inputs are loaded when they are needed."""
        loaded = {}

        def value_of(name):
            if name in self.reduced:
                return self.reduced[name]
            if name not in loaded:
                loaded[name] = load(self.memory, let(self.addresses[name] + row * self.width), self.lanes, self.mask)
            return loaded[name]

        def first_of(name):
            return load(self.memory, self.addresses[name], self.lanes, self.mask)

        def position_of():
            return tir.wide(T.Cast("int32", row), self.lanes)

        evaluation = Evaluation([f.result for f in formulas], value_of, first_of, position_of, self.lanes)
        return [let(evaluation(formula.result)) for formula in formulas]

    def write(self, outputs, row, add=None):
        """Store the outputs for element `row` of each column, or add them: atomically by `add`, if given."""
        values = self.evaluate(outputs.values(), row)
        for name, value in zip(outputs, values, strict=True):
            at = let(self.addresses[name] + row * self.width)
            if name not in self.rule.accumulate:
                store(self.memory, at, value, self.mask)
            elif add:
                add(self.memory, at, value)
            else:
                store(self.memory, at, load(self.memory, at, self.lanes, self.mask) + value, self.mask)

    def run(self, size, add=None):
        """Emit all reductions, then the outputs, whose formulas may read their results."""
        self.reduced |= {name: tir.wide(value, self.lanes) for name, value in multiples(self.rule, size).items()}
        for reductions in self.rule.passes:
            totals = Totals(reductions, self.lanes)
            with T.serial(int64(0), size) as row:
                values = self.evaluate([reduction.formula for reduction in reductions.values()], row)
                for reduction, value in zip(reductions.values(), values, strict=True):
                    if reduction.keep:
                        store(self.memory, let(self.addresses[reduction.keep] + row * self.width), value, self.mask)
                totals.take(values)
            self.reduced |= totals.results()
        vectors = {name: formula for name, formula in self.rule.outputs.items() if name not in self.rule.numbers}
        numbers = {name: formula for name, formula in self.rule.outputs.items() if name in self.rule.numbers}
        if vectors:
            with T.serial(int64(0), size) as row:
                self.write(vectors, row, add)
        if numbers:
            self.write(numbers, int64(0), add)
