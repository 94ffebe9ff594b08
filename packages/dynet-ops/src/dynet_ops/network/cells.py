"""Cells of networks: what a step of them is recorded as, one node for each layer.

The record of a step has several parts. The first is the *projection*: what the cell needs of its inputs alone, b + W x
for each gate. It does not wait for the step before, so the projections of all steps and sequences run as one product.
A record may hold the inputs of many steps: the parts that follow are then these steps, one after the other. Each adds
its recurrent products to the gates where they stand, in the projection's memory, and turns them into the new state.
Only its own steps read a projection, so nobody sees that its values change.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.parameter import copy_step
from dynet_core.record import common_batch, described, graph_of
from dynet_core.signature import Signature, Step, View
from dynet_kernels.formula import Formula
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import ANY_OPERAND, BEFORE, BEFORE_OPERAND, EACH, EACH_OPERAND, FIRST, SELF
from dynet_kernels.rule import Rule

from ..matrix.products import gradient_of, is_shared, product_steps, value_of

Previous = int | tuple[tuple[int, int], ...]
"""Where a record finds the state before it: in a node of its own kind with that batch size, or in an operand for each
value, as (batch size, offset in floats); () at the beginning of a sequence."""
PREVIOUS = "_prev"  # ends the names of the state before
GRADIENT_OF = {SELF: ANY_OPERAND, FIRST: ANY_OPERAND, BEFORE: BEFORE_OPERAND, EACH: EACH_OPERAND}
"""Whose gradient a step makes, by the source of a view that is no operand."""


@dataclass(frozen=True)
class Product:
    """One step of a cell: y += weight x, or y = start + weight x."""

    weight: str
    x: str
    y: str
    start: str = ""


@dataclass(frozen=True)
class Weight:
    """What a parameter of a cell is: its rows are those of some gates, its columns "h", x, or none: a bias."""

    gates: int
    columns: str

    def dims(self, inputs: int, hidden: int) -> tuple[int, ...]:
        """The dimensions for so many inputs and a state of so many values."""
        rows = self.gates * hidden
        return (rows,) if not self.columns else (rows, hidden if self.columns == "h" else inputs)


@dataclass(eq=False)
class Cell:
    """A recurrent step: what it is made of, and what it does.

    A node of the cell holds its `state` and then its `scratch`, a projection its `gates`, in vectors of the hidden
    size. Of the `parameters`, `pairs` are the biases and matrices of the projection, in turn, and `weights` what
    recurs. The steps are products and names of rules; `first` are those of a sequence's beginning, which has no
    previous state and needs only the weights of `first_weights`. `carries` says that the last value of the state goes
    over into the next element by element: so does what trailing 1s it has. `reference` is the same in numpy: the new
    state, one array or several, from those of the input, the state and the parameters.
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...]
    weights: tuple[str, ...]
    scratch: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    parameters: dict[str, Weight] = field(default_factory=dict)
    first_weights: tuple[str, ...] = ()
    carries: bool = True
    first: list[str | Product] = field(default_factory=list)
    following: list[str | Product] = field(default_factory=list)
    reference: Callable[..., Any] | None = None

    @property
    def previous(self) -> tuple[str, ...]:
        """What formulas call the state before."""
        return tuple(name + PREVIOUS for name in self.state)

    @property
    def gate_gradients(self) -> tuple[str, ...]:
        """What formulas call the gradients of the gates."""
        return tuple("d" + gate for gate in self.gates)

    def sets_gates(self, steps: Sequence[str | Product]) -> bool:
        """Whether steps set the gradient of every gate, and none reads a gate's value when its gradient is set."""
        known: set[str] = set()
        for step in reversed(steps):
            if isinstance(step, Product):
                if step.x in self.gates:
                    return False
            else:
                rule = KERNELS[step + ".backward"]
                assert isinstance(rule, Rule)
                if rule.reads & known:
                    return False
                known |= {name.removeprefix("d") for name in rule.sets}
        return known == {*self.gates}


