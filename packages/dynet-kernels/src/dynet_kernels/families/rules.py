"""Rules: kernels that are given as formulas, such as y = tanh(x) or y = x / sum(x).

For each column of `size` floats, a rule computes

    r = sum, maximum or minimum over i < size of g(x[i], ...)    its reductions, in groups (`Rule.loops`)
    y[i] = f(x[i], ..., r, ...)                                  its outputs, for each i < size
    z = h(r, ...)                                                its outputs with one float per column (`Rule.numbers`)

Outputs must not overlap with inputs, except that without reductions they may be the same memory.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import formula, tir, tuning, vmath
from ..formula import (
    LEAVES,
    REDUCTIONS,
    Formula,
    Symbol,
    column_functions,
    in_postorder,
    inputs_of,
    replaced,
    subexpressions,
    use_counts,
)
from ..kernels import NUMBER, Effects, Kernel
from ..layout import BY_ROWS
from ..simplification import Deduplicator
from ..tir import int64, let, load, serial, settled, store, vector_loop
from ..tvm_modules import T, tirx
from .threads import WARP_SIZE, BlockReducer, share_of, thread_each, thread_each_element

MAX_DEPTH = 12  # TVM's passes are slow for expressions with more nested functions than this
BITS_OF_SMALLEST_NORMAL = 1 << 23  # the bits of the smallest normal float32, as an int32


class Evaluation:
    """Emits formulas for a vector of `lanes` elements of a column. Common subexpressions are computed once.

    value_of(name) emits the load of an input, and first_value_of(name) a load of its first element in the column,
    broadcast to all lanes. positions() emits an int32 vector, each element's index in the column.
    """

    def __init__(self, formulas, value_of: Callable, first_value_of: Callable, positions: Callable, lanes: int):
        self.value_of, self.first_value_of, self.positions, self.lanes = value_of, first_value_of, positions, lanes
        deduplicated = Deduplicator()
        self.roots = [deduplicated(formula.result) for formula in formulas]
        self.uses, self.emitted = use_counts(self.roots), {}
        self.depths: dict[int, int] = {}  # how deeply functions are nested in each symbol's TIR expression

    def emit_values(self) -> list:
        """Emit the formulas, and return a variable with the value of each."""
        return [let(self._emit_root(root)) for root in self.roots]

    def _emit_root(self, root):
        for key, symbol in in_postorder(root, self.emitted).items():
            self.emitted[key] = self._emit_symbol(symbol)
        return self.emitted[id(root)]

    def _emit_symbol(self, symbol):
        function, arguments = symbol.function, symbol.arguments
        if function == "input":
            return self.value_of(*arguments)
        if function == "first":
            return self.first_value_of(*arguments[0].arguments)
        if function == "constant":
            return tir.broadcast(tirx.const(*arguments, "float32"), self.lanes)
        if function == "position":
            return self.positions()
        if function == "origin":
            return tir.broadcast(tirx.const(0, "int32"), self.lanes)
        if function == "place":  # a float32 that increases with the position
            position = self.positions()
            return let(vmath.from_bits(position + vmath.broadcast_like(BITS_OF_SMALLEST_NORMAL, position, "int32")))
        keys = [*map(id, arguments)]
        value = getattr(vmath, function)(*[self.emitted[key] for key in keys])
        depth = 1 + max((self.depths.get(key, 0) for key in keys), default=0)
        is_condition = function in formula.CONDITIONS  # a vector of bools, which TIR cannot bind to a variable
        if is_condition or (self.uses.get(id(symbol), 0) <= 1 and depth < MAX_DEPTH and function != "where"):
            self.depths[id(symbol)] = depth
            return value
        # Store the value in a local buffer and load it. TVM's simplifier would be slow if it saw the whole tree.
        return let(tir.Accumulator(self.lanes, value).value)


SUM, MAXIMUM, MINIMUM = REDUCTIONS
COMBINERS = {  # reduction -> (function that combines two values, initial value)
    SUM: (lambda a, b: a + b, 0.0),
    MAXIMUM: (vmath.maximum, float("-inf")),
    MINIMUM: (vmath.minimum, float("inf")),
}


class ColumnEmitter:
    """Emits loads, formulas and stores of a rule for one column of an instruction."""

    def __init__(self, rule, instruction, column):
        self.rule, self.instruction, self.column = rule, instruction, column
        self.memory = instruction.memory
        self.addresses, self.scalars = {}, {}  # name -> address; name -> value, if there is one float per column
        for name in sorted(rule.reads | set(rule.outputs)):
            self.addresses[name] = instruction.address(rule.role_of(name), column)
        for name in sorted(rule.reads & rule.numbers):
            self.scalars[name] = load(self.memory, self.addresses[name])

    def evaluate(self, formulas, offset, lanes, mask=None, loaded_inputs=None):
        """Return the values of formulas for `lanes` elements of the column, starting at `offset`."""
        # If the column fits into one vector, `loaded_inputs` is a cache, name -> input, so that each is loaded once.
        fits_one_vector = loaded_inputs is not None
        loaded_inputs = {} if loaded_inputs is None else loaded_inputs

        def value_of(name):
            if name in self.scalars:
                return tir.broadcast(self.scalars[name], lanes)
            if name not in loaded_inputs:
                loaded_inputs[name] = load(self.memory, self.addresses[name] + offset, lanes, mask)
            return loaded_inputs[name]

        def first_value_of(name):
            if fits_one_vector:  # the column may be empty, so use the masked load of `value_of`
                return tir.broadcast(vmath.lane(value_of(name), 0), lanes)
            return tir.broadcast(load(self.memory, self.addresses[name]), lanes)

        def positions():
            start = T.Cast("int32", int64(offset))
            return T.Ramp(start, tirx.const(1, "int32"), lanes) if lanes > 1 else start

        return Evaluation(formulas, value_of, first_value_of, positions, lanes).emit_values()

    def store_kept_values(self, reductions, values, offset, mask=None):
        """Store the `values` of those reductions that keep them for later formulas; see `Reduction.kept_in`."""
        for reduction, value in zip(reductions.values(), values, strict=True):
            if reduction.kept_in:
                store(self.memory, let(self.addresses[reduction.kept_in] + offset), value, mask)

    def write(self, outputs, offsets, lanes, mask=None, loaded_inputs=None):
        """Store the outputs for the vectors at `offsets`; add those in the rule's `accumulate` to their targets."""
        # Evaluate all outputs before storing any, because an output may overwrite an input of a formula.
        values = [self.evaluate(outputs.values(), offset, lanes, mask, loaded_inputs) for offset in offsets]
        for name, vectors in zip(outputs, zip(*values), strict=True):
            for offset, value in zip(offsets, vectors, strict=True):
                self.instruction.write(let(self.addresses[name] + offset), value, mask, name in self.rule.accumulate)


