"""Emits the code of rules for columns of `size` contiguous floats. For each column, a rule computes

    r = sum, maximum or minimum over i < size of g(x[i], ...)    its reductions, in groups (`Rule.passes`)
    y[i] = f(x[i], ..., r, ...)                                  its outputs, for each i < size
    z = h(r, ...)                                                its outputs that are one number per column (`numbers`)

Outputs must not overlap with inputs, except that without reductions they may be the same memory.
"""

from __future__ import annotations

from ... import tir, tuning
from ...formula import REDUCTIONS, beneath
from ...functions import vmath
from ...tir import int64, let, load, masked_loop, settled, store, unrolled_loop
from ...tvm_modules import T, tirx
from ..threads import WARP, Sums, add_atomically, share_of, thread_each
from .evaluation import Evaluation

SUM, MAXIMUM, MINIMUM = REDUCTIONS
COMBINE = {
    SUM: (lambda a, b: a + b, 0.0),
    MAXIMUM: (vmath.maximum, float("-inf")),
    MINIMUM: (vmath.minimum, float("inf")),
}


class Column:
    """Emits loads, formulas and stores of a rule for one column of an instruction."""

    def __init__(self, rule, instruction, column):
        self.rule, self.instruction, self.column = rule, instruction, column
        self.memory = instruction.memory
        self.addresses, self.reduced = {}, {}
        for name in sorted(rule.reads | set(rule.outputs)):
            self.addresses[name] = instruction.address(int64(rule.role_of(name)), column)
        for name in sorted(rule.reads & rule.numbers):
            self.reduced[name] = load(self.memory, self.addresses[name], 1)

    def evaluate(self, formulas, offset, lanes, mask=None, loaded=None):
        """Return the values of formulas for the `lanes` elements from `offset` on."""
        # `loaded` has the inputs that are in registers already, by name; those loaded here are added.
        one_vector = loaded is not None
        loaded = {} if loaded is None else loaded

        def value_of(name):
            if name in self.reduced:
                return tir.wide(self.reduced[name], lanes)
            if name not in loaded:
                loaded[name] = load(self.memory, self.addresses[name] + offset, lanes, mask)
            return loaded[name]

        def first_of(name):
            if one_vector:  # its load may have a mask without any lane
                return tir.wide(vmath.lane(value_of(name), 0), lanes)
            return tir.wide(load(self.memory, self.addresses[name], 1), lanes)

        def position_of():
            start = T.Cast("int32", offset)
            return T.Ramp(start, tirx.const(1, "int32"), lanes) if lanes > 1 else start

        evaluation = Evaluation([f.result for f in formulas], value_of, first_of, position_of, lanes)
        return [let(evaluation(formula.result)) for formula in formulas]

    def keep(self, reductions, values, offset, mask=None):
        """Store those of `values`, which go into reductions, that a later formula reads again (`Reduction.keep`)."""
        for reduction, value in zip(reductions.values(), values, strict=True):
            if reduction.keep:
                store(self.memory, let(self.addresses[reduction.keep] + offset), value, mask)

    def write(self, outputs, offsets, lanes, mask=None, add=None, loaded=None):
        """Store the outputs for the vectors at several offsets, or add them: atomically by `add`, if given."""
        # All are evaluated before any is stored, because an output may overwrite what a formula reads.
        values = [self.evaluate(outputs.values(), offset, lanes, mask, loaded) for offset in offsets]
        for name, parts in zip(outputs, zip(*values), strict=True):
            for offset, value in zip(offsets, parts, strict=True):
                at = let(self.addresses[name] + offset)
                if name not in self.rule.accumulate:
                    store(self.memory, at, value, mask)
                elif add:
                    add(self.memory, at, value)
                else:
                    tir.add_or_set(self.instruction, self.memory, at, value, mask)


