"""Sizes that may vary: a function that runs once with them leads to formulas of its results for all sizes.

Arithmetic with a `Size` makes a formula. A comparison, or a use of the value as an index, adds a condition. Where all
conditions hold, the function would have done the same, so the formulas give its results.
"""

from __future__ import annotations

import array
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from . import layout

Whole: TypeAlias = "int | Size"
OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
UNCHANGED = {("+", 0), ("-", 0), ("*", 1), ("//", 1)}  # operations that return the left operand


def _value(x: Whole) -> int:
    return x.value if isinstance(x, Size) else x


def _formula(x: Whole) -> str:
    return x.formula if isinstance(x, Size) else repr(int(x))


def _arithmetic(symbol: str, of_values: Callable[[int, int], int]) -> Any:
    """Return the methods of Size for an operation: one with the size on the left, one with the size on the right."""

    def operation(a: Any, b: Any) -> Any:
        if not isinstance(a, int | Size) or not isinstance(b, int | Size):
            return NotImplemented
        if isinstance(b, int) and (symbol, b) in UNCHANGED:
            return a
        if isinstance(a, int) and symbol in "+*" and (symbol, a) in UNCHANGED:
            return b
        if symbol == "*" and 0 in [x for x in (a, b) if isinstance(x, int)]:
            return 0
        trace = next(x.trace for x in (a, b) if isinstance(x, Size))
        return Size(trace, of_values(_value(a), _value(b)), f"({_formula(a)} {symbol} {_formula(b)})")

    return operation, lambda b, a: operation(a, b)


def _comparison(symbol: str, of_values: Callable[[int, int], bool]) -> Any:
    def compare(a: Size, b: Any) -> Any:
        if not isinstance(b, int | Size):
            return NotImplemented
        holds = of_values(a.value, _value(b))
        if a.formula != _formula(b):
            a.trace.conditions[f"{a.formula} {symbol if holds else OPPOSITES[symbol]} {_formula(b)}"] = None
        return holds

    return compare


class Size:
    """A size that may vary: its value in this run, and its formula, an expression in Python."""

    __slots__ = ("formula", "trace", "value")
    __hash__ = None  # type: ignore[assignment]  # a set or dict would compare sizes without adding conditions

    def __init__(self, trace: Trace, value: int, formula: str):
        self.trace, self.value, self.formula = trace, value, formula

    def __index__(self) -> int:
        self.trace.conditions[f"{self.formula} == {self.value}"] = None
        return self.value

    __int__ = __index__

    def __format__(self, _: str) -> str:
        return str(int(self))

    def __str__(self) -> str:
        return str(int(self))

    def __bool__(self) -> bool:
        return self != 0

    def __neg__(self) -> Any:
        return 0 - self

    __add__, __radd__ = _arithmetic("+", operator.add)
    __sub__, __rsub__ = _arithmetic("-", operator.sub)
    __mul__, __rmul__ = _arithmetic("*", operator.mul)
    __floordiv__, __rfloordiv__ = _arithmetic("//", operator.floordiv)
    __mod__, __rmod__ = _arithmetic("%", operator.mod)
    __eq__, __ne__ = _comparison("==", operator.eq), _comparison("!=", operator.ne)
    __lt__, __le__ = _comparison("<", operator.lt), _comparison("<=", operator.le)
    __gt__, __ge__ = _comparison(">", operator.gt), _comparison(">=", operator.ge)


