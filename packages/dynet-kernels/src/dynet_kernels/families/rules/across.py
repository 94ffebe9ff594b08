"""Rules for columns whose elements are interleaved, such as the rows of a matrix that is stored column by column.

A rule (`rule.py`) is a kernel that is stated as formulas of the elements of a column. Here, each array x of a rule has
the shape (size, width), and its element (i, w) is at i * width + w. So it consists of `width` interleaved columns of
`size` elements. For each w, the kernel computes what the rule computes for one column:

    y[i, w] = f(x[i, w], ..., r[w])    with reductions such as    r[w] = sum over i < size of g(x[i, w], ...)

A vector register holds element i of several neighbouring columns, so a reduction need not add up its lanes.

The emitters assume that outputs do not overlap with inputs, except that without reductions they may be the same memory.
Gradients are always added to their targets, which must therefore be initialised.

Parameters: (size, width). Terms such as instruction and address list: see `families/__init__.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir
from ...evaluation import Evaluation
from ...kernels import Effects, Kernel
from ...tir import int64, let, load, store, vector_loop
from ...tvm_modules import T
from ..threads import add_atomically, thread_each
from .columns import Totals, multiples
from .rule import Rule


@dataclass(frozen=True)
class Across(Kernel):
    """Applies a rule to `width` interleaved columns: successive elements of one column are `width` floats apart.

    So a rule can work along any dimension of a tensor without a transpose. One column of the instruction stands for all
    `width` interleaved columns. A value with one number per column (`Rule.numbers`) consists of `width` contiguous
    floats here.
    """

    rule: Rule
    parameters = ("size", "width")

    @property
    def key(self) -> str:
        """A text that differs for kernels with different code. Compiled code is cached under a key that contains it."""
        return f"across({self.rule.key})"

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        """Return what the kernel does: as much as the rule does for `width` columns. It never overwrites gradients."""
        size, width = parameters
        of = self.rule.effects((size,))
        writes = tuple((role, floats * width) for role, floats in of.writes)
        return of._replace(writes=writes, work=of.work * width, covers=False)

    def on_cpu(self, instruction, lanes):
        """Emit a CPU kernel that works on `lanes` neighbouring interleaved columns at once, one in each lane."""
        size, width = instruction.parameters

        with T.serial(int64(0), instruction.count) as number:
            vector_loop(
                width,
                lanes,
                lambda offset, mask: Columns(self.rule, instruction, number, offset, lanes, mask).run(size),  # noqa: B023
            )

    def on_gpu(self, instruction):
        """Emit a CUDA kernel with one thread per interleaved column: neighbouring threads read neighbouring floats."""
        size, width = instruction.parameters
        with thread_each(instruction, instruction.count * width) as number:
            column, offset = let(T.floordiv(number, width)), let(T.floormod(number, width))
            Columns(self.rule, instruction, column, offset, 1).run(size, add_atomically)


class Columns:
    """Emits a rule for `lanes` neighbouring interleaved columns, one in each lane of a vector.

    Args:
        rule: the rule with its formulas.
        instruction: the instruction of the kernel that is being built.
        number: the column of the instruction, which stands for `width` interleaved columns.
        offset: the number of the first of these interleaved columns to work on.
        mask: selects the lanes that are used; None means all.
    """

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
        """Evaluate the outputs for element `row` of each column, and store them or add them to their targets.

        `add` emits an atomic addition, for targets that other threads add to; None: emit an ordinary one.
        """
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
        """Emit all reductions, then the outputs, whose formulas may read the results of reductions.

        Args:
            size: how many elements each column has.
            add: as in `write`.
        """
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
