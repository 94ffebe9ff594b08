"""Gradients of formulas: a line for each function, and the chain rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import formula as f
from .formula import Formula, Symbol, as_symbol, beneath, inputs_of
from .simplification import Simplifier

GRADIENTS: dict[str, Callable] = {
    "add": lambda dy, y, a, b: (dy, dy),
    "subtract": lambda dy, y, a, b: (dy, -dy),
    "multiply": lambda dy, y, a, b: (dy * b, dy * a),
    "divide": lambda dy, y, a, b: (dy / b, -dy * y / b),
    "negative": lambda dy, y, x: -dy,
    "absolute": lambda dy, y, x: f.where(x > 0, dy, f.where(x < 0, -dy, 0)),
    "exp": lambda dy, y, x: dy * y,
    "expm1": lambda dy, y, x: dy * f.exp(x),
    "log": lambda dy, y, x: dy / x,
    "log1p": lambda dy, y, x: dy / (1 + x),
    "power": lambda dy, y, a, b: (
        f.where(f.equal(b, 0), 0, dy * (b * f.power(a, b - 1))),
        f.where(f.equal(y, 0), 0, dy * (y * f.log(a))),
    ),
    "sqrt": lambda dy, y, x: 0.5 * dy / y,
    "over_root": lambda dy, y, a, b, c: (
        dy / (f.sqrt(b) + c),
        -0.5 * dy * y / ((f.sqrt(b) + c) * f.sqrt(b)),
        -dy * y / (f.sqrt(b) + c),
    ),
    "logistic": lambda dy, y, x: dy * y * (1 - y),
    "tanh": lambda dy, y, x: dy * (1 - y * y),
    "sinh": lambda dy, y, x: dy * f.cosh(x),
    "cosh": lambda dy, y, x: dy * f.sinh(x),
    "asinh": lambda dy, y, x: dy / f.sqrt(1 + x * x),
    "acosh": lambda dy, y, x: dy / (f.sqrt(x - 1) * f.sqrt(x + 1)),
    "atanh": lambda dy, y, x: dy / ((1 - x) * (1 + x)),
    "sin": lambda dy, y, x: dy * f.cos(x),
    "cos": lambda dy, y, x: -dy * f.sin(x),
    "tan": lambda dy, y, x: dy * (1 + y * y),
    "asin": lambda dy, y, x: dy / f.sqrt((1 - x) * (1 + x)),
    "acos": lambda dy, y, x: -dy / f.sqrt((1 - x) * (1 + x)),
    "atan": lambda dy, y, x: dy / (1 + x * x),
    "erf": lambda dy, y, x: dy * 1.1283791670955126 * f.exp(-x * x),
    "lgamma": lambda dy, y, x: dy * f.digamma(x),
    "sum": lambda dy, y, x: dy,
}
"""The gradient of each argument of a function, from that of its value y; of several arguments, a tuple."""

CHOICES: dict[str, Callable] = {
    "where": lambda y, condition, a, b: (condition, a, b),
    "minimum": lambda y, a, b: ((y if _is_read(b) else a) < b, a, b),
    "maximum": lambda y, a, b: ((y if _is_read(b) else a) > b, a, b),
}
"""The functions whose value is one of two: (condition, value where it holds, value elsewhere).