class Trace:
    """One run of a function with sizes that may vary.

    `descriptions` has what the run describes to the planner: each description with its integers, which begin `length`
    integers after `here`, the variable for the index of the first; `mark` is the variable for its mark. `calls` are
    other functions that the run called: name of the variable for the result, function and arguments.
    """

    def __init__(self):
        self.variables: list[str] = []
        self.conditions: dict[str, None] = {}  # in the order in which they were found
        self.here, self.mark = self.variable(0), self.variable(0)
        self.length = 0
        self.descriptions: list[tuple[Any, list[Whole]]] = []
        self.calls: list[tuple[str, Callable[..., int], tuple]] = []
        self._shapes: list[tuple[tuple[Whole, ...], Any]] = []

    def variable(self, value: int) -> Size:
        self.variables.append(f"v{len(self.variables)}")
        return Size(self, value, self.variables[-1])

    def shape(self, sizes: tuple[Whole, ...], make: Callable[[], Any]) -> Any:
        """Return the same object for equal sizes, the first time made by `make`."""
        for known, shape in self._shapes:
            if len(known) == len(sizes) and all(a == b for a, b in zip(known, sizes)):
                return shape
        self._shapes.append((sizes, make()))
        return self._shapes[-1][1]

    def claim(self, description: Any, integers: list[Any]) -> tuple[Any, Any]:
        """Note a description. Return the index of its first integer, and its mark."""
        here, mark = self.here + self.length, self.mark + len(layout.MARK) * len(self.descriptions)
        self.descriptions.append((description, integers))
        self.length += len(integers)
        return here, mark

    def without(self, run: Callable[[], Any], function: Callable[..., int], arguments: tuple) -> tuple[Any, Size]:
        """Return the result of `run`, without what it describes, and a variable for the result of a function."""
        length, count = self.length, len(self.descriptions)
        result = run()
        self.length = length
        del self.descriptions[count:]
        self.calls.append((f"c{len(self.calls)}", function, arguments))
        return result, Size(self, 0, self.calls[-1][0])

    def function(self, results: Sequence[Any]) -> Callable[..., Any]:
        """Return a function of the variables' values that returns `results`."""
        objects: dict[str, Any] = {"__builtins__": {}}
        return self._defined(self.variables, f"  return {_source(results, objects)}", objects)

    def row_function(self, results: Sequence[Any]) -> Callable[..., Any]:
        """Return a function of a function and of the variables' values after `here` and `mark`.

        It returns None if a condition does not hold. Else it calls the function with the number of integers and of
        descriptions, for `here` and `mark`, and returns (here, mark, an array of all integers, `results`).
        """
        objects: dict[str, Any] = {"__builtins__": {}}
        row = [x for _, integers in self.descriptions for x in integers]
        objects["_same"] = array.array("q", [0 if isinstance(x, Size) else x for x in row])
        here, mark, *others = self.variables
        lines = [f"if not ({' and '.join(self.conditions) or 1}): return None"]
        for k, (name, function, arguments) in enumerate(self.calls):
            objects[f"call_{k}"] = function
            lines.append(f"{name} = call_{k}{_source(arguments, objects)}")
        lines += [f"{here}, {mark} = claim({len(row)}, {len(self.descriptions)})", "row = _same[:]"]
        lines += [f"row[{k}] = {x.formula}" for k, x in enumerate(row) if isinstance(x, Size)]
        lines += [f"return {here}, {mark}, row, {_source(results, objects)}"]
        return self._defined(["claim", *others], "".join([f"  {line}\n" for line in lines]), objects)

    def _defined(self, parameters: Sequence[str], body: str, objects: dict[str, Any]) -> Callable[..., Any]:
        exec(f"def function({', '.join(parameters)}):\n{body}", objects)
        return objects["function"]


def trace_of(values: Sequence[Any]) -> Trace | None:
    """Return the trace to which the sizes among `values` belong; None if there are none."""
    return next((value.trace for value in values if isinstance(value, Size)), None)


def _source(value: Any, objects: dict[str, Any]) -> str:
    """Return an expression for a value that may contain sizes. Add to `objects` what it refers to by name."""
    if isinstance(value, Size):
        return value.formula
    if isinstance(value, tuple | list):
        items = "".join([f"{_source(item, objects)}, " for item in value])
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items})" if type(value) is tuple else f"{_source(type(value), objects)}({items})"
    if type(value) in (int, bool):
        return repr(value)
    name = f"object_{id(value)}"
    objects[name] = value
    return name
