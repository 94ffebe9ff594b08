"""What follows from equations: what is stored of them, and their gradients.

A *gate* is an input of equations that stands in memory which its activation then takes: logistic(z) where z was. So a
backward rule finds activations, and makes the gradients of what was there before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dynet_kernels.derivative import Chain
from dynet_kernels.formula import Formula, Symbol, as_symbol, beneath, inputs_of
from dynet_kernels.simplification import Simplifier

Equations = dict[str, Symbol]
"""What is defined, by name."""


def symbols(*names: str) -> list[Symbol]:
    """What equations read, by name."""
    return [Symbol("input", name) for name in names]


def rules(equations: Mapping[str, Symbol], gates: Iterable[str] = ()) -> tuple[dict[str, Formula], dict[str, Formula]]:
    """The formulas of a forward and of a backward rule.

    The forward rule sets what the equations define, and each gate that they read to its activation. The backward rule
    makes the gradients of all that they read, of those of what they define.
    """
    stored = Stored(equations, gates)
    names = {name for name, _ in stored.order}
    return stored.forward(names), stored.backward(names)


class Stored:
    """The values that rules leave in memory: what equations define, and the activations of gates.

    `order` has their names and formulas, each after those that it is made of.
    """

    def __init__(self, equations: Mapping[str, Symbol], gates: Iterable[str]):
        self.simplifier = Simplifier()
        self.equations = {name: self.simplifier(symbol) for name, symbol in equations.items()}
        every = list(_all_beneath(self.equations.values()))
        read = {symbol.arguments[0] for symbol in every if symbol.function == "input"}
        found = {gate: self._activation(gate, every) for gate in gates if gate in read}
        self.activations = {gate: symbol for gate, symbol in found.items() if symbol.function != "input"}
        stored = {**self.activations, **self.equations}
        self.names = {id(symbol): name for name, symbol in stored.items()}
        place = {id(symbol): number for number, symbol in enumerate(every)}
        self.order = sorted(stored.items(), key=lambda pair: place[id(pair[1])])

    def _activation(self, gate: str, every: list[Symbol]) -> Symbol:
        """The largest part of the equations that follows from a gate alone, and through which all of its uses go.

        Its derivative must follow from its own value. It is the gate itself where there is no such part.
        """
        roots = {id(symbol) for symbol in self.equations.values()}
        node = found = self._input(gate)
        while True:
            uses = [one for one in every if any(argument is node for argument in one.arguments)]
            if len(uses) != 1 or inputs_of(uses[0]) != (gate,) or id(uses[0]) in roots:
                return found
            node = uses[0]
            if gate not in inputs_of(self._slope(gate, node)):
                found = node

    def _slope(self, gate: str, activation: Symbol) -> Symbol:
        """The gradient of a gate, of that of its activation, "d" + the gate, and of "value", the activation."""
        chain = Chain(self.simplifier, {gate})
        ((_, slope),) = chain.gradients(activation, self._input("d" + gate), self._input("value"))
        return slope

    def forward(self, names: Collection[str]) -> dict[str, Formula]:
        """What a rule sets that makes some of the values; it reads the others."""
        inner = {id(symbol) for name, symbol in self.order if name in names}
        found = {name: self._reading(symbol, inner) for name, symbol in self.order if name in names}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in found.items()}

    def backward(self, names: Collection[str], shared: Collection[str] = ()) -> dict[str, Formula]:
        """The gradients that a rule makes of those of the values that it has made, by "d" and a name.

        Args:
            names: these values.
            shared: the gates among them whose activations later rules read, too, and have made a gradient of.
        """
        terms = {name: [self._input("d" + name)] for name in names if name in self.equations or name in shared}
        found: dict[str, list[Symbol]] = {}
        for name, symbol in reversed(self.order):
            if name not in names:
                continue
            gradient = self.simplifier.sum(terms[name])
            if name in self.activations:
                values = {"value": self._input(name), "d" + name: gradient}
                found["d" + name] = [self.simplifier(substituted(self._slope(name, symbol), values))]
                continue
            tree = self._reading(symbol, {id(symbol)})
            for leaf, part in Chain(self.simplifier, {*inputs_of(tree)}).gradients(tree, gradient, self._input(name)):
                (read,) = leaf.arguments
                if read in names:
                    terms.setdefault(read, []).append(part)
                else:
                    found.setdefault("d" + read, []).append(part)
        symbols = {name: self.simplifier.sum(parts) for name, parts in found.items()}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in symbols.items()}

    def gates_of(self, names: Iterable[str]) -> set[str]:
        """The gates whose activations some values are made of."""
        symbols = [self.equations[name] for name in names]
        within = {id(symbol) for symbol in _all_beneath(symbols)}
        return {gate for gate, symbol in self.activations.items() if id(symbol) in within}

    def _input(self, name: str) -> Symbol:
        return self.simplifier(Symbol("input", name))

    def _reading(self, symbol: Symbol, inner: Collection[int]) -> Symbol:
        """A formula that reads stored values by their names, but for those of some ids."""
        if id(symbol) not in inner and id(symbol) in self.names:
            return self._input(self.names[id(symbol)])
        if symbol.function in ("input", "constant"):
            return symbol
        return self.simplifier(Symbol(symbol.function, *[self._reading(one, inner) for one in symbol.arguments]))


def _all_beneath(symbols: Iterable[Symbol]) -> Iterable[Symbol]:
    """Symbols and all that they are made of; arguments come before what is made of them."""
    found: dict[int, Symbol] = {}
    for symbol in symbols:
        found |= {key: one for key, one in beneath(symbol).items() if key not in found}
    return found.values()


def substituted(symbol: Symbol, values: Mapping[str, Symbol]) -> Symbol:
    """A formula with other symbols for some inputs, by name."""
    if symbol.function == "constant":
        return symbol
    if symbol.function == "input":
        return values.get(symbol.arguments[0], symbol)
    return Symbol(symbol.function, *[substituted(argument, values) for argument in symbol.arguments])


def without(symbol: Symbol, zeros: Iterable[str]) -> Symbol | None:
    """What a formula comes to where some inputs are 0; None if that is 0."""
    if symbol.function == "constant":
        return symbol if symbol.arguments[0] else None
    if symbol.function == "input":
        return None if symbol.arguments[0] in zeros else symbol
    arguments = [without(argument, zeros) for argument in symbol.arguments]
    match symbol.function, arguments:
        case ("multiply", [None, _] | [_, None]) | ("divide", [None, _]) | ("negative", [None]):
            return None
        case ("add", [None, one]) | ("add" | "subtract", [one, None]):
            return one
        case "subtract", [None, one]:
            return -one  # type: ignore[operator]
    return Symbol(symbol.function, *[as_symbol(0.0) if one is None else one for one in arguments])
