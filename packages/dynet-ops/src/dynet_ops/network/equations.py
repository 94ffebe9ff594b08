"""Turn a Python function, the equations of a recurrent cell, into a `Cell` with kernels for values and gradients.

A *gate* is a vector such as b + W x + U h, from which a cell computes its new state. The *projection* of an input x is
b + W x for all gates. A *computation* is a matrix product (`CellProduct`) or the name of a rule.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dynet_kernels.derivative import ChainRule
from dynet_kernels.formula import Formula, Symbol, as_symbol, in_postorder, inputs_of, key_of, replaced, subexpressions
from dynet_kernels.simplification import Simplifier

from ..declare import *
from ..kinds import check_elementwise

PREVIOUS = "_prev"  # formulas read h of the previous time step under the name "h_prev"


@dataclass(frozen=True)
class CellProduct:
    """A matrix product in a time step: y += W x, or y = start + W x if `start` is given.

    The fields are names of views; `weight` is W. If `first_rows` is given, only this many rows of W are used.
    """

    weight: str
    x: str
    y: str
    start: str = ""
    first_rows: int | None = None


@dataclass(frozen=True)
class WeightShape:
    """The shape of a cell's parameter, which has `gate_count` times as many rows as h has elements.

    `multiplied` says what the parameter multiplies: "h" for a vector as large as h, the input's name, "" for a bias.
    """

    gate_count: int
    multiplied: str

    def dims(self, input_size: int, h_size: int) -> tuple[int, ...]:
        """Return the dimensions for an input of `input_size` elements and an h of `h_size`."""
        rows = self.gate_count * h_size
        return (rows,) if not self.multiplied else (rows, h_size if self.multiplied == "h" else input_size)


@dataclass(eq=False)
class Cell:
    """The stored values, the parameters, and the computations of a recurrent cell. All values have the same size.

    Attributes:
        state, scratch: a time step stores the values of the state, such as h and c, and then intermediate results.
        gates: before the time step, the projection writes b + W x to their memory.
        parameters: the shapes of the parameters, in the order of the op's arguments.
        pairs: the parameters of the projection: bias, matrix, bias, matrix, ...
        weights: the recurrent parameters: matrices that multiply h, or another vector computed from the state.
        later_computations, first_computations: in order, those of a step with a previous state, and without one.
        carries_last_value: whether a formula, not only a product, reads the previous step's `state[-1]`, such as c. If
            so, the new state has as many trailing dimensions of size 1 as the previous `state[-1]`.
        numbers: the named numbers of the equations, such as the forget bias of an LSTM.
        reference: a time step in numpy: the new state, from the input, the previous state and the parameters.
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...]
    weights: tuple[str, ...]
    scratch: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    parameters: dict[str, WeightShape] = field(default_factory=dict)
    carries_last_value: bool = True
    first_computations: list[str | CellProduct] = field(default_factory=list)
    later_computations: list[str | CellProduct] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None

    @property
    def previous_names(self) -> tuple[str, ...]:
        """The names of the previous state's values in formulas, such as "h_prev"."""
        return tuple(name + PREVIOUS for name in self.state)


Equations = dict[str, Symbol]
"""The formula of each value, by name."""


def symbols(*names: str) -> list[Symbol]:
    """Return a symbol for each name, an input (a variable) of formulas."""
    return [Symbol("input", name) for name in names]


def forward_and_backward_formulas(
    equations: Mapping[str, Symbol], gates: Iterable[str] = (), totaled_values: Collection[str] = ()
) -> tuple[dict[str, Formula], dict[str, Formula]]:
    """Return the formulas of a forward and of a backward kernel, as dicts by the names of the results.

    The forward kernel computes the equations' values and the activations of `gates`, under the gates' names. The
    backward kernel computes the gradient of each input x as "dx". It stores the total gradient of `totaled_values`.
    """
    stored = StoredValues(equations, gates)
    names = {name for name, _ in stored.ordered_formulas}
    return stored.forward_formulas(names), stored.backward_formulas(names, totaled_values=totaled_values)


