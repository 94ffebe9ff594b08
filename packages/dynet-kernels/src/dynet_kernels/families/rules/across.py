"""Rules for columns that lie side by side: a vector holds one element of each of several columns.

Parameters: (size of a column, how many columns lie side by side).
"""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir
from ...evaluation import Evaluation
from ...kernels import ByColumns, Lists
from ...lazy import T
from ...tir import int64, let, load, store, vector_loop
from ..threads import add_atomically, thread_each
from .columns import COMBINE
from .rule import Rule


@dataclass(frozen=True)
class Across(ByColumns):
    """A rule for `width` columns that lie side by side in memory: neighbouring elements of one are `width` apart.

    This reduces a dimension other than the first without a transpose. One column of the instruction stands for all
    `width` columns; the `numbers` of the rule are `width` neighbouring floats.
    """

    rule: Rule
    parameters = ("size", "width")

    @property
    def key(self) -> str:
        """Text that tells this kernel from every other, for the cache of compiled kernels."""
        return f"across({self.rule.key})"

    def covers(self, parameters: tuple[int, ...]) -> tuple[int, int, int | None] | None:
        """Nothing: columns of several instructions may be interleaved."""
        return None

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """What the `width` columns write: see `kernels.Targets`."""
        size, width = parameters
        return tuple((role, of * width) for role, of in self.rule.targets((size,)))

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        """The lists that formulas read and write: see `kernels.Lists`."""
        return self.rule.lists(parameters[:1])

    def work(self, parameters: tuple[int, ...]) -> int:
        """About how many picoseconds the `width` columns take."""
        size, width = parameters
        return self.rule.work((size,)) * width

    def cpu(self, lanes):
        """One vector of neighbouring columns after the other."""

        def body(instruction):
            size, width = instruction.parameters

            with T.serial(int64(0), instruction.count) as number:
                vector_loop(
                    width,
                    lanes,
                    lambda offset, mask: Columns(self.rule, instruction, number, offset, lanes, mask).run(size),  # noqa: B023
                )

        return tir.kernel(body, self.parameters, shared=tir.COLUMNS)

    def cuda(self):
        """A thread for each column: neighbouring threads read neighbouring numbers."""

        def body(instruction):
            size, width = instruction.parameters
            with thread_each(instruction, instruction.count * width) as number:
                column, offset = let(T.floordiv(number, width)), let(T.floormod(number, width))
                Columns(self.rule, instruction, column, offset, 1).run(size, add_atomically)

        return tir.kernel(body, self.parameters)


class Columns:
    """As many neighbouring columns as there are lanes, from `offset` on. Values are loaded when first needed."""

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
        """The values of formulas at one place of each column."""
        loaded = {}

        def value_of(name):
            if name in self.reduced:
                return self.reduced[name]
            if name not in loaded:
                loaded[name] = load(self.memory, let(self.addresses[name] + row * self.width), self.lanes, self.mask)
            return loaded[name]

        def position_of():
            return tir.wide(T.Cast("int32", row), self.lanes)

        evaluation = Evaluation([f.result for f in formulas], value_of, position_of, self.lanes)
        return [let(evaluation(formula.result)) for formula in formulas]

    def write(self, outputs, row, add=None):
        """Evaluate outputs at one place and store them."""
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
        """Reductions, then outputs."""
        for name, reduction in self.rule.reductions.items():
            combine, identity = COMBINE[reduction.combine]
            total = tir.Accumulator(self.lanes, tir.wide(tir.float32(identity), self.lanes))
            with T.serial(int64(0), size) as row:
                (value,) = self.evaluate([reduction.formula], row)
                if reduction.keep:
                    store(self.memory, let(self.addresses[reduction.keep] + row * self.width), value, self.mask)
                total.set(combine(let(total.get()), value))
            self.reduced[name] = let(total.get())
        vectors = {name: formula for name, formula in self.rule.outputs.items() if name not in self.rule.numbers}
        numbers = {name: formula for name, formula in self.rule.outputs.items() if name in self.rule.numbers}
        if vectors:
            with T.serial(int64(0), size) as row:
                self.write(vectors, row, add)
        if numbers:
            self.write(numbers, int64(0), add)