class Totals:
    """The totals of reductions that run together, each a vector of `lanes` numbers, which a loop changes."""

    def __init__(self, reductions, lanes):
        self.combine = {name: COMBINE[one.combine][0] for name, one in reductions.items()}
        self.starts = [tir.wide(tir.float32(COMBINE[one.combine][1]), lanes) for one in reductions.values()]
        self.totals = [tir.Accumulator(lanes, start) for start in self.starts]

    def take(self, values, mask=None):
        """Combine each total with its value, in the lanes of the mask."""
        for combine, start, total, value in zip(self.combine.values(), self.starts, self.totals, values, strict=True):
            if mask is not None:
                value = let(T.Select(mask, value, start))
            total.set(combine(let(total.get()), value))

    def results(self, of=lambda combine, total: total):
        """Return what each reduction comes to, by name. `of` emits how its lanes or threads are combined."""
        pairs = zip(self.combine.items(), self.totals, strict=True)
        return {name: of(combine, let(total.get())) for (name, combine), total in pairs}


def multiples(rule, size):
    """Return the sums of constants over a column of `size` elements, by name."""
    return {name: let(T.Cast("float32", size) * tir.float32(constant)) for name, constant in rule.multiples.items()}


# Functions of about one machine instruction each.
LIGHT = frozenset("add subtract multiply divide negative less less_equal equal where maximum minimum absolute".split())

FEW = 4  # columns of so many floats have a vector of this length
LONG = 500  # formulas of about so many machine instructions are emitted once, since compiling them takes long


def _outputs(rule, numbers: bool):
    """Return the outputs that are one number per column if `numbers`, else those that have `size` elements."""
    return {name: formula for name, formula in rule.outputs.items() if (name in rule.numbers) == numbers}


def _weight(formulas):
    """Estimate how many machine instructions formulas take. A repeated subexpression counts once."""
    symbols = {key: one for formula in formulas for key, one in beneath(formula.result).items()}
    return sum(1 if one.function in LIGHT else 12 for one in symbols.values() if one.function != "input")


def _at_once(formulas, lanes):
    """Return how many vectors to work on at once: 1 for long formulas, where more would hardly be faster."""
    sizes = tuning.cpu(lanes).columns
    return sizes.vectors if _weight(formulas) <= sizes.heaviest else 1


def _each_vector(formulas, size, lanes, step):
    """Emit a loop over the vectors of a column: step(offsets, mask) emits the work on some of them."""
    if _weight(formulas) > LONG:
        masked_loop(size, lanes, lambda offset, mask: step([offset], mask))
    else:
        unrolled_loop(size, lanes, _at_once(formulas, lanes), step)


def on_cpu(rule, instruction, lanes):
    """Emit a CPU kernel that works on one column after the other, a few vectors at a time."""

    formulas = [*rule.outputs.values(), *(reduction.formula for reduction in rule.reductions.values())]
    is_long = _weight(formulas) > LONG
    (size,) = instruction.parameters

    def each(run, *arguments):
        with T.serial(int64(0), instruction.count) as number:
            run(Column(rule, instruction, number), *arguments)

    def any_size():
        if rule.reductions and not is_long:
            # A column that fits into one vector stays in a register from the reductions to the outputs: loading it
            # again with a mask would be slow.
            mask = tir.first_lanes(size, lanes) if lanes > 1 else None
            tir.choose(
                size <= int64(lanes),
                lambda: each(_in_one_vector, size, lanes, mask),
                lambda: each(_in_vectors, size, lanes),
            )
        else:
            each(_in_vectors, size, lanes)

    # Columns of a few floats, as in small matrices, have vectors of this length. Full vectors with masks would reach
    # into the next columns in memory, which makes them slow.
    if lanes > FEW and not is_long:
        tir.choose(size == int64(FEW), lambda: each(_in_one_vector, size, FEW, None), any_size)
    else:
        any_size()


def _in_vectors(column, size, lanes):
    """Emit loops over the vectors of a column of any size."""
    rule = column.rule
    column.reduced |= multiples(rule, size)
    for reductions in rule.passes:
        column.reduced |= _reduce_vectors(column, reductions, size, lanes)
    if outputs := _outputs(rule, numbers=False):
        step = lambda offsets, mask: column.write(outputs, offsets, lanes, mask)  # noqa: E731
        _each_vector(outputs.values(), size, lanes, step)
    if numbers := _outputs(rule, numbers=True):
        column.write(numbers, [int64(0)], 1)