class StoredValues:
    """The values that forward kernels store: the equations' values, and activations, which have their gates' names.

    `ordered_formulas`: (name, formula), each after those that it contains. Only the memory of `gates` is overwritten.
    """

    def __init__(self, equations: Mapping[str, Symbol], gates: Iterable[str]):
        self.simplifier = Simplifier()
        self.equations = {name: self.simplifier(symbol) for name, symbol in equations.items()}
        symbols_by_id: dict[int, Symbol] = {}  # all symbols in the formulas; functions come after their arguments
        for symbol in self.equations.values():
            symbols_by_id |= subexpressions(symbol)
        all_symbols = [*symbols_by_id.values()]
        read_names = {symbol.arguments[0] for symbol in all_symbols if symbol.function == "input"}
        candidates = {gate: self._activation(gate, all_symbols) for gate in gates if gate in read_names}
        self.activations = {gate: symbol for gate, symbol in candidates.items() if symbol.function != "input"}
        formulas = self.activations | self.equations
        self.name_by_id = {id(symbol): name for name, symbol in formulas.items() if symbol.function != "constant"}
        order = {key: index for index, key in enumerate(symbols_by_id)}
        self.ordered_formulas = sorted(formulas.items(), key=lambda pair: order.get(id(pair[1]), -1))

    def _activation(self, gate: str, all_symbols: list[Symbol]) -> Symbol:
        """Return the largest formula, such as logistic(gate), whose value can be stored in the gate's memory.

        Three conditions: the gate is the formula's only input, nothing else reads the gate, and the derivative can be
        computed from the formula's value. If no formula meets them, return the gate's symbol.
        """
        roots = {id(symbol) for symbol in self.equations.values()}
        formula = activation = self._input(gate)
        while True:
            uses = [user for user in all_symbols if any(argument is formula for argument in user.arguments)]
            if len(uses) != 1 or inputs_of(uses[0]) != (gate,) or id(uses[0]) in roots:
                return activation
            formula = uses[0]
            if gate not in inputs_of(self._gate_gradient(gate, formula)):
                activation = formula

    def _gate_gradient(self, gate: str, activation: Symbol) -> Symbol:
        """Return a formula for the gradient of a gate, derived from the formula of its activation.

        Its input "value" is the value of the activation, and "d" + `gate` is the activation's gradient. If it also has
        the input `gate`, the gate must not be overwritten.
        """
        chain = ChainRule(self.simplifier, {gate}, by_result=True)
        ((_, slope),) = chain.gradients(activation, self._input("d" + gate), self._input("value"))
        return slope

    def forward_formulas(self, names: Collection[str]) -> dict[str, Formula]:
        """Return the formulas of a kernel that computes `names` and reads all other stored values from memory."""
        inner = {id(symbol) for name, symbol in self.ordered_formulas if name in names}
        symbols = {name: self._from_stored(symbol, inner) for name, symbol in self.ordered_formulas if name in names}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in symbols.items()}

    def backward_formulas(
        self, names: Collection[str], shared_gates: Collection[str] = (), totaled_values: Collection[str] = ()
    ) -> dict[str, Formula]:
        """Return the formulas of one backward kernel, by the names of the gradients ("dx" for x).

        Args:
            names: what the corresponding forward kernel computes.
            shared_gates: gates in `names` whose activations later forward kernels also read. Their backward kernels run
                first and add terms to "d" + gate, which the formulas here read.
            totaled_values: values whose total gradient is stored in "d" + value. Before this kernel runs, that memory
                lacks the terms of the other values in `names` that read the value.
        """
        terms = {name: [self._input("d" + name)] for name in names if name in self.equations or name in shared_gates}
        gradient_terms: dict[str, list[Symbol]] = {}
        for name, symbol in reversed(self.ordered_formulas):
            if name not in names:
                continue
            gradient = self.simplifier.sum(terms[name])
            if name in totaled_values and len(terms[name]) > 1:
                gradient_terms["d" + name] = [gradient]
            if name in self.activations:
                values = {"value": self._input(name), "d" + name: gradient}
                gradient_terms["d" + name] = [self.simplifier(substitute(self._gate_gradient(name, symbol), values))]
                continue
            tree = self._from_stored(symbol, {id(symbol)})
            chain = ChainRule(self.simplifier, {*inputs_of(tree)}, by_result=True)
            for leaf, term in chain.gradients(tree, gradient, self._input(name)):
                (read_name,) = leaf.arguments
                if read_name in names:
                    terms.setdefault(read_name, []).append(term)
                else:
                    gradient_terms.setdefault("d" + read_name, []).append(term)
        symbols = {name: self.simplifier.sum(summands) for name, summands in gradient_terms.items()}
        return {name: Formula(inputs_of(symbol), symbol) for name, symbol in symbols.items()}

    def names_read_by(self, names: Iterable[str]) -> set[str]:
        """Return everything that the equations of `names` read: inputs, gates and stored values."""
        symbols = [self.equations[name] for name in names]
        return {read_name for symbol in symbols for read_name in inputs_of(self._from_stored(symbol, {id(symbol)}))}

    def _input(self, name: str) -> Symbol:
        return self.simplifier(Symbol("input", name))

    def _from_stored(self, symbol: Symbol, kept_ids: Collection[int]) -> Symbol:
        """Return the formula with its stored subformulas replaced by inputs, except those with `id` in `kept_ids`."""
        stored = {key: self._input(name) for key, name in self.name_by_id.items() if key not in kept_ids}
        return self.simplifier(replaced(symbol, stored))


