"""Rules: formulas of the values of a column, such as y = x / sum(x), whose sums and extremes become *reductions*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...formula import LEAVES, REDUCTIONS, Formula, Symbol, beneath, in_order, inputs_of, replaced
from ...kernels import NUMBER, Effects, Kernel
from ...simplification import Sharing
from . import columns


@dataclass(frozen=True)
class Reduction:
    """Combines the values of a formula for all elements of a column by "sum", "max" or "min".

    `keep` names an output in whose memory the values are stored as well, so that later formulas can read them before
    the output overwrites them. Empty: they are not stored.
    """

    combine: str
    formula: Formula
    keep: str = ""

    @property
    def key(self) -> str:
        return f"{self.combine}({self.formula.key}){self.keep and '=' + self.keep}"


def _apart(outputs: dict[str, Formula], columns: frozenset[str]) -> tuple[dict[str, Reduction], dict[str, Formula]]:
    """Return the reductions of formulas by name, in the order in which they must run, and the remaining formulas."""
    # For example, y = x / sum(x) becomes the reduction sum_0 = sum(x) and the output y = x / sum_0. For y = exp(x) /
    # sum(exp(x)), the reduction keeps exp(x) in the memory of y, where the output reads it. This is done for outputs in
    # `columns`, which have `size` elements and overwrite their targets.
    sharing, reductions, names = Sharing(), {}, {}

    found = {}
    for output, formula in outputs.items():
        root = sharing(formula.result)
        kept = {}
        for symbol in beneath(root).values():
            if symbol.function not in REDUCTIONS or id(symbol) in names:
                continue
            (of,) = symbol.arguments
            value = replaced(of, names)
            keeps = output in columns and not kept and of.function not in LEAVES and _reads(root, of)
            keep = output if keeps else ""
            name = f"{symbol.function}_{len(reductions)}"
            reductions[name] = Reduction(symbol.function, Formula(inputs_of(value), value), keep)
            names[id(symbol)] = Symbol("input", name)
            if keep:
                kept[id(of)] = Symbol("input", output)
        result = replaced(root, names | kept)
        found[output] = Formula(inputs_of(result), result)
    return reductions, found


def _reads(root: Symbol, part: Symbol) -> bool:
    """Return whether `part` occurs in `root` other than in the argument of a reduction."""
    of_reductions = {key for key, one in beneath(root).items() if one.function in REDUCTIONS}
    return id(part) in in_order(root, of_reductions)


class Rule(Kernel):
    """A kernel that computes formulas for each column.

    Sums and extremes in the formulas become `reductions`, a dict by name, of one number per column each. They run in
    the order of the dict, before the formulas that read them.

    Args:
        views: the names of the arrays that the formulas read or write, except gradients: the gradient of `x` is `dx`.
            Address list 2 v holds the addresses of array number v, and list 2 v + 1 those of its gradient.
        outputs: a formula for each target, by name, or a function that returns a dict of them. A gradient is added to
            its target; any other output overwrites it.
        numbers: the views that have one number per column, instead of `size` elements.
        accumulate: outputs that are not gradients but are added to their targets, too.
        constants: views of one number per column, like `numbers`; but in an `Across`, all interleaved columns share it.
        sets: gradients that overwrite their targets instead of being added to them.
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
        sets: tuple[str, ...] = (),
    ):
        names = [*views, *("d" + view for view in views)]
        if len({*names}) < len(names):
            raise ValueError(f"the views {', '.join(views)} and their gradients d... have a name in common")
        self.views, self.constants = views, constants
        numbers = (*numbers, *constants)
        if callable(outputs):
            self.outputs = Formula.several(outputs)
        else:
            self.outputs = {name: Formula.of(function) for name, function in outputs.items()}
        self.reductions: dict[str, Reduction] = {}
        self.numbers = frozenset(name for view in numbers for name in (view, "d" + view))
        self.sets = frozenset(name for name in sets if name in self.outputs)
        self.accumulate = (frozenset(accumulate) | {name for name in self.outputs if name not in views}) - self.sets
        if any(one.function in REDUCTIONS for o in self.outputs.values() for one in beneath(o.result).values()):
            columns = frozenset(self.outputs) - self.numbers - self.accumulate
            self.reductions, self.outputs = _apart(self.outputs, columns)

    @property
    def key(self) -> str:
        outputs = [f"{name}={formula.key}" for name, formula in self.outputs.items()]
        reductions = [f"{name}={reduction.key}" for name, reduction in self.reductions.items()]
        numbers = sorted(self.numbers), sorted(self.accumulate), *self.constants
        return repr((self.views, outputs, reductions, *numbers))

    def role_of(self, name: str) -> int:
        """Return the number of the address list of a view or gradient, such as `x` or `dx`."""
        if name in self.views:
            return 2 * self.views.index(name)
        return 2 * self.views.index(name.removeprefix("d")) + 1

    @property
    def multiples(self) -> dict[str, float]:
        """The reductions that are sums of a constant, by name: each is this constant times the size of the column."""
        sums = {name: one.formula.result for name, one in self.reductions.items() if one.combine == "sum"}
        return {name: of.arguments[0] for name, of in sums.items() if of.function == "constant"}

    @property
    def passes(self) -> list[dict[str, Reduction]]:
        """The other reductions in groups that run in one loop. A group reads results of earlier groups only."""
        found: list[dict[str, Reduction]] = []
        places: dict[str, int] = {}
        for name, reduction in self.reductions.items():
            if name in self.multiples:
                continue
            places[name] = max((places[read] + 1 for read in reduction.formula.names if read in places), default=0)
            if places[name] == len(found):
                found.append({})
            found[places[name]][name] = reduction
        return found

    @property
    def reads(self) -> set[str]:
        """The names of the views and gradients that the formulas read."""
        formulas = [*self.outputs.values(), *(reduction.formula for reduction in self.reductions.values())]
        return {name for formula in formulas for name in formula.names} - set(self.reductions)

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        """Return what the rule does. It covers a gradient if this is its only output, and no formula reads it."""
        size, reads, covers, copied = parameters[0], self.reads, False, None
        writes = tuple((self.role_of(name), 1 if name in self.numbers else size) for name in self.outputs)
        if len(writes) == 1:
            ((name, formula),) = self.outputs.items()
            covers = name in self.accumulate and name not in reads.union(self.views)
            if covers and formula.result.function == "input":
                (source,) = formula.result.arguments
                if (name in self.numbers) == (source in self.numbers):
                    copied = self.role_of(source)
        lists = tuple(map(self.role_of, reads))
        return Effects(writes, NUMBER * size * len(writes), self.shared, reads=lists, covers=covers, copied=copied)

    def on_cpu(self, instruction, lanes: int) -> None:
        columns.on_cpu(self, instruction, lanes)

    def on_gpu(self, instruction) -> None:
        columns.on_gpu(self, instruction)
