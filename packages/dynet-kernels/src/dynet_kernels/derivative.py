"""Differentiates formulas symbolically, with a table of the gradients of all functions, and the chain rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import formula as f
from .formula import CONDITIONS, LEAVES, Formula, Symbol, as_symbol, in_postorder, inputs_of, subexpressions
from .simplification import Simplifier

GRADIENTS: dict[str, Callable] = {
    "add": lambda dy, y, a, b: (dy, dy),
    "subtract": lambda dy, y, a, b: (dy, -dy),
    "multiply": lambda dy, y, a, b: (dy * b, dy * a),
    "divide": lambda dy, y, a, b: (dy / b, -dy * y / b if a.function == "constant" else -dy * (y / b)),
    "negative": lambda dy, y, x: -dy,
    "absolute": lambda dy, y, x: f.where(x > 0, dy, f.where(x < 0, -dy, 0)),
    "exp": lambda dy, y, x: dy * y,
    "expm1": lambda dy, y, x: dy * f.exp(x),
    "log": lambda dy, y, x: dy / x,
    "log1p": lambda dy, y, x: dy / (1 + x),
    "power": lambda dy, y, a, b: (
        f.where(f.equal(b, 0), 0, dy * _power_gradient(y, a, b)),
        # The gradient of b is 0 where y is 0, although log(a) is infinite there, and for 0 to the power of 0.
        f.where(f.equal(y * (f.absolute(a) + f.absolute(b)), 0), 0, dy * (y * f.log(a))),
    ),
    "sqrt": lambda dy, y, x: 0.5 * dy / y,
    "over_root": lambda dy, y, a, b, c: (
        dy / (f.sqrt(b) + c),
        -0.5 * dy * (y / (f.sqrt(b) + c)) / f.sqrt(b),
        -dy * (y / (f.sqrt(b) + c)),
    ),
    "logistic": lambda dy, y, x: dy * y / (1 + f.exp(x)),
    "tanh": lambda dy, y, x: _tanh_gradient(dy, f.exp(-f.absolute(x))),
    "sinh": lambda dy, y, x: dy * f.cosh(x),
    "cosh": lambda dy, y, x: dy * f.sinh(x),
    "asinh": lambda dy, y, x: dy / f.maximum(f.sqrt(1 + f.minimum(x * x, 1e36)), f.absolute(x)),
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
"""Maps a function's name to a function that returns dx, the gradient of x, where y is the value for the argument x.

For several arguments, it returns a tuple of their gradients. No intermediate result overflows or loses digits if dx is
a normal float32. The chain rule multiplies from left to right, so dy comes first."""

GRADIENTS_BY_RESULT: dict[str, Callable] = {
    "logistic": lambda dy, y, x: dy * y * (1 - y),
    "tanh": lambda dy, y, x: dy * (1 - y * y),
}
"""Like GRADIENTS, but these use only dy and y. If y is near 1 or -1, they lose precision: 1 % for y = tanh(6)."""


def _power_gradient(y: Symbol, a: Symbol, b: Symbol) -> Symbol:
    """Return b a^(b - 1), where y is a^b. For b <= -1 it may overflow although its product with dy does not."""
    is_small = f.absolute(b) < 1  # then a^(b - 1) may overflow although the result does not, so use its root twice
    power = f.power(a, f.where(is_small, 0.5 * (b - 1), b - 1))
    # A large b - 1 is rounded to an even number. This only matters if a is -1 or 1, and then a^(b - 1) is y a.
    return b * f.where(f.absolute(b) < 2.0**24, power, y * a) * f.where(is_small, power, 1)


def _tanh_gradient(dy: Symbol, e: Symbol) -> Symbol:
    """Return dy / cosh(x)^2, where e is exp(-|x|)."""
    inverse = 2 * e / (1 + e * e)
    return dy * inverse * inverse


CHOICES: dict[str, Callable] = {
    "where": lambda y, condition, a, b: (condition, a, b),
    "minimum": lambda y, a, b: ((y if _is_leaf(b) else a) < b, a, b),
    "maximum": lambda y, a, b: ((y if _is_leaf(b) else a) > b, a, b),
}
"""For functions that select a value: name -> function that returns (condition, value if it is true, value otherwise).