def substitute(symbol: Symbol, values: Mapping[str, Symbol]) -> Symbol:
    """Return the formula with inputs named in `values` replaced."""
    inputs = {key: leaf.arguments[0] for key, leaf in subexpressions(symbol).items() if leaf.function == "input"}
    return replaced(symbol, {key: values[name] for key, name in inputs.items() if name in values})


def without_zero_terms(symbol: Symbol, zeros: Iterable[str]) -> Symbol | None:
    """Return `symbol` without the terms that are 0 if the inputs `zeros` are 0; None if all terms are 0."""
    results: dict[int, Symbol | None] = {}
    for key, subformula in in_postorder(symbol).items():
        results[key] = _drop_zero_terms(subformula, zeros, results)
    return results[id(symbol)]


def _drop_zero_terms(symbol: Symbol, zeros: Iterable[str], results_by_id: Mapping[int, Symbol | None]) -> Symbol | None:
    if symbol.function == "constant":
        return symbol if symbol.arguments[0] else None
    if symbol.function == "input":
        return None if symbol.arguments[0] in zeros else symbol
    arguments = [results_by_id[id(argument)] for argument in symbol.arguments]
    match symbol.function, arguments:
        case ("multiply", [None, _] | [_, None]) | ("divide", [None, _]) | ("negative", [None]):
            return None
        case ("add", [None, term]) | ("add" | "subtract", [term, None]):
            return term
        case "subtract", [None, term]:
            return -term  # type: ignore[operator]
    return Symbol(symbol.function, *[as_symbol(0.0) if term is None else term for term in arguments])