class Totals:
    """The running totals of reductions that share a loop, each a vector of `lanes` floats."""

    def __init__(self, reductions, lanes):
        self.reduction_names = [*reductions]
        self.combiners, initial_values = zip(*[COMBINERS[reduction.combine] for reduction in reductions.values()])
        self.initial_values = [tir.broadcast(start, lanes) for start in initial_values]
        self.totals = [tir.Accumulator(lanes, start) for start in self.initial_values]

    def update(self, values, mask=None):
        """Combine each total with its value in the list `values`, in the lanes of the mask."""
        for combine, start, total, value in zip(self.combiners, self.initial_values, self.totals, values, strict=True):
            if mask is not None:
                value = let(T.Select(mask, value, start))
            total.value = combine(let(total.value), value)

    def results(self, finish=lambda combine, total: total):
        """Return the results by name. finish(combine, total) combines the lanes of a total, or those of all threads."""
        results = [finish(combine, let(total.value)) for combine, total in zip(self.combiners, self.totals)]
        return dict(zip(self.reduction_names, results))


def constant_sums(rule, size):
    """Return the value of each of the rule's sums of a constant (name -> `size` times the constant)."""
    return {name: let(T.Cast("float32", size) * constant) for name, constant in rule.summed_constants.items()}


# Functions of formulas that take about one machine instruction
CHEAP = frozenset("add subtract multiply divide negative less less_equal equal where maximum minimum absolute".split())

SHORT_SIZE = 4  # columns of this many floats are computed in vectors of this many lanes
LONG_WEIGHT = 500  # formulas whose `_weight` is larger are emitted only once, because they compile slowly


def _split_outputs(rule):
    """Return the outputs with `size` elements, and those with one float per column."""
    vectors, numbers = {}, {}
    for name, output in rule.outputs.items():
        (numbers if name in rule.numbers else vectors)[name] = output
    return vectors, numbers


