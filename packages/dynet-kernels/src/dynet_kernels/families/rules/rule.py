"""Rules: kernels that are stated as formulas of the values of a column, such as y = x / sum(x).

A rule has *views*, which are the named values of a column (x, y, and their gradients dx, dy), and *outputs*, a formula
for each target. Sums and extremes over the column are taken out of the formulas and become *reductions*. A formula is a
tree of symbols (`formula.py`). `columns.py` states what the kernels compute, in formulas with shapes, and emits their
code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...formula import REDUCTIONS, Formula, Symbol, beneath, inputs_of
from ...kernels import NUMBER, ByColumns, Lists
from ...simplification import Sharing
from . import columns


@dataclass(frozen=True)
class Reduction:
    """Combines the values of a formula for all elements of a column into one number.

    `combine` is "sum", "max" or "min". If `keep` is not empty, it names an output in whose memory the values are stored
    as well, so that later formulas can read them.
    """

    combine: str
    formula: Formula
    keep: str = ""

    @property
    def key(self) -> str:
        return f"{self.combine}({self.formula.key}){self.keep and '=' + self.keep}"


def _apart(outputs: dict[str, Formula], columns: frozenset[str]) -> tuple[dict[str, Reduction], dict[str, Formula]]:
    """Take the reductions out of formulas, and replace each by an input with the name of the reduction.

    For example, y = x / sum(x) becomes the reduction sum_0 = sum(x) and the output y = x / sum_0. If the formula of an
    output also reads the values that are summed (exp(x) in exp(x) / sum(exp(x))), the reduction stores them in the
    memory of that output.

    Args:
        outputs: the formulas by the names of their targets.
        columns: the names of the outputs that may hold such values meanwhile: they have an element for each element of
            the column, and are overwritten.

    Returns:
        The reductions by name, in the order in which they must run, and the remaining formulas.
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
    """Return whether the formula `root` contains `part` outside of its reductions."""
    if root is part:
        return True
    inner = () if root.function in (*REDUCTIONS, "input", "constant") else root.arguments
    return any(_reads(argument, part) for argument in inner)


class Rule(ByColumns):
    """A kernel that computes formulas for each column.

    Sums and extremes in the formulas become `reductions`: by name, one number per column each. They run in order,
    before the formulas that read them.

    Args:
        views: the names of the values of a column. Address list 2 v holds the addresses of the value that is number v
            here, and list 2 v + 1 those of its gradient. The gradient of `x` has the name `dx`.
        outputs: a formula for each target, by name, or one function that returns all of them. A gradient is added to
            its target; any other output overwrites it.
        numbers: the views that have one number per column, instead of `size` elements.
        accumulate: the outputs other than gradients that are added to their targets.
        constants: further views with one number per column. In an `Across`, all interleaved columns share it.
        sets: the gradients that overwrite their targets.
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
        """Text that identifies this rule in the cache of compiled kernels."""
        outputs = [f"{name}={formula.key}" for name, formula in self.outputs.items()]
        reductions = [f"{name}={reduction.key}" for name, reduction in self.reductions.items()]
        numbers = sorted(self.numbers), sorted(self.accumulate), *self.constants
        return repr((self.views, outputs, reductions, *numbers))

    def role_of(self, name: str) -> int:
        """Return the number of the address list of a view, such as x, or of a gradient, such as dx."""
        if name in self.views:
            return 2 * self.views.index(name)
        return 2 * self.views.index(name.removeprefix("d")) + 1

    @property
    def reads(self) -> set[str]:
        """The names of the views and gradients that the formulas read."""
        formulas = [*self.outputs.values(), *(reduction.formula for reduction in self.reductions.values())]
        return {name for formula in formulas for name in formula.names} - set(self.reductions)

    def covers(self, parameters: tuple[int, ...]) -> tuple[int, int, int | None] | None:
        """Return the gradient that the rule may overwrite instead of adding to it: see `kernels.Covered`.

        It is None unless that gradient is the only output.
        """
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
        """Return the address lists to which the rule writes, and how many floats per column: see `kernels.Targets`."""
        return tuple((self.role_of(name), 1 if name in self.numbers else parameters[0]) for name in self.outputs)

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        """Return the numbers of the address lists that the rule reads or writes: see `kernels.Lists`."""
        kept = {reduction.keep for reduction in self.reductions.values() if reduction.keep}
        return tuple({self.role_of(name) for name in self.reads | {*self.outputs} | kept}), ()

    def work(self, parameters: tuple[int, ...]) -> int:
        """Return about how many picoseconds one CPU thread takes for a column."""
        return NUMBER * parameters[0] * len(self.outputs)

    def cpu(self, lanes: int):
        """Emit the kernel for a CPU whose vector registers hold `lanes` float32s."""
        return columns.cpu(self, lanes)

    def cuda(self):
        """Emit the kernel for a GPU."""
        return columns.cuda(self)