def cell_of_equations(name: str, function: Callable[..., Any], state: Sequence[str]) -> Cell:
    """Return the cell that the equations in `function` define.

    `function` may use parameters only in sums such as b + W @ x + U @ h: one bias, one product with x, any number of
    other products. A sum is one gate, unless `split(sum, n)` divides its rows into n. All else is elementwise.

    Args:
        function: its arguments are the input, the values of the state and the parameters, in this order, and
            keyword-only numbers with defaults. It returns the new state; several values as a tuple, ordered as `state`.
        state: the names of the values of the state in `function`, such as h and c.

    Raises:
        TypeError: the arguments, the result or the equations of `function` do not have this form.
    """
    parameters = inspect.signature(function).parameters.values()
    numbers = {given.name: given.default for given in parameters if given.kind is given.KEYWORD_ONLY}
    input_name, *names = [given.name for given in parameters if given.name not in numbers]
    weights = names[len(state) :]
    if given := [str(one) for one in parameters if one.name in names and one.default is not one.empty]:
        raise TypeError(f"{name}: {given[0]}: only numbers have defaults, and they are keyword-only")
    if not state or names[: len(state)] != [*state]:
        state_names = ", ".join(state) or "(one name or more)"
        raise TypeError(f"{name}: the parameters must be the input, the state {state_names}, and weights")
    previous = symbols(*[value + PREVIOUS for value in state])
    result = function(_Input(input_name), *previous, *[_Weight(weight) for weight in weights])
    values = result if isinstance(result, tuple) else (result,)
    if len(values) != len(state):
        raise TypeError(f"{name}: {len(values)} values are returned for the state {', '.join(state)}")
    equations = {value: as_symbol(symbol) for value, symbol in zip(state, values)}
    check_elementwise(name, [Formula((), symbol) for symbol in equations.values()])
    sums = sorted(_sums_beneath(equations.values()), key=lambda one: weights.index(one.bias or weights[0]))
    for summed in sums:
        if not summed.bias or len(summed.x_weights) != 1:
            products = [*summed.x_weights, *[weight for weight, _ in summed.products]]
            terms = " + ".join([*[summed.bias] * bool(summed.bias), *[f"{weight} @ ..." for weight in products]])
            needs = "each sum needs one bias, one product of x and any others: b + W @ x + U @ h"
            raise TypeError(f"{name}: {needs}; got {terms}")
    gates = {gate.arguments[0]: f"a{index}" for index, gate in enumerate(g for summed in sums for g in summed.gates)}
    schedule = _Schedule(name, equations, sums, gates)
    shapes: dict[str, WeightShape] = {}
    for summed in sums:
        factors = [("", summed.bias), (input_name, summed.x_weights[0]), *[("h", w) for w, _ in summed.products]]
        for multiplied, weight in factors:
            shape = WeightShape(len(summed.gates), multiplied)
            if shapes.setdefault(weight, shape) != shape:
                raise TypeError(f"{name}: {weight} stands for parameters of two shapes: each needs its own name")
    if unused := [weight for weight in weights if weight not in shapes]:
        raise TypeError(f"{name}: no equation uses {', '.join(unused)}")
    cell = Cell(
        name,
        tuple(state),
        tuple(gates.values()),
        tuple(weight for weight in weights if shapes[weight].multiplied == "h"),
        scratch=schedule.scratch_names,
        pairs=tuple(parameter for summed in sums for parameter in (summed.bias, summed.x_weights[0])),
        parameters={weight: shapes[weight] for weight in weights},
        numbers=numbers,
    )
    cell.later_computations = schedule.add_step_rules(cell)
    cell.first_computations = schedule.add_step_rules(cell, is_first_step=True)
    cell.carries_last_value = any(state[-1] + PREVIOUS in inputs_of(symbol) for symbol in schedule.formulas.values())
    return cell


class _Input:
    """The input x in the equations of a cell. It can only be used in `W @ x`; other operators raise TypeError."""

    _description = "the input: in a cell's equations it stands only in products W @ x, the matrix first"

    def __init__(self, name: str):
        self.name = name

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(f"{self.name} is {self._description}")

    __neg__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __matmul__ = __rmatmul__ = __float__ = _refuse


class _Weight(_Input):
    """A parameter. `W @ x` and `b + W @ x` return an `AffineSum`. Other operators raise TypeError."""

    _description = (
        "a parameter: in a cell's equations it stands only in sums b + W @ x + U @ h, "
        "without sign or factor. Negate or scale a whole sum, as in -(b + W @ x + U @ h)"
    )

    def __matmul__(self, other: Any) -> AffineSum:
        if type(other) is _Input:
            return AffineSum(x_weights=(self.name,))
        return AffineSum(products=((self.name, as_symbol(other)),))

    def __add__(self, other: Any) -> AffineSum:
        if not isinstance(other, AffineSum) or other.bias:
            raise TypeError(f"{self.name} is a bias: it is added to one sum of products")
        return AffineSum(self.name, other.x_weights, other.products)

    __radd__ = __add__


