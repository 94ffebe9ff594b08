"""Rules: kernels stated as formulas. `columns` emits their code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...formula import REDUCTIONS, Formula, Symbol, beneath, inputs_of
from ...kernels import NUMBER, ByColumns, Lists
from ...simplification import Sharing
from . import columns


@dataclass(frozen=True)
class Reduction:
    """Combines the values of a formula over a column into one number.

    `keep` names an output in which the values are stored as well, so that later formulas can read them.
    """

    combine: str
    formula: Formula
    keep: str = ""

    @property
    def key(self) -> str:
        return f"{self.combine}({self.formula.key}){self.keep and '=' + self.keep}"


def _apart(outputs: dict[str, Formula], columns: frozenset[str]) -> tuple[dict[str, Reduction], dict[str, Formula]]:
    """Separate formulas into reductions, in the order in which they must run, and formulas that read these by name.

    The values that a reduction combines are kept in the output if the formula of that output reads them again.

    Args:
        columns: the outputs that may keep values.
    """
    sharing, reductions, names = Sharing(), {}, {}

    def without(symbol, known):
        if symbol.function in ("input", "constant"):
            return symbol
        if id(symbol) not in known:
            known[id(symbol)] = Symbol(symbol.function, *[without(argument, known) for argument in symbol.arguments])
        return known[id(symbol)]

    found = {}
    for output, formula in outputs.items():
        root = sharing(formula.result)
        kept = {}
        for symbol in beneath(root).values():
            if symbol.function not in REDUCTIONS or id(symbol) in names:
                continue
            (of,) = symbol.arguments
            value = without(of, names)
            keeps = output in columns and not kept and of.function not in ("input", "constant") and _reads(root, of)
            keep = output if keeps else ""
            name = f"{symbol.function}_{len(reductions)}"
            reductions[name] = Reduction(symbol.function, Formula(inputs_of(value), value), keep)
            names[id(symbol)] = Symbol("input", name)
            if keep:
                kept[id(of)] = Symbol("input", output)
        result = without(root, names | kept)
        found[output] = Formula(inputs_of(result), result)
    return reductions, found


def _reads(root: Symbol, part: Symbol) -> bool:
    """Whether a formula reads a part of itself other than through reductions."""
    if root is part:
        return True
    inner = () if root.function in (*REDUCTIONS, "input", "constant") else root.arguments
    return any(_reads(argument, part) for argument in inner)


class Rule(ByColumns):
    """What one instruction does to each of its columns.

    The sums and extremes in formulas become `reductions`: numbers of the column, by name. They run in order, before the
    formulas that read them.

    Args:
        views: names of the values of a column, in the order of the address lists. The gradient of `x` is `dx`.
        outputs: a formula for each target, by name, or one function that returns all of them. A gradient is added to,
            and any other target is overwritten.
        numbers: views with one number for each column, instead of `size` numbers.
        accumulate: targets other than gradients that are added to.
        constants: further views with one number, which stays the same for all columns of an `Across`.
        sets: gradients that are overwritten.
    """

    parameters = ("size",)

    def __init__(
        self,
        views: tuple[str, ...],
        outputs: Mapping[str, Callable | Formula] | Callable,
        numbers: tuple[str, ...] = (),
        accumulate: tuple[str, ...] = (),
        constants: tuple[str, ...] = (),
        sets: tuple[str, ...] = (),
    ):
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
        """Text that tells this rule from every other, for the cache of compiled kernels."""
        outputs = [f"{name}={formula.key}" for name, formula in self.outputs.items()]
        reductions = [f"{name}={reduction.key}" for name, reduction in self.reductions.items()]
        numbers = sorted(self.numbers), sorted(self.accumulate), *self.constants
        return repr((self.views, outputs, reductions, *numbers))

    def role_of(self, name: str) -> int:
        """The address list of a view or gradient."""
        if name in self.views:
            return 2 * self.views.index(name)
        return 2 * self.views.index(name.removeprefix("d")) + 1

    @property
    def reads(self) -> set[str]:
        """The views and gradients that the formulas read."""
        formulas = [*self.outputs.values(), *(reduction.formula for reduction in self.reductions.values())]
        return {name for formula in formulas for name in formula.names} - set(self.reductions)

    def covers(self, parameters: tuple[int, ...]) -> tuple[int, int, int | None] | None:
        """The gradient that the rule adds to, if it has only that output: see `kernels.Covered`."""
        if len(self.outputs) != 1:
            return None
        ((name, formula),) = self.outputs.items()
        if name not in self.accumulate or name in self.views or name in self.reads:
            return None
        result, copied = formula.result, None
        if result.function == "input" and (name in self.numbers) == (result.arguments[0] in self.numbers):
            copied = self.role_of(result.arguments[0])
        return self.role_of(name), 1 if name in self.numbers else parameters[0], copied

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """What the rule writes for a column: see `kernels.Targets`."""
        return tuple((self.role_of(name), 1 if name in self.numbers else parameters[0]) for name in self.outputs)

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        """The lists that formulas read and write: see `kernels.Lists`."""
        kept = {reduction.keep for reduction in self.reductions.values() if reduction.keep}
        return tuple({self.role_of(name) for name in self.reads | {*self.outputs} | kept}), ()

    def work(self, parameters: tuple[int, ...]) -> int:
        """About how many picoseconds a column takes."""
        return NUMBER * parameters[0] * len(self.outputs)

    def cpu(self, lanes: int):
        """The kernel for an LLVM target."""
        return columns.cpu(self, lanes)

    def cuda(self):
        """The kernel for a CUDA target."""
        return columns.cuda(self)