def _in_one_vector(column, size, lanes, mask):
    """Emit the code for a column that fits into one vector, without loops."""
    rule, loaded = column.rule, {}
    column.reduced |= multiples(rule, size)
    for reductions in rule.passes:
        totals = Totals(reductions, lanes)
        values = column.evaluate(
            [reduction.formula for reduction in reductions.values()], int64(0), lanes, mask, loaded
        )
        column.keep(reductions, values, int64(0), mask)
        loaded |= {one.keep: value for one, value in zip(reductions.values(), values, strict=True) if one.keep}
        totals.take(values, mask)
        column.reduced |= totals.results(vmath.horizontal)
    if outputs := _outputs(rule, numbers=False):
        column.write(outputs, [int64(0)], lanes, mask, loaded=loaded)
    if numbers := _outputs(rule, numbers=True):
        column.write(numbers, [int64(0)], 1)


def _reduce_vectors(column, reductions, size, lanes):
    """Return the results, by name, of reducing a column vector by vector."""
    formulas = [reduction.formula for reduction in reductions.values()]
    vectors = _at_once(formulas, lanes)
    chains = min(vectors, tuning.cpu(lanes).columns.chains)
    totals = [Totals(reductions, lanes) for _ in range(chains)]

    def step(offsets, mask):
        values = [column.evaluate(formulas, offset, lanes, mask) for offset in offsets]
        for number, (offset, those) in enumerate(zip(offsets, values, strict=True)):
            column.keep(reductions, those, offset, mask)
            totals[number % chains].take(those, mask)

    _each_vector(formulas, size, lanes, step)
    whole, *others = totals
    for other in others:
        whole.take(other.results().values())
    return whole.results(vmath.horizontal)


def on_gpu(rule, instruction):
    """Launch a thread per element; with reductions, a block per column, or a warp if the columns are small."""
    (size,) = instruction.parameters
    vectors, numbers = _outputs(rule, numbers=False), _outputs(rule, numbers=True)
    if rule.reductions:
        _reduce_with_threads(rule, instruction, size, vectors, numbers)
        return
    width = size if vectors else int64(1)
    with thread_each(instruction, instruction.count * width) as number:
        column = Column(rule, instruction, let(T.floordiv(number, width)))
        place = let(T.floormod(number, width))
        if vectors:
            column.write(vectors, [place], 1, add=add_atomically)
        if numbers:
            with tir.when(place == int64(0)):
                column.write(numbers, [int64(0)], 1, add=add_atomically)


def _reduce_with_threads(rule, instruction, size, vectors, numbers):
    """Emit a rule with reductions: the threads of a block, or of a warp, share one column."""
    threads = tuning.cuda().threads
    warps = threads // WARP
    small = let(size <= int64(threads))  # if true, each warp works on one column; if not, the whole block does
    blocks = T.Select(small, T.floordiv(instruction.count + int64(warps - 1), int64(warps)), instruction.count)
    block = instruction.thread("blockIdx.x", blocks)
    thread = instruction.thread("threadIdx.x", threads)
    sums = Sums(thread, threads)
    number = settled(T.Select(small, block * int64(warps) + sums.warp, block))
    lane, sharing = settled(T.Select(small, sums.lane, thread)), settled(T.Select(small, int64(WARP), int64(threads)))
    first, together = settled(T.Select(small, sums.warp, int64(0))), settled(T.Select(small, int64(1), int64(warps)))
    # A warp without a column works on an empty one: all threads of the block must reach the barriers in `of_warps`.
    there = let(number < instruction.count)
    size = settled(T.Select(there, size, int64(0)))
    column = Column(rule, instruction, settled(T.Select(there, number, int64(0))))
    column.reduced |= multiples(rule, size)
    for reductions in rule.passes:
        totals = Totals(reductions, 1)
        with share_of(lane, sharing, size) as place:
            values = column.evaluate([reduction.formula for reduction in reductions.values()], place, 1)
            column.keep(reductions, values, place)
            totals.take(values)
        column.reduced |= totals.results(lambda combine, total: sums.of_warps(first, together, total, combine))
    if numbers:
        with tir.when(T.And(there, lane == int64(0))):
            column.write(numbers, [int64(0)], 1, add=add_atomically)
    if vectors:
        with share_of(lane, sharing, size) as place:
            column.write(vectors, [place], 1, add=add_atomically)
