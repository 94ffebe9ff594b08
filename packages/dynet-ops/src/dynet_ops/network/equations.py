"""Derive the forward and the backward kernel from elementwise equations between vectors.

The forward kernel overwrites a gate z with its *activation*, such as logistic(z). The backward kernel reads it, and
computes the gradient of z.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dynet_kernels.derivative import Chain
from dynet_kernels.formula import Formula, Symbol, as_symbol, beneath, in_order, inputs_of, replaced
from dynet_kernels.simplification import Simplifier

Equations = dict[str, Symbol]
"""The formula of each value, by name."""


def symbols(*names: str) -> list[Symbol]:
    """Return a symbol for each name, an input (a variable) of formulas."""
    return [Symbol("input", name) for name in names]


def rules(
    equations: Mapping[str, Symbol], gates: Iterable[str] = (), totals: Collection[str] = ()
) -> tuple[dict[str, Formula], dict[str, Formula]]:
    """Return the formulas of a forward and of a backward kernel, each by the name of what it computes.

    The forward kernel computes the equations' values and the activations of `gates`, under the gates' names. The
    backward kernel computes the gradient of each input x as "dx". `totals` are as for `Stored.backward`.
    """
    stored = Stored(equations, gates)
    names = {name for name, _ in stored.order}
    return stored.forward(names), stored.backward(names, totals=totals)


class Stored:
    """The values that forward kernels store: those that equations define, and activations, named like their gates.

    `order` lists (name, formula), a formula after all those that it contains. Only `gates` may be overwritten.
    """

    def __init__(self, equations: Mapping[str, Symbol], gates: Iterable[str]):
        self.simplifier = Simplifier()
        self.equations = {name: self.simplifier(symbol) for name, symbol in equations.items()}
        every = list(_all_beneath(self.equations.values()))
        read = {symbol.arguments[0] for symbol in every if symbol.function == "input"}
        found = {gate: self._activation(gate, every) for gate in gates if gate in read}
        self.activations = {gate: symbol for gate, symbol in found.items() if symbol.function != "input"}
        stored = {**self.activations, **self.equations}
        self.names = {id(symbol): name for name, symbol in stored.items() if symbol.function != "constant"}
        place = {id(symbol): number for number, symbol in enumerate(every)}
        self.order = sorted(stored.items(), key=lambda pair: place.get(id(pair[1]), -1))

    def _activation(self, gate: str, every: list[Symbol]) -> Symbol:
        """Return the formula, such as logistic(gate), whose value can overwrite a gate; else the gate's symbol.

        It is the largest formula that contains no input but the gate, whose derivative can be computed from its own
        value, and outside of which nothing reads the gate. `every` has all symbols of the equations.
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
        """Return a formula for the gradient of a gate, derived from the formula of its activation.

        Its input "value" is the value of the activation, and "d" + `gate` is the activation's gradient. If it also has
        the input `gate`, the gate must not be overwritten.
        """
        chain = Chain(self.simplifier, {gate}, by_result=True)
        ((_, slope),) = chain.gradients(activation, self._input("d" + gate), self._input("value"))
        return slope

    def forward(self, names: Collection[str]) -> dict[str, Formula]:
        """Return the formulas of a kernel that computes `names` and reads all other stored values from memory."""
        inner = {id(symbol) for name, symbol in self.order if name in names}
        found = {name: self._reading(symbol, inner) for name, symbol in self.order if name in names}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in found.items()}

    def backward(
        self, names: Collection[str], shared: Collection[str] = (), totals: Collection[str] = ()
    ) -> dict[str, Formula]:
        """Return the formulas of one backward kernel, by the names of the gradients ("dx" for x).

        Args:
            names: what the corresponding forward kernel computes.
            shared: gates in `names` whose activations later forward kernels read, too. Their backward kernels have run
                before and added their terms to "d" + gate, so the formulas read it.
            totals: values whose whole gradient is to be stored in "d" + value. Before, it lacks the terms of the other
                values in `names` that read the value.
        """
        terms = {name: [self._input("d" + name)] for name in names if name in self.equations or name in shared}
        found: dict[str, list[Symbol]] = {}
        for name, symbol in reversed(self.order):
            if name not in names:
                continue
            gradient = self.simplifier.sum(terms[name])
            if name in totals and len(terms[name]) > 1:
                found["d" + name] = [gradient]
            if name in self.activations:
                values = {"value": self._input(name), "d" + name: gradient}
                found["d" + name] = [self.simplifier(substituted(self._slope(name, symbol), values))]
                continue
            tree = self._reading(symbol, {id(symbol)})
            chain = Chain(self.simplifier, {*inputs_of(tree)}, by_result=True)
            for leaf, part in chain.gradients(tree, gradient, self._input(name)):
                (read,) = leaf.arguments
                if read in names:
                    terms.setdefault(read, []).append(part)
                else:
                    found.setdefault("d" + read, []).append(part)
        symbols = {name: self.simplifier.sum(parts) for name, parts in found.items()}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in symbols.items()}

    def reads(self, names: Iterable[str]) -> set[str]:
        """Return all that the equations of `names` read: inputs, gates and stored values."""
        symbols = [self.equations[name] for name in names]
        return {read for symbol in symbols for read in inputs_of(self._reading(symbol, {id(symbol)}))}

    def _input(self, name: str) -> Symbol:
        return self.simplifier(Symbol("input", name))

    def _reading(self, symbol: Symbol, inner: Collection[int]) -> Symbol:
        """Return the formula with its stored parts replaced by inputs, but for those whose `id` is in `inner`."""
        stored = {key: self._input(name) for key, name in self.names.items() if key not in inner}
        return self.simplifier(replaced(symbol, stored))


def _all_beneath(symbols: Iterable[Symbol]) -> Iterable[Symbol]:
    """Return all symbols in the formulas, each once, a function after its arguments."""
    found: dict[int, Symbol] = {}
    for symbol in symbols:
        found |= {key: one for key, one in beneath(symbol).items() if key not in found}
    return found.values()


def substituted(symbol: Symbol, values: Mapping[str, Symbol]) -> Symbol:
    """Return the formula with inputs named in `values` replaced."""
    inputs = {key: one.arguments[0] for key, one in beneath(symbol).items() if one.function == "input"}
    return replaced(symbol, {key: values[name] for key, name in inputs.items() if name in values})


def with_zeros(symbol: Symbol, zeros: Iterable[str]) -> Symbol | None:
    """Return `symbol` without the terms that are 0 if the inputs `zeros` are 0; None if all of it is."""
    found: dict[int, Symbol | None] = {}
    for key, one in in_order(symbol).items():
        found[key] = _with_zeros(one, zeros, found)
    return found[id(symbol)]


def _with_zeros(symbol: Symbol, zeros: Iterable[str], found: Mapping[int, Symbol | None]) -> Symbol | None:
    if symbol.function == "constant":
        return symbol if symbol.arguments[0] else None
    if symbol.function == "input":
        return None if symbol.arguments[0] in zeros else symbol
    arguments = [found[id(argument)] for argument in symbol.arguments]
    match symbol.function, arguments:
        case ("multiply", [None, _] | [_, None]) | ("divide", [None, _]) | ("negative", [None]):
            return None
        case ("add", [None, one]) | ("add" | "subtract", [one, None]):
            return one
        case "subtract", [None, one]:
            return -one  # type: ignore[operator]
    return Symbol(symbol.function, *[as_symbol(0.0) if one is None else one for one in arguments])
