"""Steps of recurrent networks, each recorded as one node per layer.

What a cell computes from its inputs alone, b + W x for each gate, does not wait for the step before: it is a
node of its own, the *projection*, which may hold many steps and runs as one product. The step then adds
its recurrent products to the gates where they stand, in the projection's memory, and turns them into the new state.
Only the step reads a projection, so nobody sees that its values change.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.parameter import copy_step
from dynet_core.record import append, common_batch, described, graph_of
from dynet_core.signature import Signature, Step, View
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import ANY_OPERAND, EACH, EACH_OPERAND, SELF
from dynet_kernels.rule import Rule

from .matrix import gradient_of, is_shared, product_steps, value_of

Previous = int | tuple[tuple[int, int], ...]
"""Where a step finds the state before it: in a node of its own kind with that batch size, or in an operand for each
value, as (batch size, offset in floats); () at the beginning of a sequence."""


@dataclass(frozen=True)
class Product:
    """One step of a cell: y += weight x."""

    weight: str
    x: str
    y: str


@dataclass
class Cell:
    """A recurrent step: what it is made of, and what it does.

    A node of the cell holds its `state` and then its `scratch`, a projection its `gates`, in vectors of the hidden
    size. `weights` are what recurs. The steps are products and names of rules; `first` are those of a sequence's
    beginning, which has no previous state and needs only the weights of `first_weights`.
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...]
    weights: tuple[str, ...]
    scratch: tuple[str, ...] = ()
    first_weights: tuple[str, ...] = ()
    first: list[str | Product] = field(default_factory=list)
    following: list[str | Product] = field(default_factory=list)

    __hash__ = object.__hash__

    @property
    def previous(self) -> tuple[str, ...]:
        """What formulas call the state before."""
        return tuple(name + "_prev" for name in self.state)

    def rule(self, name: str, forward: Callable, backward: Callable, first: bool = False) -> str:
        """Add the kernels of one step that is stated as formulas; `first`: of a sequence's beginning."""
        kernel = f"{self.name}.{name}"
        views = (*self.state, *self.scratch, *self.gates)
        views += self.first_weights if first else self.previous + self.weights
        KERNELS.add(kernel, Rule(views, forward))
        KERNELS.add(kernel + ".backward", Rule(views, backward))
        return kernel


@functools.cache
def projection_signature(batch: int, x: Dim, *dims: Dim) -> Signature:
    """What a cell needs of any number of inputs x: b + W x for each pair (b, W), one under the other.

    The operands are those pairs, then the inputs, which all have the shape `x`.
    """
    pairs = [(k, dims[k], dims[k + 1]) for k in range(0, len(dims), 2)]
    gates = sum(matrix.rows for _, _, matrix in pairs)
    inputs = 3 * len(pairs)  # views: result, bias and matrix of each pair, then the inputs
    views, forward, backward, deferred = [], [], [], []
    offset = 0
    for k, bias, matrix in pairs:
        rows, y = matrix.rows, len(views)
        views += [View(SELF, offset, stride=gates), _batched(k, bias, batch), _batched(k + 1, matrix, batch)]
        step, now, later = product_steps(
            matrix, y + 2, inputs, y, value_of(y + 1), _sharing(matrix, batch), (k + 1, EACH_OPERAND)
        )
        to_bias = copy_step("accumulate", gradient_of(y + 1), gradient_of(y), rows, gradient_of=k)
        forward.append(step)
        backward += now
        deferred += later
        (deferred if is_shared(bias) else backward).append(to_bias)
        offset += rows
    views.append(View(EACH, stride=x.size if x.batch > 1 else 0, period=batch))
    return Signature(
        Dim.of((gates,), batch),
        name="projection",
        variadic=True,
        operands=len(dims),
        size=0,
        size_each=gates * batch,
        columns=batch,
        views=views,
        forward=forward,
        backward=backward,
        deferred=deferred,
    )


def _batched(operand: int, dim: Dim, batch: int) -> View:
    """The view of an operand that every input shares."""
    return View(operand, stride=dim.size, period=batch) if dim.batch > 1 else View(operand)


def _sharing(matrix: Dim, batch: int) -> int:
    """How many neighbouring columns share a matrix."""
    return 1 if matrix.batch > 1 else batch


@functools.cache
def step_signature(cell: Cell, hidden: int, batch: int, previous: Previous, *weights: Dim) -> Signature:
    """A step of a cell.

    The operands are the weights, the previous state, and the projection; the attribute is the step's number within it.
    """
    names = cell.weights if previous else cell.first_weights
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate(cell.state + cell.scratch)}
    separate = isinstance(previous, tuple)
    projection = len(weights) + (len(previous) if separate else 1)
    width = len(cell.gates) * hidden
    for k, name in enumerate(cell.gates):
        views[name] = View(projection, k * hidden, width, index=0, scale=width * batch)
    if previous:
        for k, name in enumerate(cell.previous):
            size, offset = previous[k] if separate else (previous, k * hidden * previous)
            views[name] = View(len(weights) + k * separate, offset, hidden if size > 1 else 0)
    for k, (name, dim) in enumerate(zip(names, weights)):
        views[name] = _batched(k, dim, batch)

    place = {name: number for number, name in enumerate(views)}
    dims = dict(zip(names, weights))
    forward, backward, deferred = [], [], []
    for step in cell.following if previous else cell.first:
        if isinstance(step, Product):
            matrix, source = dims[step.weight], views[step.x].source
            w, x, y = place[step.weight], place[step.x], place[step.y]
            operands = views[step.weight].source, ANY_OPERAND if source == SELF else source
            now, back, later = product_steps(matrix, w, x, y, value_of(y), _sharing(matrix, batch), operands)
            forward.append(now)
            backward = back + backward
            deferred += later
        else:
            forward.append(Step(step, (hidden,)))
            backward = [Step(step + ".backward", (hidden,), ANY_OPERAND), *backward]
    return Signature(
        Dim.of((hidden,), batch),
        name=cell.name,
        operands=projection + 1,
        attributes=1,
        size=len(cell.state + cell.scratch) * hidden * batch,
        columns=batch,
        views=list(views.values()),
        forward=forward,
        backward=backward,
        deferred=deferred,
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
        all(dim.columns == 1 for dim in dims[: 1 + len(previous)])
        and all(state.type.rows == hidden for state in previous)
        and sum(rows) == hidden * len(cell.gates)
        and [(w.type.rows, w.type.columns) for w in inputs[1::2]] == [(size, x.type.rows) for size in rows]
        and all(w.type.columns in (1, hidden) and w.type.rows % hidden == 0 for w in weights)
    )
    if not fits:
        raise ShapeError(f"{name}: shapes do not fit: operands are {described(dims)}")
    projection = projection_signature(batch, x.type.plain, *[operand.type for operand in inputs])
    z = append(graph, projection, [len(inputs) + 1, *[operand.at for operand in inputs], x.at])
    batches = tuple((state.type.batch, 0) for state in previous)
    step = step_signature(cell, hidden, batch, batches, *[weight.type for weight in weights])
    return append(graph, step, [*[operand.at for operand in (*weights, *previous)], z.at, 0])