def _weight(formulas):
    """Estimate formulas' machine instructions: 1 for a cheap function, else 12. Repeated subexpressions count once."""
    symbols = {key: symbol for formula in formulas for key, symbol in subexpressions(formula.result).items()}
    return sum(1 if symbol.function in CHEAP else 12 for symbol in symbols.values() if symbol.function != "input")


def _unroll_count(formulas, lanes):
    """Return how many vectors to compute per turn of a loop over a column: 1 if the formulas are long."""
    sizes = tuning.cpu(lanes).columns
    return sizes.vectors if _weight(formulas) <= sizes.heaviest else 1


def _each_vector(formulas, size, lanes, step):
    """Emit a loop over the vectors of a column. step(offsets, mask) emits the work for the vectors at `offsets`."""
    if _weight(formulas) > LONG_WEIGHT:
        tir.masked_loop(size, lanes, lambda offset, mask: step([offset], mask))
    else:
        tir.unrolled_loop(size, lanes, _unroll_count(formulas, lanes), step)


def _emit_in_vectors(emitter, size, lanes):
    """Emit a rule for a column of any size, with loops over its vectors."""
    vectors, numbers = _split_outputs(emitter.rule)
    emitter.scalars |= constant_sums(emitter.rule, size)
    for reductions in emitter.rule.loops:
        emitter.scalars |= _reduce_vectors(emitter, reductions, size, lanes)
    if vectors:
        step = lambda offsets, mask: emitter.write(vectors, offsets, lanes, mask)  # noqa: E731
        _each_vector(vectors.values(), size, lanes, step)
    emitter.write(numbers, [int64(0)], 1)


def _emit_in_one_vector(emitter, size, lanes, mask):
    """Emit a rule for a column that fits into one vector, without loops."""
    vectors, numbers = _split_outputs(emitter.rule)
    loaded_inputs = {}
    emitter.scalars |= constant_sums(emitter.rule, size)
    for reductions in emitter.rule.loops:
        totals = Totals(reductions, lanes)
        values = emitter.evaluate(reductions.values(), 0, lanes, mask, loaded_inputs)
        emitter.store_kept_values(reductions, values, 0, mask)
        loaded_inputs |= {one.kept_in: value for one, value in zip(reductions.values(), values) if one.kept_in}
        totals.update(values, mask)
        emitter.scalars |= totals.results(vmath.combine_lanes)
    emitter.write(vectors, [int64(0)], lanes, mask, loaded_inputs)
    emitter.write(numbers, [int64(0)], 1)


def _reduce_vectors(emitter, reductions, size, lanes):
    """Emit `reductions` of a column, vector by vector. Return their results by name."""
    formulas = reductions.values()
    chain_count = min(_unroll_count(formulas, lanes), tuning.cpu(lanes).columns.chains)
    totals = [Totals(reductions, lanes) for _ in range(chain_count)]

    def combine_vectors(offsets, mask):
        values = [emitter.evaluate(formulas, offset, lanes, mask) for offset in offsets]
        for offset, vector_values, chain in zip(offsets, values, itertools.cycle(totals)):
            emitter.store_kept_values(reductions, vector_values, offset, mask)
            chain.update(vector_values, mask)

    _each_vector(formulas, size, lanes, combine_vectors)
    first, *others = totals
    for other in others:
        first.update(other.results().values())
    return first.results(vmath.combine_lanes)