def add_rule(
    kernel: str,
    views: tuple[str, ...],
    forward: Mapping[str, Callable | Formula] | Callable,
    backward: Mapping[str, Callable | Formula] | None,
    **facts: tuple[str, ...],
) -> str:
    """Add the kernels of a step that is stated as formulas of a part's first views, in their order."""
    KERNELS.add(kernel, Rule(views, forward, **facts))
    if backward is not None:
        KERNELS.add(kernel + ".backward", Rule(views, backward))
    return kernel


def part_signature(
    name: str,
    hidden: int,
    batch: int,
    views: dict[str, View],
    weights: dict[str, Dim],
    steps: Sequence[str | Product],
    each: bool = False,
    **facts,
) -> Signature:
    """A part of a record that takes steps of a cell: products by the `weights` among its views, and rules."""
    place = {name: number for number, name in enumerate(views)}

    def whose(view: str) -> int:
        source = views[view].source
        return GRADIENT_OF.get(source, source)

    forward, backward, deferred = [], [], []
    for step in steps:
        if isinstance(step, Product):
            matrix, start = weights[step.weight], value_of(place[step.start or step.y])
            w, x, y = place[step.weight], place[step.x], place[step.y]
            operands = whose(step.weight), whose(step.x)
            now, back, later = product_steps(matrix, w, x, y, start, sharing(matrix, batch), operands)
            forward.append(now)
            backward = back + backward
            deferred += later
        else:
            forward.append(Step(step, (hidden,)))
            if step + ".backward" in KERNELS:
                backward = [Step(step + ".backward", (hidden,), ANY_OPERAND), *backward]
    return Signature(
        Dim.of((hidden,), batch),
        name=name,
        variadic=True,
        each=each,
        columns=batch,
        views=list(views.values()),
        forward=forward,
        backward=backward,
        deferred=deferred,
        **facts,
    )


def weight_view(operand: int, dim: Dim, batch: int) -> View:
    """The view of an operand that every column of a batch element shares."""
    return View(operand, stride=dim.size, period=batch) if dim.batch > 1 else View(operand)


def sharing(matrix: Dim, batch: int) -> int:
    """How many neighbouring columns share a matrix."""
    return 1 if matrix.batch > 1 else batch


@functools.cache
def projection_part(batch: int, x: View | None, *dims: Dim) -> Signature:
    """The part of a record that holds b + W x for each pair (b, W) of `dims`, one under the other; b alone without x.

    The pairs are the record's first operands.
    """
    pairs = [(k, dims[k], dims[k + 1]) for k in range(0, len(dims), 2)]
    gates = sum(matrix.rows for _, _, matrix in pairs)
    each = x is not None and x.source == EACH
    inputs = 3 * len(pairs)  # views: result, bias and matrix of each pair, then the inputs
    views, forward, backward, deferred = [], [], [], []
    offset = 0
    for k, bias, matrix in pairs:
        rows, y = matrix.rows, len(views)
        views += [View(SELF, offset, stride=gates), weight_view(k, bias, batch), weight_view(k + 1, matrix, batch)]
        to_bias = copy_step("accumulate", gradient_of(y + 1), gradient_of(y), rows, gradient_of=k)
        if x is None:
            forward.append(copy_step("copy", value_of(y), value_of(y + 1), rows))
        else:
            operands = k + 1, GRADIENT_OF.get(x.source, x.source)
            step, now, later = product_steps(
                matrix, y + 2, inputs, y, value_of(y + 1), sharing(matrix, batch), operands
            )
            forward.append(step)
            backward += now
            deferred += later
        (deferred if is_shared(bias) else backward).append(to_bias)
        offset += rows
    if x is not None:
        views.append(x)
    return Signature(
        Dim.of((gates,), batch),
        name="projection",
        variadic=True,
        size=0 if each else None,
        size_each=gates * batch if each else 0,
        columns=batch,
        each=each,
        waits=(0, len(dims) + (x is not None and not each)),
        waits_each=each,
        views=views,
        forward=forward,
        backward=backward,
        deferred=deferred,
    )


def input_view(x: Dim, batch: int, source: int) -> View:
    """The view of inputs of one shape."""
    return View(source, stride=x.size if x.batch > 1 else 0, period=batch if source == EACH or x.batch > 1 else 0)


