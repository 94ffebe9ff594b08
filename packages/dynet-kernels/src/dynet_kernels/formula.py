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

    def __eq__(self, other):
        return apply("equal", self, other)

    def __ne__(self, other):
        raise TypeError("a formula has no `x != y`: write where(x == y, a, b), with a for equal numbers")

    __hash__ = object.__hash__

    def __bool__(self):
        raise TypeError(
            f"{self!r:.60} is a symbol, which is neither true nor false: a formula is traced once for all numbers. "
            "For `x if x > 0 else y`, `max` and the like write where(x > 0, x, y), maximum(x, y), minimum(x, y)"
        )


def as_symbol(value) -> Symbol:
    """A number as a constant; a symbol as it is."""
    return value if isinstance(value, Symbol) else Symbol("constant", float(value))


CONDITIONS = ("less", "less_equal", "equal")
"""The functions whose values are true or false, and nothing but the first argument of `where`."""


def apply(function: str, *arguments) -> Symbol:
    """A named function of symbols and numbers.

    Raises:
        TypeError: a condition where a number is needed, or the other way round.
    """
    symbols = [as_symbol(argument) for argument in arguments]
    for place, symbol in enumerate(symbols):
        if (function == "where" and place == 0) != (symbol.function in CONDITIONS):
            wanted = "condition" if function == "where" and place == 0 else "number"
            raise TypeError(
                f"{function}: {symbol!r:.60} is no {wanted}; a condition such as x > 0 is the first argument of "
                "where(x > 0, a, b), and nothing else"
            )
    return Symbol(function, *symbols)


FUNCTIONS = {"add", "subtract", "multiply", "divide", "negative", "less", "less_equal"}
"""The names of all functions."""


def _function(name: str, meaning: str, count: int = 1) -> Callable[..., Symbol]:
    def call(*arguments):
        if len(arguments) != count:
            raise TypeError(f"{name} takes {count} argument{'s' * (count != 1)}, got {len(arguments)}")
        return apply(name, *arguments)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = meaning
    FUNCTIONS.add(name)
    return call


exp = _function("exp", "e to the power of x.")
log = _function("log", "The natural logarithm.")
expm1 = _function("expm1", "exp(x) - 1, exact near 0.")
log1p = _function("log1p", "log(1 + x), exact near 0.")
power = _function("power", "x to the power of y, as IEEE 754 defines it.", 2)
logistic = _function("logistic", "1 / (1 + exp(-x)).")
tanh = _function("tanh", "The hyperbolic tangent.")
sinh = _function("sinh", "The hyperbolic sine.")
cosh = _function("cosh", "The hyperbolic cosine.")
asinh = _function("asinh", "The inverse hyperbolic sine.")
acosh = _function("acosh", "The inverse hyperbolic cosine; NaN below 1.")
atanh = _function("atanh", "The inverse hyperbolic tangent; NaN outside [-1, 1].")
sin = _function("sin", "The sine; see `trigonometry` for how large x may be.")
cos = _function("cos", "The cosine; see `trigonometry` for how large x may be.")
tan = _function("tan", "The tangent; see `trigonometry` for how large x may be.")
asin = _function("asin", "The inverse sine; NaN outside [-1, 1].")
acos = _function("acos", "The inverse cosine; NaN outside [-1, 1].")
atan = _function("atan", "The inverse tangent.")
erf = _function("erf", "The Gaussian error function.")
lgamma = _function("lgamma", "log |Gamma(x)|.")
digamma = _function("digamma", "The derivative of lgamma.")
sqrt = _function("sqrt", "The square root.")
over_root = _function("over_root", "over_root(x, y, c): x / (sqrt(y) + c) to a few units in the last place.", 3)
absolute = _function("absolute", "|x|.")
floor = _function("floor", "The largest whole number not above x.")
ceil = _function("ceil", "The smallest whole number not below x.")
round = _function("round", "The nearest whole number, halves away from zero.")  # noqa: A001
minimum = _function("minimum", "The smaller of two values; NaN if either is NaN.", 2)
maximum = _function("maximum", "The larger of two values; NaN if either is NaN.", 2)
equal = _function("equal", "A condition: x == y.", 2)
uniform = _function("uniform", "A number in [0, 1) that follows from two keys and the place of the element.", 3)
normal = _function("normal", "A number of the standard normal distribution, from the same three.", 3)
where = _function("where", "where(condition, x, y): x where the condition holds, else y.", 3)
place = Symbol("place")
"""The number of an element in its column, as a float32."""
position = Symbol("position")
"""The same as an integer, for `uniform`."""
origin = Symbol("origin")
"""The position 0, for what is decided once for a column."""


def _number(result) -> Symbol:
    symbol = as_symbol(result)
    if symbol.function in CONDITIONS:
        raise TypeError(f"the result is a condition, {symbol!r:.60}; where(condition, 1, 0) makes a number of it")
    return symbol


@dataclass(frozen=True)
class Formula:
    """A traced function: the names it reads, and one result."""

    names: tuple[str, ...]
    result: Symbol

    @classmethod
    def of(cls, function: Callable) -> Formula:
        names = tuple(inspect.signature(function).parameters)
        return cls(names, _number(function(**{name: Symbol("input", name) for name in names})))

    @classmethod
    def several(cls, function: Callable) -> dict[str, Formula]:
        """The formulas of a function that returns them by name; what they have in common is computed once."""
        names = tuple(inspect.signature(function).parameters)
        results = function(**{name: Symbol("input", name) for name in names})
        return {name: cls(names, _number(result)) for name, result in results.items()}

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
