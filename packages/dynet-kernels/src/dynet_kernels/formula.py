"""Formulas, which state the mathematics of ops once for CPU and GPU. Needs no TVM, so defining an op is cheap.

A formula is a function of named values, such as `lambda x, y: x * tanh(y)`, which is called once with symbols. It
applies to each element of a column; functions such as `sum` combine a whole column.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "power": operator.pow, "negative": operator.neg, "absolute": operator.abs, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq,
    "not_equal": operator.ne, "square": lambda x: x * x, "reciprocal": lambda x: 1 / x, "positive": lambda x: x,
}  # fmt: skip
"""Maps names of numpy functions that symbols can compute to functions that compute the same with operators."""

FORMULA_NAMES = {
    "fabs": "absolute", "abs": "absolute", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "rint": "round", "fmax": "maximum", "fmin": "minimum", "amax": "max",
    "amin": "min", "clip": "minimum", "add.reduce": "sum", "maximum.reduce": "max", "minimum.reduce": "min",
    "bmax": "maximum", "bmin": "minimum", "max_dim": "max", "min_dim": "min", "sum_elems": "sum", "pow": "power",
}  # fmt: skip
"""Maps numpy functions and ops that are called differently in this module to their names here."""

SMALLEST_NORMAL, LARGEST_FLOAT = 1.1754943508222875e-38, 3.4028234663852886e38  # positive normal float32s


def _operator_methods(function: str) -> tuple[Callable[[Any, Any], Symbol], Callable[[Any, Any], Symbol]]:
    """Return two methods of Symbol for an operator: for self on its left, as in `__sub__`, and on its right."""
    return lambda self, other: apply(function, self, other), lambda self, other: apply(function, other, self)


class Symbol:
    """A value in a formula: a named input, a constant, or a function of other symbols."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: str, *arguments):
        self.function, self.arguments = function, arguments

    def __repr__(self, depth: int = 3):
        if not depth and self.function not in LEAVES:
            return "..."  # a formula may be very long, and its subexpressions may occur many times
        if self.function == "input":
            return f"input({self.arguments[0].removeprefix('.')!r})"  # the names of an op's operands get a "."
        arguments = [one.__repr__(depth - 1) if isinstance(one, Symbol) else repr(one) for one in self.arguments]
        return f"{self.function}({', '.join(arguments)})"

    __add__, __radd__ = _operator_methods("add")
    __sub__, __rsub__ = _operator_methods("subtract")
    __mul__, __rmul__ = _operator_methods("multiply")
    __truediv__, __rtruediv__ = _operator_methods("divide")
    __lt__, __gt__ = _operator_methods("less")
    __le__, __ge__ = _operator_methods("less_equal")

    def __neg__(self):
        return apply("negative", self)

    def __abs__(self):
        return apply("absolute", self)

    def __pow__(self, other):
        """Return self ** other. Powers 1 to 4 become products, which are faster."""
        if isinstance(other, int) and 0 < other <= 4:
            return self if other == 1 else self ** (other - 1) * self
        return apply("power", self, other)

    def __rpow__(self, other):
        return apply("power", other, self)

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

    def __getattr__(self, name: str):
        if name in FUNCTIONS:
            raise AttributeError(f"a symbol has no method {name!r}: {hint(name)}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refuse(self, subject: str, name: str):
        raise TypeError(f"{subject} takes numbers, not the symbol {self!r:.60}, which stands for all: {hint(name)}")

    def __float__(self):
        self._refuse("a function such as math.exp", "exp")

    __int__ = __index__ = __complex__ = __float__

    def __round__(self, digits=None):
        self._refuse("round", "round")

    def __array_ufunc__(self, function, method, *inputs, **keywords):
        """Apply numpy's operators, as in `numpy.float32(2) * x`, but refuse functions such as `numpy.exp(x)`."""
        name = function.__name__
        if method == "__call__" and not keywords and name in OPERATORS:
            return OPERATORS[name](*[x if isinstance(x, Symbol) else float(as_symbol(x).arguments[0]) for x in inputs])
        if method != "__call__":
            name += f".{method}"
        self._refuse(f"numpy.{name}", name)

    def __array_function__(self, function, types, arguments, keywords):
        """Refuse numpy's other functions, such as `numpy.where` and `numpy.sum`."""
        name = function.__name__
        self._refuse(f"numpy.{name}", name)


def as_symbol(value) -> Symbol:
    """Return `value` if it is a symbol, or else a constant.

    Raises:
        TypeError: it is neither a symbol nor a number.
        ValueError: it is a finite number that is too large for a float32.
    """
    if isinstance(value, Symbol):
        return value
    try:
        number = math.ldexp(value, 0)  # unlike float(value), refuses strings
        if LARGEST_FLOAT * (1 + 2.0**-25) < abs(number) < float("inf"):  # as a float32, it would be infinite
            raise OverflowError
        return Symbol("constant", number)
    except OverflowError:
        raise ValueError(
            f"the constant {value!r:.40} is too large for a formula: the largest float32 is {LARGEST_FLOAT:.8g}"
        ) from None
    except (TypeError, ValueError):
        if hasattr(value, "__float__") and not hasattr(value, "__array__"):
            raise  # the `__float__` of the value's class raises a better error, for example for parameters of a cell
        raise TypeError(
            f"a formula consists of numbers and of the function's arguments, not of {type(value).__name__} "
            f"{value!r:.60}: pass expressions and arrays as arguments of the function"
        ) from None


def hint(name: str) -> str:
    """Return, for error messages, how to write a numpy function or an op in a formula."""
    name = FORMULA_NAMES.get(name, name)
    if name in FUNCTIONS and name not in WRITTEN_AS_OPERATORS:
        return f"write f.{name}, after `from dynet_kernels import formula as f`"
    return "a formula has only numbers, the function's arguments and functions of dynet_kernels.formula"


LEAVES = ("input", "constant")  # functions of symbols whose arguments are not symbols, but a name or a number
CONDITIONS = ("less", "less_equal", "equal")
"""Functions whose values are true or false. Such a value can only be the first argument of `where`."""


def apply(function: str, *arguments) -> Symbol:
    """Return the symbol for a function of symbols or numbers. Raise a TypeError if a condition is out of place."""
    symbols = [as_symbol(argument) for argument in arguments]
    for index, symbol in enumerate(symbols):
        if (function == "where" and index == 0) != (symbol.function in CONDITIONS):
            expected = "condition" if function == "where" and index == 0 else "number"
            raise TypeError(
                f"{function}: {symbol!r:.60} is not a {expected}; a condition such as x > 0 is the first argument of "
                "where(x > 0, a, b), and nothing else"
            )
    return Symbol(function, *symbols)


WRITTEN_AS_OPERATORS = ("add", "subtract", "multiply", "divide", "negative")  # functions that are written as operators
FUNCTIONS: set[str] = set(WRITTEN_AS_OPERATORS)
"""The names of all functions that formulas can use. Those that are defined below are added where they are defined."""


# For type checkers: functions that are formulas annotate their arguments as expressions, but are called with symbols.
Value = TypeVar("Value")


class Unary(Protocol):
    def __call__(self, x: Value, /) -> Value: ...


class Binary(Protocol):
    @overload
    def __call__(self, x: Value, y: float, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: Value, /) -> Value: ...
    @overload
    def __call__(self, x: Value, y: Value, /) -> Value: ...


class Choice(Protocol):
    @overload
    def __call__(self, condition: Any, x: Value, y: float, /) -> Value: ...
    @overload
    def __call__(self, condition: Any, x: float, y: Value, /) -> Value: ...
    @overload
    def __call__(self, condition: Any, x: Value, y: Value, /) -> Value: ...


def _define(name: str, docstring: str, arity: int) -> Callable[..., Any]:
    def call(*arguments):
        if len(arguments) != arity:
            raise TypeError(f"{name} takes {arity} argument{'s' * (arity != 1)}, got {len(arguments)}")
        return apply(name, *arguments)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = docstring
    FUNCTIONS.add(name)
    return call


def _unary(name: str, docstring: str) -> Unary:
    return _define(name, docstring, 1)


def _binary(name: str, docstring: str) -> Binary:
    return _define(name, docstring, 2)


def _condition(name: str, docstring: str) -> Callable[[Any, Any], Any]:
    return _define(name, docstring, 2)


exp = _unary("exp", "e to the power of x.")
log = _unary("log", "The natural logarithm.")
expm1 = _unary("expm1", "exp(x) - 1, exact near 0.")
log1p = _unary("log1p", "log(1 + x), exact near 0.")
power = _binary("power", "x to the power of y, as IEEE 754 defines it.")
logistic = _unary("logistic", "1 / (1 + exp(-x)).")
tanh = _unary("tanh", "The hyperbolic tangent.")
sinh = _unary("sinh", "The hyperbolic sine.")
cosh = _unary("cosh", "The hyperbolic cosine.")
asinh = _unary("asinh", "The inverse hyperbolic sine.")
acosh = _unary("acosh", "The inverse hyperbolic cosine; NaN below 1.")
atanh = _unary("atanh", "The inverse hyperbolic tangent; NaN outside [-1, 1].")
sin = _unary("sin", "The sine; see `vmath` for how large x may be.")
cos = _unary("cos", "The cosine; see `vmath` for how large x may be.")
tan = _unary("tan", "The tangent; see `vmath` for how large x may be.")
asin = _unary("asin", "The inverse sine; NaN outside [-1, 1].")
acos = _unary("acos", "The inverse cosine; NaN outside [-1, 1].")
atan = _unary("atan", "The inverse tangent.")
erf = _unary("erf", "The Gaussian error function.")
lgamma = _unary("lgamma", "log |Gamma(x)|.")
digamma = _unary("digamma", "The derivative of lgamma.")
sqrt = _unary("sqrt", "The square root.")
over_root = _define("over_root", "over_root(x, y, c): x / (sqrt(y) + c) to a few units in the last place.", 3)
absolute = _unary("absolute", "|x|.")
floor = _unary("floor", "The largest whole number not above x.")
ceil = _unary("ceil", "The smallest whole number not below x.")
round = _unary("round", "The nearest whole number, halves away from zero.")  # noqa: A001
minimum = _binary("minimum", "The smaller of two values; NaN if either is NaN.")
maximum = _binary("maximum", "The larger of two values; NaN if either is NaN.")
less = _condition("less", "A condition: x < y.")
less_equal = _condition("less_equal", "A condition: x <= y.")
equal = _condition("equal", "A condition: x == y.")
uniform = _define("uniform", "A random number in [0, 1), determined by two keys and the element's position.", 3)
normal = _define("normal", "A standard normal number, determined by two keys and the element's position.", 3)
where: Choice = _define("where", "where(condition, x, y): x where the condition holds, else y.", 3)
sum = _unary("sum", "The sum over a column.")  # noqa: A001
max = _unary("max", "The largest of a column.")  # noqa: A001
min = _unary("min", "The smallest of a column.")  # noqa: A001
REDUCTIONS = ("sum", "max", "min")
"""The names of functions that reduce all values of a column to one value."""
COLUMN_FUNCTIONS = ("first", "place", "position", *REDUCTIONS)
"""The names of functions whose results depend on how their argument is divided into columns."""


def first(x: Value) -> Value:
    """Return the first element of each column of the input x."""
    if not (isinstance(x, Symbol) and x.function == "input"):
        raise TypeError(f"first: {x!r:.60} is not an input")
    return apply("first", x)


FUNCTIONS.add("first")


def greater(x: Any, y: Any) -> Any:
    """Return the condition x > y, for use in `where`."""
    return less(y, x)


place = Symbol("place")
"""A float32 that increases with an element's index in its column. Use it only for comparisons.

Its bits are the index plus 2^23, so different indices have different floats, even beyond 2^24.
"""
position = Symbol("position")
"""The index of an element in its column, as an int32. It is the last argument of `uniform` and `normal`."""
origin = Symbol("origin")
"""The index 0, as an int32. As the last argument of `uniform` or `normal`, it draws one number for a whole column."""


def _valid_result(label: str, result) -> Symbol:
    if result is None or result is ...:
        raise TypeError(f"{label}: the formula returns nothing: it must return its result")
    try:
        symbol = as_symbol(result)
    except TypeError as problem:
        raise TypeError(f"{label}: {problem}") from None
    if symbol.function in CONDITIONS:
        raise TypeError(f"{label}: the result is a condition, {symbol!r:.60}; where(condition, 1, 0) is a number")
    return symbol


@dataclass(frozen=True)
class Formula:
    """A traced function: the names of its inputs, and the symbol of its result."""

    names: tuple[str, ...]
    result: Symbol

    @classmethod
    def of(cls, function: Callable | Formula, names: Mapping[str, str] | None = None, called: str = "") -> Formula:
        """Trace a function, or return it unchanged if it already is a formula.

        An input is named like the parameter, unless `names` maps it to another name. `called` is the name of the
        function in error messages.
        """
        if isinstance(function, Formula):
            return function
        inputs = {name: (names or {}).get(name, name) for name in inspect.signature(function).parameters}
        symbols = {name: Symbol("input", input_name) for name, input_name in inputs.items()}
        return cls(tuple(inputs.values()), _valid_result(called or function.__name__, function(**symbols)))

    @classmethod
    def dict_of(cls, function: Callable) -> dict[str, Formula]:
        """Trace a function that returns a dict of results. The trees of several results may share symbols."""
        names = tuple(inspect.signature(function).parameters)
        results = function(**{name: Symbol("input", name) for name in names})
        if not isinstance(results, dict):
            raise TypeError(
                f"{function.__name__} must return a dict, such as {{'p': p - rate * g}}, not {results!r:.60}"
            )
        return {name: cls(names, _valid_result(f"{function.__name__}: {name}", tree)) for name, tree in results.items()}

    def __reduce__(self):  # by default, pickle would recurse into each argument, which fails for deep trees
        symbols = in_postorder(self.result)
        positions = {key: position for position, key in enumerate(symbols)}
        lines = [
            (one.function, one.arguments if one.function in LEAVES else [positions[id(part)] for part in one.arguments])
            for one in symbols.values()
        ]
        return _restored, (self.names, lines)

    @property
    def key(self) -> str:
        """The result's symbols as text, which is the same for formulas that compute the same."""
        return key_of(self.result)


def _restored(input_names: tuple[str, ...], serialized_symbols: list[tuple[str, Sequence]]) -> Formula:
    symbols: list[Symbol] = []
    for function, parts in serialized_symbols:
        symbols.append(Symbol(function, *(parts if function in LEAVES else [symbols[position] for position in parts])))
    return Formula(input_names, symbols[-1])


def key_of(symbol: Symbol) -> str:
    """Return text that is the same for symbols that compute the same: a list of their subexpressions, in order."""
    lines: dict[str, str] = {}
    names: dict[int, str] = {}
    for key, one in in_postorder(symbol).items():
        if one.function in LEAVES:
            names[key] = f"{one.function[0]} {one.arguments[0]!r}"
        else:
            line = f"{one.function}({', '.join(names[id(argument)] for argument in one.arguments)})"
            names[key] = lines.setdefault(line, str(len(lines)))
    return "; ".join([*lines, names[id(symbol)]])


def in_postorder(symbol: Symbol, excluded_ids: Container[int] = ()) -> dict[int, Symbol]:
    """Return a dict id -> symbol of a symbol and all its subexpressions, in which each follows its own arguments.

    Leave out symbols whose ids are in `excluded_ids`, and subexpressions that only those symbols use.
    """
    ordered: dict[int, Symbol] = {}
    stack = [] if id(symbol) in excluded_ids else [symbol]
    while stack:
        one = stack[-1]
        arguments = () if one.function in LEAVES else one.arguments
        if waiting := [a for a in arguments if id(a) not in ordered and id(a) not in excluded_ids]:
            stack += reversed(waiting)
        else:
            ordered[id(one)] = stack.pop()
    return ordered


def subexpressions(symbol: Symbol) -> dict[int, Symbol]:
    """Like `in_postorder`, but without constants."""
    return {key: one for key, one in in_postorder(symbol).items() if one.function != "constant"}


def column_functions(formulas: Iterable[Formula]) -> list[str]:
    """Return the names in COLUMN_FUNCTIONS that occur in formulas, each as often as there are such symbols."""
    symbols = [symbol for formula in formulas for symbol in subexpressions(formula.result).values()]
    return [symbol.function for symbol in symbols if symbol.function in COLUMN_FUNCTIONS]


def replaced(symbol: Symbol, replacements: dict[int, Symbol]) -> Symbol:
    """Return a symbol with subexpressions replaced. `replacements` maps ids to new symbols, and gets all others."""
    for key, one in in_postorder(symbol, replacements).items():
        parts = () if one.function in LEAVES else one.arguments
        replacements[key] = Symbol(one.function, *[replacements[id(part)] for part in parts]) if parts else one
    return replacements[id(symbol)]


def inputs_of(symbol: Symbol) -> tuple[str, ...]:
    return tuple(sorted({one.arguments[0] for one in subexpressions(symbol).values() if one.function == "input"}))


def is_per_column(symbol: Symbol, numbers: Collection[str] = (), cache: dict[int, bool] | None = None) -> bool:
    """Return whether a symbol has the same value for all elements of a column."""
    # `numbers` are the names of inputs with one value per column. `cache` keeps results between calls: id -> result.
    cache = {} if cache is None else cache
    for key, one in in_postorder(symbol, cache).items():
        if one.function == "input":
            cache[key] = one.arguments[0] in numbers
        elif one.function in ("constant", "first", *REDUCTIONS):
            cache[key] = True
        else:
            cache[key] = bool(one.arguments) and all(cache[id(argument)] for argument in one.arguments)
    return cache[id(symbol)]


def use_counts(roots: list[Symbol]) -> dict[int, int]:
    """Return, by its id, how often each symbol in the trees `roots` is an argument of another symbol or a root."""
    functions = {key: one for root in roots for key, one in in_postorder(root).items() if one.function not in LEAVES}
    return Counter(map(id, [*roots, *(argument for one in functions.values() for argument in one.arguments)]))