_gate_numbers = itertools.count()  # give each gate's symbol a name of its own, such as "gate 7"


class AffineSum(Symbol):
    """A sum b + W @ x + U @ h. In formulas, it is an input (a variable). `bias` is "" until one is added.

    `x_weights` are the names of matrices that multiply x: one, in a complete sum. `products` are the others: (name of a
    matrix, formula of the vector). The rows are divided into `gate_count` gates; `gates` has their symbols.
    """

    __slots__ = ("bias", "x_weights", "gates", "products")

    def __init__(
        self,
        bias: str = "",
        x_weights: tuple[str, ...] = (),
        products: tuple[tuple[str, Symbol], ...] = (),
        gate_count: int = 1,
    ):
        super().__init__("input", f"gate {next(_gate_numbers)}")
        self.bias, self.x_weights, self.products = bias, x_weights, products
        self.gates: list[Symbol] = [_Gate(self) for _ in range(gate_count)] if gate_count > 1 else [self]

    def __add__(self, other: Any) -> Any:
        if isinstance(other, AffineSum):
            if self.bias and other.bias:
                raise TypeError(f"a sum of products has one bias, not {self.bias} and {other.bias}")
            return AffineSum(self.bias or other.bias, self.x_weights + other.x_weights, self.products + other.products)
        return other + self if isinstance(other, _Weight) else super().__add__(other)


class _Gate(Symbol):
    """One of the gates into which `split` divides an `AffineSum`. In formulas, it is an input."""

    __slots__ = ("affine_sum",)

    def __init__(self, affine_sum: AffineSum):
        super().__init__("input", f"gate {next(_gate_numbers)}")
        self.affine_sum = affine_sum


def split(vector: Any, gate_count: int) -> list[Any]:
    """Divide a vector b + W @ x + U @ h into `gate_count` gates of equal size, top rows first."""
    return AffineSum(vector.bias, vector.x_weights, vector.products, gate_count).gates


def _sums_beneath(symbols) -> list[AffineSum]:
    """Return every `AffineSum` in the formulas, including the sums inside the vectors of products."""
    sums: dict[int, AffineSum] = {}
    formulas = list(symbols)
    while formulas:
        for symbol in subexpressions(formulas.pop()).values():
            affine_sum = symbol.affine_sum if isinstance(symbol, _Gate) else symbol
            if isinstance(affine_sum, AffineSum) and id(affine_sum) not in sums:
                sums[id(affine_sum)] = affine_sum
                formulas += [operand for _, operand in affine_sum.products]
    return list(sums.values())


