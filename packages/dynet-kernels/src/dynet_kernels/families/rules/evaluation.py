"""Turns formulas into TIR. Each function of formulas is implemented under the same name in the folder `functions`."""

from __future__ import annotations

from collections.abc import Callable

from ... import formula
from ...formula import Symbol, in_order, use_counts
from ...functions import exponential, gamma, hyperbolic, random_numbers, trigonometry, vmath
from ...simplification import Sharing
from ...tir import Accumulator, let, wide
from ...tvm_modules import tirx

FUNCTIONS = {
    name: function
    for module in (vmath, exponential, hyperbolic, gamma, trigonometry, random_numbers)
    for name, function in vars(module).items()
    if name in formula.FUNCTIONS
}

DEEPEST = 12  # TVM's passes get slow where functions of functions go deeper
BITS_OF_SMALLEST = 1 << 23  # the bits of the smallest normal float32, as an int32


class Evaluation:
    """Called with one of the symbols `roots`, it returns a TIR expression for `lanes` elements of a column at once.

    What is used more than once in the trees is computed once, into a register. value_of(name) emits the load of an
    input, and first_of(name) that of the input's first element in the column, in each lane. position_of() emits an
    int32 vector: the index in the column of each element.
    """

    def __init__(self, roots: list[Symbol], value_of: Callable, first_of: Callable, position_of: Callable, lanes: int):
        self.value_of, self.first_of, self.position_of, self.lanes = value_of, first_of, position_of, lanes
        self.sharing = Sharing()  # equal parts of the roots are computed once
        self.uses, self.known = use_counts([self.sharing(root) for root in roots]), {}
        self.depths: dict[int, int] = {}  # of the TIR expression for each symbol: as functions of functions, or 0

    def __call__(self, symbol: Symbol):
        symbol = self.sharing(symbol)
        for key, one in in_order(symbol, self.known).items():
            self.known[key] = self._emit(one)
        return self.known[id(symbol)]

    def _emit(self, symbol):
        if symbol.function == "input":
            return self.value_of(symbol.arguments[0])
        if symbol.function == "first":
            return self.first_of(symbol.arguments[0].arguments[0])
        if symbol.function == "constant":
            return wide(tirx.const(symbol.arguments[0], "float32"), self.lanes)
        if symbol.function == "position":
            return self.position_of()
        if symbol.function == "origin":
            return wide(tirx.const(0, "int32"), self.lanes)
        if symbol.function == "place":
            position = self.position_of()
            return let(vmath.from_bits(position + vmath.number(BITS_OF_SMALLEST, position, "int32")))
        value = FUNCTIONS[symbol.function](*[self.known[id(argument)] for argument in symbol.arguments])
        depth = 1 + max((self.depths.get(id(argument), 0) for argument in symbol.arguments), default=0)
        condition = symbol.function in formula.CONDITIONS  # a vector of bools, which TIR cannot bind to a variable
        if condition or (self.uses.get(id(symbol), 0) <= 1 and depth < DEEPEST and symbol.function != "where"):
            self.depths[id(symbol)] = depth
            return value
        # Store it in a local buffer and load it. If TVM's simplifier saw the whole tree, it would take long.
        return let(Accumulator(self.lanes, value).get())
