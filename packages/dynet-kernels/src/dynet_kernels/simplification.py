"""Simplifies formulas: shares common subexpressions, folds constants, and combines like terms.

Products keep the order of their factors, because in a different order they might overflow although the value does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import add, mul, sub

from .formula import LARGEST_FLOAT, LEAVES, Symbol, as_symbol, in_postorder, is_per_column

FOLDABLE = {"add": add, "subtract": sub, "multiply": mul, "negative": lambda a: 0.0 - a}  # to apply to constants
Factors = tuple[tuple[int, bool], ...]
"""The factors of a product, in order, as pairs (id of a symbol, whether to divide by it)."""


class Deduplicator:
    """Replaces each symbol by its representative, which is the same for equal symbols. Call it with a symbol."""

    def __init__(self):
        self.representatives: dict[tuple, Symbol] = {}
        # A symbol's id -> (the symbol, which is kept alive so that its id stays unique, its representative).
        self.pairs_by_id: dict[int, tuple[Symbol, Symbol]] = {}

    def __call__(self, symbol: Symbol) -> Symbol:
        for one in in_postorder(symbol, self.pairs_by_id).values():
            if one.function in LEAVES:
                result = self.representatives.setdefault((one.function, repr(one.arguments[0])), one)
            else:
                arguments = [self.pairs_by_id[id(argument)][1] for argument in one.arguments]
                key = one.function, *map(id, arguments)
                if key not in self.representatives:
                    self.representatives[key] = self.new_representative(Symbol(one.function, *arguments))
                result = self.representatives[key]
            self.pairs_by_id[id(one)] = one, result
            self.pairs_by_id[id(result)] = result, result
        return self.pairs_by_id[id(symbol)][1]

    def new_representative(self, symbol: Symbol) -> Symbol:
        """Return the representative of a symbol that equals no earlier symbol. Its arguments are representatives."""
        return symbol


class Simplifier(Deduplicator):
    """A Deduplicator that also simplifies symbols. `per_column_inputs` are inputs with one value per column."""

    def __init__(self, per_column_inputs: Iterable[str] = ()):
        super().__init__()
        self._per_column_inputs, self._per_column_cache = frozenset(per_column_inputs), {}

    def is_per_column(self, symbol: Symbol) -> bool:
        """Return whether a representative has the same value for all elements of a column."""
        return is_per_column(symbol, self._per_column_inputs, self._per_column_cache)

    def new_representative(self, symbol: Symbol) -> Symbol:
        """Return the simplified form of `symbol`, whose arguments are already simplified."""
        function, arguments = symbol.function, symbol.arguments
        constants = [a.arguments[0] if a.function == "constant" else None for a in arguments]
        if function in FOLDABLE and None not in constants and abs(x := FOLDABLE[function](*constants)) <= LARGEST_FLOAT:
            return self(as_symbol(x))
        match function, arguments, constants:
            case ("add" | "subtract", (a, _), (_, 0)) | ("multiply" | "divide", (a, _), (_, 1)):
                return a
            case ("add", (_, b), (0, _)) | ("multiply", (_, b), (1, _)):
                return b
            case ("subtract", (_, b), (0, _)) | ("multiply", (_, b), (-1, _)) | ("multiply", (b, _), (_, -1)):
                return self(-b)
            case "multiply", (Symbol(function="sqrt", arguments=(a,)) as root, other), _ if root is other:
                return a
            case "add", (a, Symbol(function="negative", arguments=(b,))), _:
                return self(a - b)
            case "negative", (Symbol(function="negative", arguments=(a,)),), _:
                return a
            case "negative", (Symbol(function="multiply") as product,), _:
                sign, factors = self._factors(product)
                if sign < 0:
                    return self(self._product(1.0, factors))
            case "negative", (Symbol(function="where", arguments=(condition, a, b)),), _:
                opposites = self(-a), self(-b)
                if any(opposite.function != "negative" for opposite in opposites):
                    return self(Symbol("where", condition, *opposites))
            case "where", (_, a, b), _ if a is b:
                return a
            case "where", (Symbol(function="equal", arguments=(a, b)), same, other), _:
                if a.function == b.function == "constant":
                    return same if a.arguments == b.arguments else other
            case "less", (Symbol(function="subtract", arguments=(a, b)), _), (_, 0):
                return self(a < b)
            case "less", (_, Symbol(function="subtract", arguments=(a, b))), (0, _):
                return self(b < a)
            case "less", (b, Symbol(function="maximum", arguments=(a, other))), _ if b is other:
                return self(b < a)
            case "less", (Symbol(function="minimum", arguments=(a, other)), b), _ if b is other:
                return self(a < b)
        return super().new_representative(symbol)

    def sum(self, terms: list[Symbol]) -> Symbol:
        """Return the simplified sum of simplified terms: 2 a b + 3 a b is 5 a b, and a b + a c + a is a (b + c + 1)."""
        if len(terms) == 1:
            return terms[0]
        products: dict[Factors, float] = {}
        for coefficient, factors in map(self._factors, terms):
            products[factors] = products.get(factors, 0.0) + coefficient
        for start in sorted({factors[:-1] for factors in products if len(factors) > 1}, key=len, reverse=True):
            same_start = [factors for factors in products if start in (factors, factors[:-1])]
            if len(same_start) > 1:
                inner = self.sum([self(self._product(products.pop(one), one[len(start) :])) for one in same_start])
                products[*start, (id(inner), False)] = 1.0
        if len(products) == 1:
            ((factors, coefficient),) = products.items()
            return self(self._product(coefficient, factors))
        total = as_symbol(0)
        # Put positive terms first, because a sum that begins with -a would need a negation.
        for factors, coefficient in sorted(products.items(), key=lambda product: product[1] < 0):
            term = self._product(abs(coefficient), factors)
            total = total + term if coefficient > 0 else total - term if coefficient < 0 else total
        return self(total)

    def _factors(self, symbol: Symbol) -> tuple[float, Factors]:
        """Return the sign (1 or -1) and the factors of a product: -(a b) / c gives -1 and a, b, c, where c divides."""
        sign, factors = 1.0, []
        while symbol.function in ("negative", "multiply", "divide"):
            first, *rest = symbol.arguments
            if symbol.function == "negative":
                sign = -sign
            else:
                (second,) = rest
                if symbol.function == "multiply" and first.function == "constant":
                    first, second = second, first
                base, count = _power(second)
                factors += [(id(base), symbol.function == "divide")] * count
            symbol = first
        if symbol is not self(as_symbol(1)):
            factors.append((id(symbol), False))
        return sign, tuple(reversed(factors))

    def _product(self, coefficient: float, factors: Factors) -> Symbol:
        # Factors that are the same for a whole column come first, so that their product is computed once per column.
        # `coefficient` comes after these factors, because it may make their product too large.
        per_column, per_element = [], []
        for symbol_id, divides in factors:
            factor = self.pairs_by_id[symbol_id][1]
            is_per_column = factor.function != "constant" and self.is_per_column(factor)
            (per_column if is_per_column else per_element).append((factor, divides))
        (per_column or per_element).append((as_symbol(coefficient), False))
        product = as_symbol(1)
        for factor, divides in per_column + per_element:
            product = product / factor if divides else product * factor
        return product


def _power(symbol: Symbol) -> tuple[Symbol, int]:
    """Return (x, n) if a symbol is a product of n factors x, and x is not a product; otherwise, (symbol, 1)."""
    if symbol.function == "multiply":
        (rest, base), count = symbol.arguments, 1
        while rest.function == "multiply" and rest.arguments[1] is base:
            rest, count = rest.arguments[0], count + 1
        if rest is base and base.function != "multiply":  # or ((x x) (x x)) ... would have exponentially many factors
            return base, count + 1
    return symbol, 1