class _Schedule:
    """Orders the products and elementwise kernels of a cell so that each value is computed before another reads it.

    `gates` maps a gate's symbol to its name in kernels, such as {"gate 7": "a0"}.
    """

    def __init__(self, name: str, equations: dict[str, Symbol], sums: list[AffineSum], gates: dict[str, str]):
        self.name, self.sums, self.gates = name, sums, gates
        names = {gate: Symbol("input", name_in_kernels) for gate, name_in_kernels in gates.items()}
        self.equations = {value: substitute(symbol, names) for value, symbol in equations.items()}
        self.operands_by_id = {id(x): substitute(x, names) for summed in sums for _, x in summed.products}
        computed = {key_of(x): x for x in self.operands_by_id.values() if x.function != "input"}
        states = {key_of(symbol): value for value, symbol in self.equations.items()}
        scratch_keys = [key for key in computed if key not in states]
        self.scratch_names = tuple(f"s{index}" for index in range(len(scratch_keys)))
        # Maps the `key_of` of a formula to the name under which its value is stored.
        self.name_by_key = states | dict(zip(scratch_keys, self.scratch_names))
        self.formulas = self.equations | {self.name_by_key[key]: computed[key] for key in scratch_keys}

    def add_step_rules(self, cell: Cell, is_first_step: bool = False) -> list[str | CellProduct]:
        """Add the rules of a time step to the table of kernels; return its computations in order.

        In the first step of a sequence, the previous state is 0, and products and terms that are 0 are left out.
        """
        zeros = tuple(value + PREVIOUS for value in cell.state) if is_first_step else ()
        reduced_formulas = {name: without_zero_terms(x, zeros) for name, x in self.formulas.items()}
        reduced_formulas |= {value: as_symbol(0.0) for value in cell.state if reduced_formulas[value] is None}
        defined = {name: x for name, x in reduced_formulas.items() if x is not None}
        products = [
            (index, CellProduct(weight, self._name_of(x), self.gates[summed.gates[0].arguments[0]]))
            for index, summed in enumerate(self.sums)
            for weight, operand in summed.products
            if without_zero_terms(x := self.operands_by_id[id(operand)], zeros) is not None
        ]
        stored = StoredValues(defined, cell.gates)
        read_names = {name for symbol in defined.values() for name in inputs_of(symbol)}
        unread = [gate for gate in cell.gates if gate not in read_names]
        computations: list[str | CellProduct] = []
        computed_values: set[str] = set()
        while len(computed_values) < len(defined) or products:
            ready_products = [pair for pair in products if pair[1].x in computed_values or pair[1].x.endswith(PREVIOUS)]
            computations += [product for _, product in ready_products]
            products = [pair for pair in products if pair not in ready_products]
            if len(computed_values) == len(defined):
                continue
            waiting_gates = {self.gates[gate.arguments[0]] for index, _ in products for gate in self.sums[index].gates}
            wanted_values = {product.x for _, product in products} or defined.keys()
            new_values = {
                name
                for name, symbol in defined.items()
                if name in wanted_values and name not in computed_values and not waiting_gates & {*inputs_of(symbol)}
            }
            if not new_values:
                raise TypeError(f"{self.name}: the products need each other's results")
            later_values = defined.keys() - computed_values - new_values
            read = stored.names_read_by(new_values)
            gates = (read & stored.activations.keys()) - stored.names_read_by(computed_values)
            shared = read & stored.names_read_by(later_values) & {*cell.gates}
            computed_values |= new_values
            forward = stored.forward_formulas(new_values | gates)
            backward = stored.backward_formulas(new_values | gates, gates & shared, totaled_values=cell.state)
            backward |= {"d" + gate: Formula((), as_symbol(0.0)) for gate in unread if not later_values}
            # `sets` names the gradients that the rule overwrites; the rule adds to all others. Later rules also read
            # the `shared` gates. Their backward rules run first and write these gates' gradients. The formula for the
            # gradient of an activation includes what was written, so it overwrites; so does a new value's total.
            sets = tuple("d" + gate for gate in cell.gates if gate not in shared or gate in gates)
            sets += tuple("d" + value for value in cell.state if value in new_values)
            computations.append(self._rule(cell, new_values, forward, backward, sets, is_first_step))
        return computations

    def _name_of(self, x: Symbol) -> str:
        return x.arguments[0] if x.function == "input" else self.name_by_key[key_of(x)]

    def _rule(self, cell: Cell, values: Collection[str], forward, backward, sets: tuple[str, ...], first: bool) -> str:
        """Add a forward kernel and its ".backward" to the table of kernels; return the forward kernel's name.

        The backward kernel overwrites the gradients `sets` and adds to all others. The first step of a sequence reuses
        the kernels of other steps if they are equal.
        """
        views = (*cell.state, *cell.scratch, *cell.gates)
        if any(name.endswith(PREVIOUS) for formula in forward.values() for name in formula.names):
            views += cell.previous_names
        rules = {"": Rule(views, forward), ".backward": Rule(views, backward, overwriting=sets)}
        kernel = f"{self.name}.{'_'.join(name for name in views if name in values)}"
        if first and kernel in KERNELS and all(KERNELS[kernel + end].key == rule.key for end, rule in rules.items()):
            return kernel
        return KERNELS.add_defined(kernel + ".first" * first, rules)