def _emit_with_threads(rule, instruction, size):
    """Emit a rule with reductions for a GPU. A block of threads shares a column; if columns are small, a warp does."""
    threads = tuning.cuda().threads
    warps = threads // WARP_SIZE
    small = let(size <= threads)  # if true, each warp works on one column; if not, the whole block does
    blocks = T.Select(small, T.floordiv(instruction.count + (warps - 1), warps), instruction.count)
    block = instruction.thread("blockIdx.x", blocks)
    thread = instruction.thread("threadIdx.x", threads)
    sums = BlockReducer(thread, threads)

    def select(for_warp, for_block):
        return settled(T.Select(small, int64(for_warp), int64(for_block)))

    column_index = select(block * warps + sums.warp, block)
    thread_index, thread_count = select(sums.lane, thread), select(WARP_SIZE, threads)
    first_warp, warp_count = select(sums.warp, 0), select(1, warps)
    # A warp without a column works on an empty column: all threads of a block must reach the barriers in `fold_warps`.
    has_column = let(column_index < instruction.count)
    size = settled(T.Select(has_column, size, int64(0)))
    column = ColumnEmitter(rule, instruction, settled(T.Select(has_column, column_index, int64(0))))
    column.scalars |= constant_sums(rule, size)
    for reductions in rule.loops:
        totals = Totals(reductions, 1)
        with share_of(thread_index, thread_count, size) as element:
            values = column.evaluate(reductions.values(), element, 1)
            column.store_kept_values(reductions, values, element)
            totals.update(values)
        column.scalars |= totals.results(lambda combine, total: sums.fold_warps(first_warp, warp_count, total, combine))
    vectors, numbers = _split_outputs(rule)
    if numbers:
        with tir.when(T.And(has_column, thread_index == 0)):
            column.write(numbers, [int64(0)], 1)
    if vectors:
        with share_of(thread_index, thread_count, size) as element:
            column.write(vectors, [element], 1)


@dataclass(frozen=True)
class Reduction:
    """Combines the values of a formula for all elements of a column. `combine` is "sum", "max" or "min".

    If `kept_in` is the name of an output, the values are also stored in the output's memory, where later formulas can
    read them before the output overwrites them.
    """

    combine: str
    formula: Formula
    kept_in: str = ""

    @property
    def result(self) -> Symbol:
        return self.formula.result

    @property
    def key(self) -> str:
        return f"{self.combine}({self.formula.key}){self.kept_in and '=' + self.kept_in}"


def _split_reductions(
    outputs: dict[str, Formula], full_outputs: frozenset[str]
) -> tuple[dict[str, Reduction], dict[str, Formula]]:
    """Split formulas into reductions (name -> reduction, in the order in which they run) and the remaining formulas."""
    # For example, y = x / sum(x) becomes the reduction sum_0 = sum(x) and the output y = x / sum_0. For y = exp(x) /
    # sum(exp(x)), the reduction keeps exp(x) in the memory of y, where the output reads it. Only outputs in
    # `full_outputs`, which have `size` elements and overwrite their targets, can keep values.
    deduplicated, reductions, replacements, remaining = Deduplicator(), {}, {}, {}
    for output, traced in outputs.items():
        root = deduplicated(traced.result)
        kept = {}
        for symbol in subexpressions(root).values():
            if symbol.function not in REDUCTIONS or id(symbol) in replacements:
                continue
            (body,) = symbol.arguments
            value = replaced(body, replacements)
            keep = ""
            if output in full_outputs and not kept and body.function not in LEAVES and _reads_directly(root, body):
                keep, kept[id(body)] = output, Symbol("input", output)
            name = f"{symbol.function}_{len(reductions)}"
            reductions[name] = Reduction(symbol.function, Formula(inputs_of(value), value), keep)
            replacements[id(symbol)] = Symbol("input", name)
        result = replaced(root, replacements | kept)
        remaining[output] = Formula(inputs_of(result), result)
    return reductions, remaining


def _reads_directly(root: Symbol, subformula: Symbol) -> bool:
    """Return whether `subformula` occurs in `root` outside the arguments of reductions."""
    reductions = {key for key, symbol in subexpressions(root).items() if symbol.function in REDUCTIONS}
    return id(subformula) in in_postorder(root, reductions)


