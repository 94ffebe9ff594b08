"""Simplifies formulas: shares equal parts, carries out operations on constants, and factors out common factors.

A formula is a tree of symbols, each of which applies a function to other symbols; see `formula.py`.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Iterable

from .formula import Symbol, as_symbol, is_number

FOLDED = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "negative": lambda a: 0.0 - a,
}
Product = tuple[float, Counter[tuple[int, bool]]]
"""A product: a coefficient, and how often each factor occurs. A factor is (id of a symbol, whether to divide by it)."""


class Sharing:
    """An object that is called with a symbol, and replaces equal symbols by one of them, their representative.

    Symbols are equal if they apply the same function to equal arguments. So a part that occurs several times in a
    formula becomes one symbol, and is computed once.
    """

    def __init__(self):
        self.known: dict[tuple, Symbol] = {}
        # For each id of a symbol: the symbol and its representative. The symbol is kept alive because otherwise another
        # one could get its id.
        self.seen: dict[int, tuple[Symbol, Symbol]] = {}

    def __call__(self, symbol: Symbol) -> Symbol:
        """Return the representative of a symbol: the one symbol that replaces all that are equal to it."""
        if id(symbol) not in self.seen:
            if symbol.function in ("input", "constant"):
                result = self.known.setdefault((symbol.function, repr(symbol.arguments[0])), symbol)
            else:
                result = self.made(Symbol(symbol.function, *map(self, symbol.arguments)))
            self.seen[id(symbol)] = symbol, result
            self.seen[id(result)] = result, result
        return self.seen[id(symbol)][1]

    def made(self, symbol: Symbol) -> Symbol:
        """Return the representative of `symbol`, whose arguments are representatives already."""
        return self.known.setdefault((symbol.function, *map(id, symbol.arguments)), symbol)


class Simplifier(Sharing):
    """An object that is called with a symbol and simplifies it. Like `Sharing`, it also replaces equal symbols by one.

    Args:
        numbers: the names of inputs that have only one number for a whole column.
    """

    def __init__(self, numbers: Iterable[str] = ()):
        super().__init__()
        self.numbers = frozenset(numbers)

    def is_number(self, symbol: Symbol) -> bool:
        """Return whether a symbol has the same value for all elements of a column."""
        return is_number(symbol, self.numbers)

    def made(self, symbol: Symbol) -> Symbol:
        """Return the simplified form of `symbol`, whose arguments are simplified already."""
        function, arguments = symbol.function, symbol.arguments
        numbers = [a.arguments[0] if a.function == "constant" else None for a in arguments]
        if function in FOLDED and None not in numbers:
            return self(as_symbol(FOLDED[function](*numbers)))
        match function, arguments, numbers:
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
            case "negative", (Symbol(function="multiply", arguments=(a, b)),), _:
                if (opposite := self(-a)).function != "negative":
                    return self(opposite * b)
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
        return super().made(symbol)

    def sum(self, terms: list[Symbol]) -> Symbol:
        """Return the sum of `terms`, which are simplified already.

        Add up like terms (2 x + 3 x is 5 x), and factor out common factors.
        """
        if len(terms) == 1:
            return terms[0]
        products: dict[tuple, Product] = {}
        for coefficient, factors in map(self._product_of, terms):
            key = tuple(sorted(factors.elements()))
            products[key] = coefficient + products.get(key, (0, None))[0], factors
        return self(self._sum(list(products.values())))

    def _sum(self, products: list[Product]) -> Symbol:
        if len(products) == 1:
            return self._product(*products[0])
        pairs = [a & b for (_, a), (_, b) in itertools.combinations(products, 2)]
        common = max(pairs, key=Counter.total)
        if not common:
            return self._plain_sum(products)
        with_it = [(number, factors - common) for number, factors in products if common <= factors]
        others = [(number, factors) for number, factors in products if not common <= factors]
        inner = self(self._sum(with_it))
        return self._sum([(1, common + Counter([(id(inner), False)])), *others])

    def _plain_sum(self, products: list[Product]) -> Symbol:
        total = as_symbol(0)
        # Begin with positive terms, because a sum that begins with -a would need a negation.
        for number, factors in sorted(products, key=lambda product: product[0] < 0):
            term = self._product(abs(number), factors)
            total = total + term if number > 0 else total - term
        return total

    def _product_of(self, symbol: Symbol) -> Product:
        if symbol.function == "constant":
            return symbol.arguments[0], Counter()
        if symbol.function == "negative":
            number, factors = self._product_of(symbol.arguments[0])
            return -number, factors
        if symbol.function == "multiply":
            (a, of_a), (b, of_b) = map(self._product_of, symbol.arguments)
            return a * b, of_a + of_b
        if symbol.function == "divide":
            number, factors = self._product_of(symbol.arguments[0])
            return number, factors + Counter([(id(symbol.arguments[1]), True)])
        return 1.0, Counter([(id(symbol), False)])

    def _product(self, number: float, factors: Counter) -> Symbol:
        found = [(self.seen[which][1], divides) for which, divides in factors.elements()]
        # In a gradient, the first factor of each product is dy, the gradient of the result. Multiply by it last, so
        # that fewer products overflow.
        found.reverse()
        product = as_symbol(number)
        # Begin with the factors that are the same for a whole column: their product is computed only once per column.
        for of_numbers in (True, False):
            above, below = (
                [one for one, divides in found if divides == wanted and self.is_number(one) == of_numbers]
                for wanted in (False, True)
            )
            for factor in above:
                product = product * factor
            if below:
                product = product / functools.reduce(operator.mul, below)
        return product
