"""Turn the equations of a recurrent cell, a Python function that is called once with symbols, into a `Cell`."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Collection

from dynet_kernels.formula import as_symbol, beneath, inputs_of, key_of

from ..declare import *
from ..op_formulas import check_elementwise
from .cell_description import PREVIOUS, Cell, Product, Weight
from .equations import Stored, substituted, symbols, with_zeros


def cell_of_equations(name: str, function: Callable[..., Any], state: Sequence[str]) -> Cell:
    """Return the cell that the equations in `function` define.

    `function` may use parameters only in sums such as b + W @ x + U @ h, with one bias, one product with x, and any
    number of other products. A sum is one gate, unless `split(sum, n)` divides its rows into n gates. All else is
    elementwise.

    Args:
        function: its arguments are the input, the values of the state and the parameters, in this order, and numbers by
            keyword only, with defaults. It returns the new state, as a tuple in the order of `state` if there are
            several.
        state: the values of the state, such as h and c, as `function` calls them.

    Raises:
        TypeError: the arguments, the result or the equations of `function` do not have this form.
    """
    parameters = inspect.signature(function).parameters.values()
    numbers = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
    input_name, *names = [one.name for one in parameters if one.name not in numbers]
    weights = names[len(state) :]
    if not state or tuple(names[: len(state)]) != tuple(state):
        named = ", ".join(state) or "(one name or more)"
        raise TypeError(f"{name}: the parameters must be the input, the state {named}, and weights")
    previous = symbols(*[value + PREVIOUS for value in state])
    result = function(_Input(input_name), *previous, *[_Weight(weight) for weight in weights])
    values = result if isinstance(result, tuple) else (result,)
    if len(values) != len(state):
        raise TypeError(f"{name}: {len(values)} values are returned for the state {', '.join(state)}")
    equations = {value: as_symbol(symbol) for value, symbol in zip(state, values)}
    check_elementwise(name, [Formula((), symbol) for symbol in equations.values()])
    sums = sorted(_sums_beneath(equations.values()), key=lambda one: weights.index(one.bias or weights[0]))
    if any(not one.bias or len(one.inputs) != 1 for one in sums):
        raise TypeError(f"{name}: each gate is b + W @ x + ..., a bias, one product of x, and others")
    gates = {part.arguments[0]: f"a{number}" for number, part in enumerate(p for one in sums for p in one.parts)}
    plan = _Plan(name, equations, sums, gates)
    shapes: dict[str, Weight] = {}
    for one in sums:
        factors = [("", one.bias), (input_name, one.inputs[0]), *[("h", weight) for weight, _ in one.products]]
        for columns, weight in factors:
            shape = Weight(len(one.parts), columns)
            if shapes.setdefault(weight, shape) != shape:
                raise TypeError(f"{name}: {weight} stands for parameters of two shapes: each needs its own name")
    if unused := [weight for weight in weights if weight not in shapes]:
        raise TypeError(f"{name}: no equation uses {', '.join(unused)}")
    cell = Cell(
        name,
        tuple(state),
        tuple(gates.values()),
        tuple(weight for weight in weights if shapes[weight].columns == "h"),
        scratch=plan.scratch,
        pairs=tuple(parameter for one in sums for parameter in (one.bias, one.inputs[0])),
        parameters={weight: shapes[weight] for weight in weights},
        numbers=numbers,
    )
    cell.following = plan.steps(cell)
    cell.first = plan.steps(cell, first=True)
    cell.carries = any(state[-1] + PREVIOUS in inputs_of(symbol) for symbol in plan.defined.values())
    return cell


class _Input:
    """The input x. Only `W @ x` works with it; operators raise a TypeError."""

    _stands = "the input: in a cell's equations it stands only in products W @ x, the matrix first"

    def __init__(self, name: str):
        self.name = name

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(f"{self.name} is {self._stands}")

    __neg__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __matmul__ = __rmatmul__ = __float__ = _refuse


class _Weight(_Input):
    """A parameter. `W @ x` and `b + W @ x` return a `Sum`. Other operators raise a TypeError."""

    _stands = (
        "a parameter: in a cell's equations it stands only in sums b + W @ x + U @ h, "
        "without sign or factor. Negate or scale a whole sum, as in -(b + W @ x + U @ h)"
    )

    def __matmul__(self, other: Any) -> Sum:
        if type(other) is _Input:
            return Sum(inputs=(self.name,))
        return Sum(products=((self.name, as_symbol(other)),))

    def __add__(self, other: Any) -> Sum:
        if not isinstance(other, Sum) or other.bias:
            raise TypeError(f"{self.name} is a bias: it is added to one sum of products")
        return Sum(self.name, other.inputs, other.products)

    __radd__ = __add__


_numbers = itertools.count()


class Sum(Symbol):
    """A sum b + W @ x + U @ h. In formulas, it is an input (a variable). `bias` is "" until one is added.

    `inputs` are the matrices that multiply x, one in a complete sum. `products` are the others, each a pair (matrix,
    formula of the vector). The rows are divided into `parts` gates; the attribute `parts` has their symbols.
    """

    __slots__ = ("bias", "inputs", "parts", "products")

    def __init__(
        self,
        bias: str = "",
        inputs: tuple[str, ...] = (),
        products: tuple[tuple[str, Symbol], ...] = (),
        parts: int = 1,
    ):
        super().__init__("input", f"gate {next(_numbers)}")
        self.bias, self.inputs, self.products = bias, inputs, products
        self.parts: list[Symbol] = [self]
        if parts > 1:
            self.parts = [_Part(self) for _ in range(parts)]

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Sum):
            if self.bias and other.bias:
                raise TypeError(f"a sum of products has one bias, not {self.bias} and {other.bias}")
            return Sum(self.bias or other.bias, self.inputs + other.inputs, self.products + other.products)
        return other + self if isinstance(other, _Weight) else super().__add__(other)


class _Part(Symbol):
    """One of the gates into which `split` divides a `Sum`. In formulas, it is an input."""

    __slots__ = ("of",)

    def __init__(self, of: Sum):
        super().__init__("input", f"gate {next(_numbers)}")
        self.of = of


def split(vector: Any, parts: int) -> list[Any]:
    """Divide a vector b + W @ x + U @ h into gates of equal size, the one with the top rows first."""
    return Sum(vector.bias, vector.inputs, vector.products, parts).parts


def _sums_beneath(symbols) -> list[Sum]:
    """Return every `Sum` in the formulas, also those inside the vectors of products."""
    found: dict[int, Sum] = {}
    waiting = list(symbols)
    while waiting:
        for symbol in beneath(waiting.pop()).values():
            one = symbol.of if isinstance(symbol, _Part) else symbol
            if isinstance(one, Sum) and id(one) not in found:
                found[id(one)] = one
                waiting += [operand for _, operand in one.products]
    return list(found.values())


class _Plan:
    """Orders the products and elementwise kernels of a cell so that each value is computed before it is read.

    `gates`: a gate's symbol -> its name in kernels, such as {"gate 7": "a0"}.
    """

    def __init__(self, name: str, equations: dict[str, Symbol], sums: list[Sum], gates: dict[str, str]):
        self.name, self.sums, self.gates = name, sums, gates
        names = {gate: Symbol("input", to) for gate, to in gates.items()}
        self.equations = {value: substituted(symbol, names) for value, symbol in equations.items()}
        self.operands = {id(x): substituted(x, names) for one in sums for _, x in one.products}
        computed = {key_of(x): x for x in self.operands.values() if x.function != "input"}
        states = {key_of(symbol): value for value, symbol in self.equations.items()}
        others = [text for text in computed if text not in states]
        self.scratch = tuple(f"s{number}" for number in range(len(others)))
        # The name of each stored value, by the text of its formula.
        self.stored = {**states, **dict(zip(others, self.scratch))}
        self.defined = {**self.equations, **{self.stored[text]: computed[text] for text in others}}

    def steps(self, cell: Cell, first: bool = False) -> list[str | Product]:
        """Add the rules of a time step to the table of kernels; return its instructions in order.

        In the first step of a sequence, the previous state is 0. Products and terms that are 0 are left out.
        """
        zeros = tuple(value + PREVIOUS for value in cell.state) if first else ()
        found = {name: with_zeros(x, zeros) for name, x in self.defined.items()}
        found |= {value: as_symbol(0.0) for value in cell.state if found[value] is None}
        defined = {name: x for name, x in found.items() if x is not None}
        products = [
            (number, Product(weight, self._name_of(x), self.gates[one.parts[0].arguments[0]]))
            for number, one in enumerate(self.sums)
            for weight, operand in one.products
            if with_zeros(x := self.operands[id(operand)], zeros) is not None
        ]
        stored = Stored(defined, cell.gates)
        read = {name for symbol in defined.values() for name in inputs_of(symbol)}
        unread = [gate for gate in cell.gates if gate not in read]
        steps: list[str | Product] = []
        known: set[str] = set()
        while len(known) < len(defined) or products:
            ready = [pair for pair in products if pair[1].x in known or pair[1].x.endswith(PREVIOUS)]
            steps += [product for _, product in ready]
            products = [pair for pair in products if pair not in ready]
            if len(known) == len(defined):
                continue
            waiting = {self.gates[part.arguments[0]] for number, _ in products for part in self.sums[number].parts}
            wanted = {product.x for _, product in products} or defined.keys()
            now = {
                name
                for name, symbol in defined.items()
                if name in wanted and name not in known and not waiting & {*inputs_of(symbol)}
            }
            if not now:
                raise TypeError(f"{self.name}: the products need each other's results")
            later = defined.keys() - known - now
            gates = (stored.reads(now) & stored.activations.keys()) - stored.reads(known)
            shared = stored.reads(now) & stored.reads(later) & {*cell.gates}
            known |= now
            forward = stored.forward(now | gates)
            backward = stored.backward(now | gates, gates & shared, totals=cell.state)
            backward |= {"d" + gate: Formula((), as_symbol(0.0)) for gate in unread if not later}
            # `shared` are the gates that later rules read, too. In the backward pass, the later rules run first and
            # write the gradients of these gates, and this rule adds to them. But if it computes the activation of such
            # a gate, its formula contains the gradient so far, so it overwrites the gradient. It also overwrites the
            # gradients of the values that it computes, with their totals.
            sets = tuple("d" + gate for gate in cell.gates if gate not in shared or gate in gates)
            sets += tuple("d" + value for value in cell.state if value in now)
            steps.append(self._rule(cell, now, forward, backward, sets, first))
        return steps

    def _name_of(self, x: Symbol) -> str:
        return x.arguments[0] if x.function == "input" else self.stored[key_of(x)]

    def _rule(self, cell: Cell, defines: Collection[str], forward, backward, sets: tuple[str, ...], first: bool) -> str:
        """Add a forward kernel and its ".backward" to the table of kernels; return the forward kernel's name.

        The backward kernel overwrites the gradients `sets` and adds to all others. For the first step, equal kernels of
        the other steps are used if there are any.
        """
        views = (*cell.state, *cell.scratch, *cell.gates)
        if any(name.endswith(PREVIOUS) for formula in forward.values() for name in formula.names):
            views += cell.previous
        made = Rule(views, forward), Rule(views, backward, sets=sets)
        kernel = f"{self.name}.{'_'.join(name for name in views if name in defines)}"
        if first:
            same = kernel in KERNELS and all(
                KERNELS[kernel + which].key == rule.key for which, rule in zip(("", ".backward"), made)
            )
            if same:
                return kernel
            kernel += ".first"
        return KERNELS.add_defined(kernel, dict(zip(("", ".backward"), made)))