class Rule(Kernel):
    """A kernel that computes formulas for each column.

    Sums, maxima and minima in the formulas become the dict `reductions`, name -> reduction. Each has one float per
    column. They run in the order of this dict, before the formulas that read them.

    Args:
        views: the names of the arrays that the formulas read or write, except gradients. The gradient of `x` is `dx`.
            Address list 2 v has the addresses of array number v, and list 2 v + 1 the addresses of its gradient.
        outputs: a dict, target -> formula, or a function that returns such a dict. Gradients are added to their
            targets; other outputs overwrite their targets.
        numbers: the views that have one float per column, instead of `size` elements.
        accumulate: outputs that are added to their targets although they are not gradients.
        constants: like `numbers`, but in an `InterleavedRule`, all interleaved columns have the same float.
        overwriting: gradients that overwrite their targets instead of being added to them.
    """

    parameters = ("size",)
    may_set = True

    def __init__(
        self,
        views: tuple[str, ...],
        outputs: Mapping[str, Callable | Formula] | Callable,
        numbers: tuple[str, ...] = (),
        accumulate: tuple[str, ...] = (),
        constants: tuple[str, ...] = (),
        overwriting: tuple[str, ...] = (),
    ):
        names = [*views, *("d" + view for view in views)]
        if len({*names}) < len(names):
            raise ValueError(f"the views {', '.join(views)} and their gradients d... have a name in common")
        self.views, self.constants = views, constants
        if callable(outputs):
            self.outputs = Formula.dict_of(outputs)
        else:
            self.outputs = {name: Formula.of(function) for name, function in outputs.items()}
        self.reductions: dict[str, Reduction] = {}
        self.numbers = frozenset(name for view in (*numbers, *constants) for name in (view, "d" + view))
        self.overwriting = frozenset(overwriting).intersection(self.outputs)
        self.accumulate = frozenset(self.outputs).difference(views).union(accumulate) - self.overwriting
        if any(one.function in REDUCTIONS for o in self.outputs.values() for one in subexpressions(o.result).values()):
            full_outputs = frozenset(self.outputs) - self.numbers - self.accumulate
            self.reductions, self.outputs = _split_reductions(self.outputs, full_outputs)

    @property
    def key(self) -> str:
        outputs = [f"{name}={formula.key}" for name, formula in self.outputs.items()]
        reductions = [f"{name}={reduction.key}" for name, reduction in self.reductions.items()]
        return repr((self.views, outputs, reductions, sorted(self.numbers), sorted(self.accumulate), *self.constants))

    def role_of(self, name: str) -> int:
        """Return the number of the address list of a view or gradient, such as `x` or `dx`."""
        if name in self.views:
            return 2 * self.views.index(name)
        return 2 * self.views.index(name.removeprefix("d")) + 1

    @property
    def summed_constants(self) -> dict[str, float]:
        """Reduction -> constant, for those that sum a constant: the sum is the constant times the column's size."""
        sums = {name: one.result for name, one in self.reductions.items() if one.combine == "sum"}
        return {name: summand.arguments[0] for name, summand in sums.items() if summand.function == "constant"}

    @property
    def loops(self) -> list[dict[str, Reduction]]:
        """The reductions not in `summed_constants`, grouped by loop. A group can read the results of earlier groups."""
        groups: list[dict[str, Reduction]] = []
        levels: dict[str, int] = {}
        for name, reduction in self.reductions.items():
            if name in self.summed_constants:
                continue
            levels[name] = max((levels[read] + 1 for read in reduction.formula.names if read in levels), default=0)
            if levels[name] == len(groups):
                groups.append({})
            groups[levels[name]][name] = reduction
        return groups

    @property
    def reads(self) -> set[str]:
        """The names of the views and gradients that the formulas read."""
        formulas = [*self.outputs.values(), *(reduction.formula for reduction in self.reductions.values())]
        return {name for formula in formulas for name in formula.names}.difference(self.reductions)

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        """Return the rule's effects. `covers` is true if it only adds to one gradient, which no formula reads."""
        size, reads, covers, copied = parameters[0], self.reads, False, None
        writes = tuple((self.role_of(name), 1 if name in self.numbers else size) for name in self.outputs)
        if len(writes) == 1:
            ((name, formula),) = self.outputs.items()
            covers = name in self.accumulate and name not in reads.union(self.views)
            if covers and formula.result.function == "input":
                (source,) = formula.result.arguments
                if (name in self.numbers) == (source in self.numbers):
                    copied = self.role_of(source)
        roles = tuple(map(self.role_of, reads))
        return Effects(writes, NUMBER * size * len(writes), self.shared, roles, covers=covers, copied=copied)

    def on_cpu(self, instruction, lanes):
        """Emit a CPU kernel that works on one column after another, a few vectors at a time."""
        is_long = _weight([*self.outputs.values(), *self.reductions.values()]) > LONG_WEIGHT
        (size,) = instruction.parameters

        def each_column(emit, *arguments):
            with serial(instruction.count) as column:
                emit(ColumnEmitter(self, instruction, column), *arguments)

        def emit_in_vectors():
            each_column(_emit_in_vectors, size, lanes)

        def emit_any():
            if self.reductions and not is_long:
                # A column that fits into one vector stays in a register: loading it again with a mask would be slow.
                mask = tir.first_lanes(size, lanes) if lanes > 1 else None
                tir.choose(size <= lanes, lambda: each_column(_emit_in_one_vector, size, lanes, mask), emit_in_vectors)
            else:
                emit_in_vectors()

        # Columns of SHORT_SIZE floats, as in small matrices, use vectors of SHORT_SIZE lanes. Full vectors with masks
        # would reach into the next columns in memory, which is slow.
        if lanes > SHORT_SIZE and not is_long:
            tir.choose(size == SHORT_SIZE, lambda: each_column(_emit_in_one_vector, size, SHORT_SIZE, None), emit_any)
        else:
            emit_any()

    def on_gpu(self, instruction):
        """Launch a thread per element. With reductions, launch a block per column, or a warp for small columns."""
        (size,) = instruction.parameters
        if self.reductions:
            _emit_with_threads(self, instruction, size)
            return
        vectors, numbers = _split_outputs(self)
        threads_per_column = size if vectors else 1
        with thread_each(instruction, instruction.count * threads_per_column) as thread:
            column = ColumnEmitter(self, instruction, let(T.floordiv(thread, threads_per_column)))
            element = let(T.floormod(thread, threads_per_column))
            column.write(vectors, [element], 1)
            if numbers:
                with tir.when(element == 0):
                    column.write(numbers, [int64(0)], 1)