@functools.cache
def step_part(cell: Cell, hidden: int, batch: int, previous: Previous | None, pairs: int, *weights: Dim) -> Signature:
    """A step of a cell; `previous` None: it follows another step of the same record.

    The record's operands are pairs of the projection, the weights, the previous state, and the inputs.
    """
    names = cell.first_weights if previous == () else cell.weights
    steps = cell.first if previous == () else cell.following
    dims = dict(zip(cell.weights, weights))
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate(cell.state + cell.scratch)}
    width = len(cell.gates) * hidden
    for k, name in enumerate(cell.gates):
        views[name] = View(FIRST, k * hidden, width, scale=width * batch)
    state = 2 * pairs + len(weights)
    for k, name in enumerate(cell.previous if previous != () else ()):
        if previous is None:
            views[name] = View(BEFORE, k * hidden * batch, hidden)
        elif isinstance(previous, int):
            views[name] = View(state, k * hidden * previous, hidden if previous > 1 else 0)
        else:
            size, offset = previous[k]
            views[name] = View(state + k, offset, hidden if size > 1 else 0)
    for name in names:
        views[name] = weight_view(2 * pairs + cell.weights.index(name), dims[name], batch)
    return part_signature(
        cell.name,
        hidden,
        batch,
        views,
        dims,
        steps,
        size=len(cell.state + cell.scratch) * hidden * batch,
        sets_first=cell.sets_gates(steps),
        waits=(2 * pairs, state + states(previous)),
    )


def states(previous: Previous | None) -> int:
    """How many operands hold the state before."""
    if previous is None:
        return 0
    return 1 if isinstance(previous, int) else len(previous)


@functools.cache
def sequence_signature(
    cell: Cell, hidden: int, batch: int, previous: Previous, x: Dim, pairs: int, *dims: Dim
) -> Signature:
    """Steps of a cell, one for each input x. Their nodes are the places that follow that of the record.

    The operands are `pairs` pairs b, W of the projection and the weights, whose Dims are `dims`, then the previous
    state, and the inputs.
    """
    inputs, weights = dims[: 2 * pairs], dims[2 * pairs :]
    return Signature(
        Dim.of((hidden,), batch),
        name=cell.name,
        operands=len(dims) + states(previous),
        variadic=True,
        parts=[
            projection_part(batch, input_view(x, batch, EACH), *inputs),
            step_part(cell, hidden, batch, previous, pairs, *weights),
            step_part(cell, hidden, batch, None, pairs, *weights),
        ],
        repeats=True,
    )


def record_step(
    name: str,
    cell: Cell,
    x: Expression,
    previous: Sequence[Expression],
    inputs: Sequence[Expression],
    weights: Sequence[Expression],
) -> Expression:
    """One step of a cell on expressions; `inputs` are the pairs b, W of the projection."""
    operands = (x, *previous, *inputs, *weights)
    graph = graph_of(name, operands)
    dims = [operand.type for operand in operands]
    batch, hidden = common_batch(name, dims), previous[0].type.rows
    rows = [bias.type.rows for bias in inputs[::2]]
    fits = (
        hidden > 0
        and all(dim.columns == 1 for dim in dims[: 1 + len(previous)])
        and all(state.type.rows == hidden for state in previous)
        and sum(rows) == hidden * len(cell.gates)
        and [(w.type.rows, w.type.columns) for w in inputs[1::2]] == [(size, x.type.rows) for size in rows]
        and all(w.type.columns in (1, hidden) and w.type.rows % hidden == 0 for w in weights)
    )
    if not fits:
        raise ShapeError(f"{name}: shapes do not fit: operands are {described(dims)}")
    batches = tuple((state.type.batch, 0) for state in previous)
    given = (*inputs, *weights)
    signature = sequence_signature(
        cell, hidden, batch, batches, x.type.plain, len(inputs) // 2, *[operand.type for operand in given]
    )
    operands = [operand.at for operand in (*given, *previous, x)]
    return graph.add(signature.dim, 2, (signature.at, len(operands)), operands)