A value that is computed again may be rounded in another way: it is not compared with the result."""

STEPS = ("floor", "ceil", "round", "uniform", "normal")
"""The functions whose gradient is 0 wherever they have one."""

UNKNOWN = ("digamma", "max", "min")
"""The functions whose gradient must be stated: there is no formula for it, or equal elements must share it somehow."""


def gradients(
    formula: Formula, operands: Iterable[str], result: str = "y", numbers: Iterable[str] = ()
) -> dict[str, Formula]:
    """The gradients of a formula's inputs, as formulas of its inputs, its result and the gradient of that.

    Where the result makes a gradient cheaper, the gradient reads it. A branch of `where`, `minimum` or `maximum` that
    is not taken adds nothing, not even NaN.

    Args:
        operands: the names of the inputs whose gradients are wanted. One on which the result does not depend, or by
            steps only, gets none.
        result: what the gradients call the result. Its gradient is "d" + this.
        numbers: the names of inputs that are one number a column.

    Raises:
        TypeError: a function on the way has no known derivative.
    """
    simplifier = Simplifier(numbers)
    root = simplifier(formula.result)
    if simplifier.is_number(root):
        simplifier.numbers |= {result, "d" + result}
    y, dy = (simplifier(Symbol("input", name)) for name in (result, "d" + result))
    found = Chain(simplifier, set(operands)).gradients(root, dy, y)
    by_name = {symbol.arguments[0]: gradient for symbol, gradient in found}
    return {name: Formula(inputs_of(by_name[name]), by_name[name]) for name in operands if name in by_name}


class Chain:
    """The chain rule for the inputs of some names."""

    def __init__(self, simplifier: Simplifier, wanted: set[str]):
        self.simplifier, self.wanted, self.depends = simplifier, wanted, {}
        self.left_out: set[int] = set()
        """The ids of symbols that two branches share, though neither may take them."""

    def gradients(self, root: Symbol, dy: Symbol, y: Symbol | None, ends=frozenset()) -> list[tuple[Symbol, Symbol]]:
        """The gradients of wanted inputs, and of other symbols where the way down is to end.

        Args:
            y: the root's value, if that is known.
            ends: the ids of these symbols.
        """
        terms, found = {id(root): [dy]}, []
        for symbol in reversed(beneath(root).values()):
            if id(symbol) not in terms or not self._depends(symbol):
                continue
            gradient = self.simplifier.sum(terms[id(symbol)])
            if symbol.function == "input" or id(symbol) in ends:
                found.append((symbol, gradient))
                continue
            if id(symbol) in self.left_out and symbol is not root:  # 0 times a derivative of NaN would be NaN
                parts = self._choice(f.equal(gradient, 0), as_symbol(0), symbol, gradient, None, ends)
            else:
                parts = self._parts(symbol, gradient, y if symbol is root else None, ends)
            for argument, part in parts:
                if self.simplifier.is_number(argument) and not self.simplifier.is_number(symbol):
                    part = f.sum(part)  # a number goes into all elements of a column
                terms.setdefault(id(argument), []).append(self.simplifier(part))
        return found

    def _depends(self, symbol: Symbol) -> bool:
        if id(symbol) not in self.depends:
            self.depends[id(symbol)] = not self.wanted.isdisjoint(inputs_of(symbol))
        return self.depends[id(symbol)]

    def _parts(self, symbol: Symbol, dy: Symbol, y: Symbol | None, ends) -> Iterable[tuple[Symbol, Symbol]]:
        function, arguments = symbol.function, symbol.arguments
        if function in STEPS:
            return []
        if function in CHOICES:
            condition, a, b = CHOICES[function](symbol if y is None else y, *arguments)
            return self._choice(condition, a, b, dy, y, ends)
        if function not in GRADIENTS:
            raise TypeError(f"{function} has no known derivative: state the gradient of a formula with it")
        parts = GRADIENTS[function](dy, symbol if y is None else y, *arguments)
        return zip(arguments, parts if isinstance(parts, tuple) else (parts,), strict=True)

    def _choice(self, condition, a, b, dy, y, ends) -> Iterable[tuple[Symbol, Symbol]]:
        """Each branch has all of the gradient, down to what both have in common: only there one of them is chosen."""
        ends = ends | (beneath(a).keys() & beneath(b).keys())
        one, other = self.gradients(a, dy, y, ends), self.gradients(b, dy, y, ends)
        found = {id(symbol): (symbol, [as_symbol(0), as_symbol(0)]) for symbol, _ in one + other}
        for place, branch in enumerate((one, other)):
            for symbol, gradient in branch:
                found[id(symbol)][1][place] = gradient
                if _may_choose_zero(gradient, dy):
                    self.left_out.add(id(symbol))
        return [(symbol, f.where(condition, *parts)) for symbol, parts in found.values()]


def _may_choose_zero(gradient: Symbol, dy: Symbol) -> bool:
    """Whether a gradient is 0 on one side of a `where` that `dy` does not hold."""
    above = beneath(dy)
    chosen = [one for key, one in beneath(gradient).items() if one.function == "where" and key not in above]
    return any(branch.function == "constant" for one in chosen for branch in one.arguments[1:])


def _is_read(symbol: Symbol) -> bool:
    """Whether a symbol has its value without rounding."""
    return symbol.function in ("input", "constant")