@dataclass(frozen=True)
class InterleavedRule(Kernel):
    """Applies a rule to `width` interleaved columns of `size` elements: element i of column w is at i * width + w.

    So a rule can work along any dimension of a tensor without a transpose. A column of the instruction contains `width`
    interleaved columns. Each lane of a vector belongs to a different one, so reductions need not combine lanes. A view
    with one float per column (`Rule.numbers`) is `width` contiguous floats. Gradients are always added to their
    targets. Outputs must not overlap with inputs, except that without reductions they may be the same memory.
    """

    rule: Rule
    parameters = ("size", "width")

    @property
    def key(self) -> str:
        return f"across({self.rule.key})"

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        size, width = parameters
        column_effects = self.rule.effects((size,))
        writes = tuple((role, floats * width) for role, floats in column_effects.writes)
        return column_effects._replace(writes=writes, work=column_effects.work * width, covers=False)

    def on_cpu(self, instruction, lanes):
        size, width = instruction.parameters
        with serial(instruction.count) as column:

            def emit_vector(offset, mask):
                InterleavedEmitter(self.rule, instruction, column, offset, lanes, mask).emit_rule(size)  # noqa: B023

            vector_loop(width, lanes, emit_vector)

    def on_gpu(self, instruction):
        """Launch one thread per interleaved column, so that adjacent threads read adjacent floats."""
        size, width = instruction.parameters
        with thread_each_element(instruction, width) as (column, offset):
            InterleavedEmitter(self.rule, instruction, column, offset, 1).emit_rule(size)


class InterleavedEmitter(ColumnEmitter):
    """Emits a rule for `lanes` adjacent interleaved columns, from number `offset`, of an instruction's column."""

    def __init__(self, rule, instruction, column, offset, lanes, mask=None):
        _, self.width = instruction.parameters
        self.rule, self.instruction, self.memory = rule, instruction, instruction.memory
        self.lanes, self.mask = lanes, mask
        self.addresses, self.scalars = {}, {}
        for name in sorted(rule.reads | set(rule.outputs)):
            start = instruction.address(rule.role_of(name), column)
            if name in rule.constants:
                self.scalars[name] = tir.broadcast(load(self.memory, start), lanes)
                continue
            self.addresses[name] = let(start + offset)
            if name in rule.reads & rule.numbers:
                self.scalars[name] = load(self.memory, self.addresses[name], lanes, mask)

    def evaluate(self, formulas, row):
        """Return the values of formulas for element `row` of each of the interleaved columns."""
        loaded = {}

        def value_of(name):
            if name in self.scalars:
                return self.scalars[name]
            if name not in loaded:
                loaded[name] = load(self.memory, let(self.addresses[name] + row * self.width), self.lanes, self.mask)
            return loaded[name]

        def first_value_of(name):
            return load(self.memory, self.addresses[name], self.lanes, self.mask)

        def positions():
            return tir.broadcast(T.Cast("int32", row), self.lanes)

        return Evaluation(formulas, value_of, first_value_of, positions, self.lanes).emit_values()

    def write(self, outputs, row):
        """Store the outputs for element `row` of each column; add those in the rule's `accumulate` to their targets."""
        values = self.evaluate(outputs.values(), row)
        for name, value in zip(outputs, values, strict=True):
            address = let(self.addresses[name] + row * self.width)
            self.instruction.write(address, value, self.mask, name in self.rule.accumulate)

    def emit_rule(self, size):
        """Emit all reductions, then the outputs, which may read their results. A column has `size` elements."""
        sums = constant_sums(self.rule, size)
        self.scalars |= {name: tir.broadcast(value, self.lanes) for name, value in sums.items()}
        for reductions in self.rule.loops:
            totals = Totals(reductions, self.lanes)
            with serial(size) as row:
                values = self.evaluate(reductions.values(), row)
                self.store_kept_values(reductions, values, row * self.width, self.mask)
                totals.update(values)
            self.scalars |= totals.results()
        vectors, numbers = _split_outputs(self.rule)
        if vectors:
            with serial(size) as row:
                self.write(vectors, row)
        self.write(numbers, 0)