If b is an input or a constant, the condition of `minimum` and `maximum` compares the stored result y with b. Any other
b is recomputed for the gradient, and might be rounded differently than in y, so the condition compares the recomputed a
and b."""

WITH_ZERO_GRADIENT = ("floor", "ceil", "round", "uniform", "normal")
"""Names of functions whose gradient is 0 wherever it exists: step functions and random functions."""

NOT_DIFFERENTIABLE = ("digamma", "max", "min", "first")
"""Names of functions that `gradients` refuses. No function in `formula` is the gradient of digamma. For max and min,
the op has to decide how equal elements share the gradient. No op needs the gradient of first."""


def gradients(
    formula: Formula, operands: Iterable[str], result: str = "y", numbers: Iterable[str] = ()
) -> dict[str, Formula]:
    """Derive the gradients of `operands` from the inputs, the result, and its gradient, called "d" + `result`.

    The gradients use the result if this is cheaper: for y = exp(x), dx = dy * y. A branch of `where`, `minimum` or
    `maximum` that is not taken contributes 0, even if its derivative is NaN. Operands on which the result does not
    depend, or only through step functions such as `floor`, are left out. `numbers` are the names of inputs with one
    value per column. Raise a TypeError if an operand is used by a function without a known derivative.
    """
    simplifier = Simplifier(numbers)
    root = simplifier(formula.result)
    if simplifier.is_per_column(root):
        simplifier = Simplifier({*numbers, result, "d" + result})
        root = simplifier(formula.result)
    y, dy = (simplifier(Symbol("input", name)) for name in (result, "d" + result))
    pairs = ChainRule(simplifier, set(operands)).gradients(root, dy, y)
    by_name = {symbol.arguments[0]: Formula(inputs_of(gradient), gradient) for symbol, gradient in pairs}
    return {name: by_name[name] for name in operands if name in by_name}


class ChainRule:
    """Applies the chain rule to trees of symbols, using the gradients in `GRADIENTS_BY_RESULT` if `by_result`."""

    def __init__(self, simplifier: Simplifier, wanted_inputs: set[str], by_result: bool = False):
        self.simplifier, self.wanted_inputs, self.depends_on_wanted = simplifier, wanted_inputs, {}
        self.gradient_table = GRADIENTS | GRADIENTS_BY_RESULT if by_result else GRADIENTS
        # For each branch around the current symbol: a function that sets a gradient to 0 unless the branch is taken.
        self.branch_filters: list[Callable[[Symbol], Any]] = []
        self.users: dict[int, set[int]] = {}  # a symbol's id -> the ids of the symbols of which it is an argument
        self.possibly_unused_ids: set[int] = set()
        """Ids of symbols that some elements of the column may use only in branches that are not taken. For these
        elements, the gradients of these symbols are 0."""

    def gradients(self, root: Symbol, dy: Symbol, y: Symbol | None, end_ids=frozenset()) -> list[tuple[Symbol, Symbol]]:
        """Return pairs (symbol, gradient) for each wanted input in the tree `root`, and each symbol in `end_ids`."""
        # `dy` is the gradient of `root`. `y` is the input that holds the value of `root`, or None if no input does.
        # Gradients of the symbols whose ids are in `end_ids` are not propagated to their arguments.
        terms, pairs, symbols = {id(root): [dy]}, [], subexpressions(root)
        if id(root) not in self.users:  # `root` is a whole formula, not a branch of a choice
            for key, symbol in symbols.items():
                for argument in () if symbol.function in (*LEAVES, *CONDITIONS) else symbol.arguments:
                    self.users.setdefault(id(argument), set()).add(key)
        for symbol in reversed(symbols.values()):
            if id(symbol) not in terms or not self._depends_on_wanted(symbol):
                continue
            gradient = self.simplifier.sum(terms[id(symbol)])
            if symbol.function == "input" or id(symbol) in end_ids:
                pairs.append((symbol, gradient))
                continue
            # Where the symbol's gradient is 0, select 0 for its arguments as well, because 0 * NaN is NaN.
            if id(symbol) in self.possibly_unused_ids and symbol is not root:
                parts = self._choice_terms(symbol, f.equal(gradient, 0), as_symbol(0), symbol, gradient, None, end_ids)
            else:
                parts = self._argument_terms(symbol, gradient, y if symbol is root else None, end_ids)
            for argument, part in parts:
                terms.setdefault(id(argument), []).append(self.simplifier(part))
        return pairs

    def _depends_on_wanted(self, symbol: Symbol) -> bool:
        for key, one in in_postorder(symbol, self.depends_on_wanted).items():
            parts = one.arguments if one.function not in LEAVES else ()
            is_wanted = one.function == "input" and one.arguments[0] in self.wanted_inputs
            self.depends_on_wanted[key] = is_wanted or any(self.depends_on_wanted[id(part)] for part in parts)
        return self.depends_on_wanted[id(symbol)]

    def _argument_terms(self, symbol: Symbol, dy: Symbol, y: Symbol | None, end_ids) -> Iterable[tuple[Symbol, Symbol]]:
        function, arguments = symbol.function, symbol.arguments
        if function in WITH_ZERO_GRADIENT:
            return []
        value = symbol if y is None else y
        if function in CHOICES:
            condition, a, b = CHOICES[function](value, *arguments)
            return self._choice_terms(symbol, condition, a, b, dy, y, end_ids)
        if function == "sum" and self.simplifier.is_per_column(arguments[0]):
            return [(arguments[0], dy * f.sum(as_symbol(1)))]  # the same value is added for each element
        if function not in self.gradient_table:
            raise TypeError(f"{function} has no known derivative: state the gradient of a formula with it")
        parts = self.gradient_table[function](dy, value, *arguments)
        parts = parts if isinstance(parts, tuple) else (parts,)
        pairs = zip(arguments, parts, strict=True)
        return [(one, self._column_sum(part) if self._is_broadcast(one, symbol) else part) for one, part in pairs]

    def _choice_terms(self, choice, condition, a, b, dy, y, end_ids) -> Iterable[tuple[Symbol, Symbol]]:
        """Return pairs (symbol, gradient) for `choice`, a choice between `a` (if `condition` is true) and `b`."""
        # Differentiate each branch as if it were taken, down to inputs, symbols that are also used outside the branch,
        # and numbers, which have one value per column. Then select the gradient from the branch that is taken; but add
        # a number's gradients from both branches, because each is a sum over the elements that take this branch.
        end_ids = end_ids | self._used_outside(a, id(choice)) | self._used_outside(b, id(choice))
        column_ids = {id(x) for part in (a, b) for x in subexpressions(part).values() if self._is_broadcast(x, choice)}
        zero = as_symbol(0)
        pairs: dict[int, tuple[Symbol, list[Symbol]]] = {}
        for index, branch in enumerate((a, b)):
            self.branch_filters.append(lambda dx, index=index: f.where(condition, *((0, dx) if index else (dx, 0))))
            start = self._column_sum(dy) if id(branch) in column_ids else dy
            for symbol, gradient in self.gradients(branch, start, y, end_ids | column_ids):
                pairs.setdefault(id(symbol), (symbol, [zero, zero]))[1][index] = gradient
            self.branch_filters.pop()
        for key, (_, parts) in pairs.items():
            if any(part is zero or _may_choose_zero(part, dy) for part in parts):
                self.possibly_unused_ids.add(key)
        return [
            (symbol, parts[0] + parts[1] if key in column_ids else f.where(condition, *parts))
            for key, (symbol, parts) in pairs.items()
        ]

    def _is_broadcast(self, symbol: Symbol, user: Symbol) -> bool:
        """Return whether a symbol has one value for a whole column, while its user has a value for each element."""
        return self.simplifier.is_per_column(symbol) and not self.simplifier.is_per_column(user)

    def _column_sum(self, gradient: Symbol) -> Symbol:
        """Return the sum of a gradient over the elements of the column that take the enclosing branches."""
        for zero_unless_taken in reversed(self.branch_filters):
            gradient = zero_unless_taken(gradient)
        return f.sum(gradient)

    def _used_outside(self, branch: Symbol, choice_id: int) -> set[int]:
        """Return the ids of symbols used both in a branch and outside it. `choice_id`: of the choosing symbol."""
        inside = {*subexpressions(branch), choice_id}
        return {key for key in inside if self.users.get(key, set()) - inside} - {choice_id}


def _may_choose_zero(gradient: Symbol, dy: Symbol) -> bool:
    """Return whether `gradient`, outside `dy`, contains a `where` with a constant branch, so that it may be 0."""
    in_dy = subexpressions(dy)
    choices = [one for key, one in subexpressions(gradient).items() if one.function == "where" and key not in in_dy]
    return any(branch.function == "constant" for one in choices for branch in one.arguments[1:])


def _is_leaf(symbol: Symbol) -> bool:
    """Return whether a symbol is an input or a constant, so that its value is not recomputed, with other rounding."""
    return symbol.function in LEAVES
