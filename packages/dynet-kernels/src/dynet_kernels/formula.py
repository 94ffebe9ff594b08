"""The symbols in which ops write their mathematics: traced once, compiled for every target.

A formula is an ordinary Python function of named values. Called once with symbols, it leaves a small tree
that `vmath` turns into vector code. Nothing here needs TVM, so that defining an op is cheap.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

Operand = "Symbol | float | int"


class Symbol:
    """A value in a formula: a named input, a constant, or a function of other symbols."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: str, *arguments):
        self.function, self.arguments = function, arguments

    def __repr__(self):
        return f"{self.function}({', '.join(map(repr, self.arguments))})"

    def __add__(self, other):
        return apply("add", self, other)

    def __radd__(self, other):
        return apply("add", other, self)

    def __sub__(self, other):
        return apply("subtract", self, other)

    def __rsub__(self, other):
        return apply("subtract", other, self)

    def __mul__(self, other):
        return apply("multiply", self, other)

    def __rmul__(self, other):
        return apply("multiply", other, self)

    def __truediv__(self, other):
        return apply("divide", self, other)

    def __rtruediv__(self, other):
        return apply("divide", other, self)

    def __neg__(self):
        return apply("negative", self)

    def __lt__(self, other):
        return apply("less", self, other)

    def __le__(self, other):
        return apply("less_equal", self, other)

    def __gt__(self, other):
        return apply("less", other, self)

    def __ge__(self, other):
        return apply("less_equal", other, self)


def as_symbol(value) -> Symbol:
    """A number as a constant; a symbol as it is."""
    return value if isinstance(value, Symbol) else Symbol("constant", float(value))


def apply(function: str, *arguments) -> Symbol:
    """A named function of symbols and numbers."""
    return Symbol(function, *map(as_symbol, arguments))


def _function(name: str, meaning: str) -> Callable[..., Symbol]:
    def call(*arguments):
        return apply(name, *arguments)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = meaning
    return call


exp = _function("exp", "e to the power of x.")
log = _function("log", "The natural logarithm.")
tanh = _function("tanh", "The hyperbolic tangent.")
logistic = _function("logistic", "1 / (1 + exp(-x)).")
sqrt = _function("sqrt", "The square root.")
absolute = _function("absolute", "|x|.")
floor = _function("floor", "The largest whole number not above x.")
minimum = _function("minimum", "The smaller of two values; NaN if either is NaN.")
maximum = _function("maximum", "The larger of two values; NaN if either is NaN.")
equal = _function("equal", "A condition: x == y.")
uniform = _function("uniform", "A number in [0, 1) that follows from two keys and the place of the element.")
where = _function("where", "where(condition, x, y): x where the condition holds, else y.")
place = Symbol("place")
"""The number of an element in its column, as a float32."""
position = Symbol("position")
"""The same as an integer, for `uniform`."""


@dataclass(frozen=True)
class Formula:
    """A traced function: the names it reads, and one result."""

    names: tuple[str, ...]
    result: Symbol

    @classmethod
    def of(cls, function: Callable) -> Formula:
        names = tuple(inspect.signature(function).parameters)
        return cls(names, as_symbol(function(**{name: Symbol("input", name) for name in names})))

    @classmethod
    def several(cls, function: Callable) -> dict[str, Formula]:
        """The formulas of a function that returns them by name; what they have in common is computed once."""
        names = tuple(inspect.signature(function).parameters)
        results = function(**{name: Symbol("input", name) for name in names})
        return {name: cls(names, as_symbol(result)) for name, result in results.items()}

    @property
    def key(self) -> str:
        """Text that two formulas share exactly if they compute the same thing."""
        return repr(self.result)


def use_counts(roots: list[Symbol]) -> dict[int, int]:
    """How often each symbol is used, by its id: what is used twice is worth a name."""
    counts: dict[int, int] = {}
    stack = list(roots)
    while stack:
        symbol = stack.pop()
        counts[id(symbol)] = counts.get(id(symbol), 0) + 1
        if counts[id(symbol)] == 1 and symbol.function not in ("input", "constant"):
            stack.extend(symbol.arguments)
    return counts