FLUSH_LIMIT = 1e-37  # `without_denormals` replaces smaller numbers by 0; a little above the smallest normal float32


class UpdateRule(Rule):
    """A rule that overwrites several tensors of the same size, element by element. It must have no reductions."""

    shared, may_set = BY_ROWS, False

    def on_cpu(self, instruction, lanes):
        """Treat the elements of all columns as one list. Each thread updates a contiguous range of this list."""
        vectors = tuning.cpu(lanes).update.vectors
        (size,) = instruction.parameters
        first, end = instruction.own_rows(instruction.count * size, lanes)

        def update_column(index, begin, stop):
            """Emit the update of the elements [begin, stop) of column `index`."""
            column = ColumnEmitter(self, instruction, index)

            def write_vectors(offsets, mask):
                column.write(self.outputs, [let(begin + offset) for offset in offsets], lanes, mask)

            tir.unrolled_loop(let(stop - begin), lanes, vectors, write_vectors)

        divisor = let(T.max(size, 1))
        with serial(let(T.floordiv(first, divisor)), let(T.floordiv(end + divisor - 1, divisor))) as index:
            begin = let(T.max(first - index * size, 0))
            update_column(index, begin, let(T.max(T.min(end - index * size, size), begin)))


def update_rule(function: Callable) -> UpdateRule:
    """Return a rule that updates a parameter `p` and its states as `function` says, and sets the gradient `g` to 0.

    `function` takes the old `p`, `g`, the old states and then hyperparameters. It returns a dict of the new `p` and the
    new states. The states, such as moments, are the arguments other than `p` that are in this dict.
    """
    name, parameters = function.__name__, inspect.signature(function).parameters
    names = tuple(parameters)
    if defaults := [str(parameter) for parameter in parameters.values() if parameter.default is not parameter.empty]:
        raise ValueError(
            f"{name}: {defaults[0]}: a rule's numbers have no defaults, because they are read from the trainer"
        )
    new_values = Formula.dict_of(function)
    for over_column in column_functions(new_values.values()):
        raise ValueError(f"{name}: f.{over_column} is over a column, but a rule works on each element separately")
    states = tuple(state for state in names if state in new_values and state != "p")
    state_end = 2 + len(states)
    if names[:state_end] != ("p", "g", *states) or {*new_values} != {"p", *states}:
        raise ValueError(
            f"{name} takes {', '.join(names)} and returns {', '.join(new_values)}: it must take p, g, the states "
            "and then numbers, and return a dict of the new p and the new states"
        )
    for state in states:
        new_values[state] = Formula(new_values[state].names, without_denormals(new_values[state].result))
    return UpdateRule(names, {**new_values, "g": lambda: 0.0}, numbers=names[state_end:])


def without_denormals(x: Symbol) -> Symbol:
    """Return the formula that is 0 where |x| < FLUSH_LIMIT, else x."""
    # Operations on denormals take a hundred cycles on many CPUs. A running average of zero gradients would shrink to a
    # denormal and stay there: 0.9 times the smallest float32 rounds to itself.
    return formula.where(formula.absolute(x) < FLUSH_LIMIT, 0.0, x)
