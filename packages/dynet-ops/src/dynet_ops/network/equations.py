"""Derive the kernels of the forward and the backward pass from equations between vectors.

A *rule* is a kernel that is stated as formulas, one for each value that it computes, element by element. A *symbol* is
a formula, or a part of one, as a tree. A *gate* is an input whose memory the forward rule overwrites with its
*activation*, such as logistic(z) in place of z. The backward rule reads the activations, and computes the gradients of
the values before activation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dynet_kernels.derivative import Chain
from dynet_kernels.formula import Formula, Symbol, as_symbol, beneath, inputs_of
from dynet_kernels.simplification import Simplifier

Equations = dict[str, Symbol]
"""Equations, as a dict from the name of each value that they define to its formula."""


def symbols(*names: str) -> list[Symbol]:
    """Return symbols (variables of formulas) with these names."""
    return [Symbol("input", name) for name in names]


def rules(equations: Mapping[str, Symbol], gates: Iterable[str] = ()) -> tuple[dict[str, Formula], dict[str, Formula]]:
    """Return the formulas of the forward kernel and of the backward kernel of some equations.

    The forward kernel computes the values that the equations define. It overwrites each gate that they read with its
    activation. The backward kernel computes the gradients of all inputs from the gradients of the defined values.

    Args:
        equations: the formula of each value, by name.
        gates: the names of the inputs that may be overwritten with their activations.
    """
    stored = Stored(equations, gates)
    names = {name for name, _ in stored.order}
    return stored.forward(names), stored.backward(names)


class Stored:
    """The values that forward kernels store: those that equations define, and the activations of gates.

    `order` lists their names and formulas. A formula comes after those that it contains.
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
        """Return the activation of a gate: the largest formula of the gate alone that can replace it in memory.

        A gate is an input whose memory may be overwritten, here with logistic(gate) or the like. Nothing else may read
        the gate, and the formula's derivative must be a function of its own value, as with logistic and tanh. If there
        is no such formula, return the gate itself.

        Args:
            gate: the name of the gate.
            every: all symbols of the equations.
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
        """Return the formula for the gradient of a gate, from its activation and the gradient of the activation.

        The formula calls these "value" and "d" + gate: the gradients of gate and activation share their memory.
        """
        chain = Chain(self.simplifier, {gate})
        ((_, slope),) = chain.gradients(activation, self._input("d" + gate), self._input("value"))
        return slope

    def forward(self, names: Collection[str]) -> dict[str, Formula]:
        """Return the formulas of the forward kernel that computes the values `names`, by name.

        The formulas read all other stored values from memory instead of computing them again.
        """
        inner = {id(symbol) for name, symbol in self.order if name in names}
        found = {name: self._reading(symbol, inner) for name, symbol in self.order if name in names}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in found.items()}

    def backward(self, names: Collection[str], shared: Collection[str] = ()) -> dict[str, Formula]:
        """Return the formulas of the backward kernel for the values `names`: the gradient of x is called "dx".

        Args:
            names: the values that the forward kernel computes.
            shared: the gates among them whose activations later kernels read, too. In the backward pass, these have
                already written a gradient of the activation.
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

    def reads(self, names: Iterable[str]) -> set[str]:
        """Return what the equations of the values `names` read: the names of inputs, other values and gates."""
        symbols = [self.equations[name] for name in names]
        return {read for symbol in symbols for read in inputs_of(self._reading(symbol, {id(symbol)}))}

    def _input(self, name: str) -> Symbol:
        return self.simplifier(Symbol("input", name))

    def _reading(self, symbol: Symbol, inner: Collection[int]) -> Symbol:
        """Return a formula that reads stored values from memory, in place of the parts of `symbol` that compute them.

        Parts whose `id` is in `inner` are kept.
        """
        if id(symbol) not in inner and id(symbol) in self.names:
            return self._input(self.names[id(symbol)])
        if symbol.function in ("input", "constant"):
            return symbol
        return self.simplifier(Symbol(symbol.function, *[self._reading(one, inner) for one in symbol.arguments]))


def _all_beneath(symbols: Iterable[Symbol]) -> Iterable[Symbol]:
    """Return symbols and all parts of their formulas, each once. The arguments of a function come before it."""
    found: dict[int, Symbol] = {}
    for symbol in symbols:
        found |= {key: one for key, one in beneath(symbol).items() if key not in found}
    return found.values()


def substituted(symbol: Symbol, values: Mapping[str, Symbol]) -> Symbol:
    """Return a formula in which each input that is a key of `values` is replaced by that symbol."""
    if symbol.function == "constant":
        return symbol
    if symbol.function == "input":
        return values.get(symbol.arguments[0], symbol)
    return Symbol(symbol.function, *[substituted(argument, values) for argument in symbol.arguments])


def with_zeros(symbol: Symbol, zeros: Iterable[str]) -> Symbol | None:
    """Return a formula, simplified, in which the inputs named in `zeros` are 0. Return None if the result is 0."""
    if symbol.function == "constant":
        return symbol if symbol.arguments[0] else None
    if symbol.function == "input":
        return None if symbol.arguments[0] in zeros else symbol
    arguments = [with_zeros(argument, zeros) for argument in symbol.arguments]
    match symbol.function, arguments:
        case ("multiply", [None, _] | [_, None]) | ("divide", [None, _]) | ("negative", [None]):
            return None
        case ("add", [None, one]) | ("add" | "subtract", [one, None]):
            return one
        case "subtract", [None, one]:
            return -one  # type: ignore[operator]
    return Symbol(symbol.function, *[as_symbol(0.0) if one is None else one for one in arguments])
