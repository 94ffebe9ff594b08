"""Signatures of recurrent cells' records, each of which is a time step or a whole sequence.

The first part is the projection. It depends on the inputs only, so the projections of all steps and sequences run as
one product. Each other part is one time step: it adds U h to the gates in place, in the projection's memory, which
nothing else reads, and computes the new state.
"""

from __future__ import annotations

from collections.abc import Mapping

from dynet_core.parameter import copy_step
from dynet_kernels.layout import BEFORE, BEFORE_OPERAND, EACH_OPERAND, FIRST, NO_VIEW

from ..declare import *
from ..matrix.products import gradient_of, is_shared, product_steps, value_of
from .cell_description import Cell, Product

Previous = int | tuple[tuple[int, int], ...]
"""Where a record finds the previous state.

- An int: in one operand, a time step of the same cell, with all values of the state. The int is their batch size.
- A tuple of (batch size, floats from the operand's start to the value): one operand for each value of the state.
- The empty tuple: nowhere, because this is the start of a sequence.
"""
GRADIENT_OF = {SELF: ANY_OPERAND, FIRST: ANY_OPERAND, BEFORE: BEFORE_OPERAND, EACH: EACH_OPERAND}
"""A view's `source` -> the `gradient_of` of a step that adds to its gradient; other sources are operands' numbers."""


def add_rule(
    kernel: str,
    views: tuple[str, ...],
    forward: Mapping[str, Callable | Formula] | Callable,
    backward: Mapping[str, Callable | Formula] | None,
    sets: tuple[str, ...] = (),
    **facts: tuple[str, ...],
) -> str:
    """Add a rule, with its ".backward" unless that is None, to the table of kernels. Return `kernel`.

    The signature of a part that runs the rule must list these `views` first, in this order. The backward kernel
    overwrites the gradients `sets`, and adds to all others.
    """
    KERNELS.add(kernel, Rule(views, forward, **facts))
    if backward is not None:
        KERNELS.add(kernel + ".backward", Rule(views, backward, sets=sets))
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
    """Return the signature of a part of a record, which runs some instructions of a cell.

    Args:
        hidden: the number of elements of h, and of every other value of the state.
        views: the memory of the instructions, by name: first what the rules list, in their order.
        weights: the shapes of the products' matrices, by the names of their views.
        each: whether the kernels run once for each of a variable number of operands, such as a tree node's children.
    """
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
            now, back, later = product_steps(
                matrix, w, x, y, start, columns_per_matrix(matrix, batch), operands, first_rows=step.first_rows
            )
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
    """Return the view of a parameter: `batch` columns share it, unless it has a batch itself."""
    return View(operand, stride=dim.size, period=batch) if dim.batch > 1 else View(operand)


def columns_per_matrix(matrix: Dim, batch: int) -> int:
    """Return how many adjacent columns share one matrix: all, or 1 if the matrix has a batch."""
    return 1 if matrix.batch > 1 else batch


@functools.cache
def projection_part(batch: int, x: View | None, *dims: Dim, first_rows: int | None = None) -> Signature:
    """Return the signature of the projection, whose first operands are b, W, b, W, ... of the shapes `dims`.

    Without x, the gates are the biases alone. If its source is EACH, the gates of all inputs of a sequence are
    computed. `first_rows` says how many rows of each b and W are used, by default all.
    """
    pairs = [(k, dims[k], dims[k + 1]) for k in range(0, len(dims), 2)]
    gates = sum(first_rows or matrix.rows for _, _, matrix in pairs)
    each = x is not None and x.source == EACH
    # The input's view is the last one: before it, each pair has three (gates, bias, matrix).
    inputs = 3 * len(pairs)
    views, forward, backward, deferred = [], [], [], []
    offset = 0
    for k, bias, matrix in pairs:
        rows, y = first_rows or matrix.rows, len(views)
        views += [View(SELF, offset, stride=gates), weight_view(k, bias, batch), weight_view(k + 1, matrix, batch)]
        to_bias = copy_step("accumulate", gradient_of(y + 1), gradient_of(y), rows, gradient_of=k)
        if x is None:
            forward.append(copy_step("copy", value_of(y), value_of(y + 1), rows))
        else:
            operands = k + 1, GRADIENT_OF.get(x.source, x.source)
            step, now, later = product_steps(
                matrix,
                y + 2,
                inputs,
                y,
                value_of(y + 1),
                columns_per_matrix(matrix, batch),
                operands,
                first_rows=first_rows,
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
        size=0 if each else -1,
        size_each=gates * batch if each else 0,
        columns=batch,
        each=each,
        waits=(0, len(dims) + (x is not None and not each)),
        waits_each=each,
        views=views,
        forward=forward,
        backward=backward,
        deferred=deferred,
        determined_by=inputs if x is not None and batch == 1 and all(map(is_shared, dims)) else NO_VIEW,
    )


def input_view(x: Dim, batch: int, source: int) -> View:
    """Return the view of an input: operand `source`, or EACH of a sequence's inputs."""
    return View(source, stride=x.size if x.batch > 1 else 0, period=batch if source == EACH or x.batch > 1 else 0)


@functools.cache
def step_part(cell: Cell, hidden: int, batch: int, previous: Previous | None, *weights: Dim) -> Signature:
    """Return the signature of the part of a record that is one time step.

    The record's operands are pairs (b, W), the recurrent parameters (of the shapes `weights`), the previous state and
    the inputs. If `previous` is None, the state is in the part before this one.
    """
    steps = cell.first if previous == () else cell.following
    dims = dict(zip(cell.weights, weights))
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate(cell.state + cell.scratch)}
    width = len(cell.gates) * hidden
    for k, name in enumerate(cell.gates):
        views[name] = View(FIRST, k * hidden, width, scale=width * batch)
    pairs = len(cell.pairs)
    state = pairs + len(weights)
    for k, name in enumerate(cell.previous if previous != () else ()):
        if previous is None:
            views[name] = View(BEFORE, k * hidden * batch, hidden)
        elif isinstance(previous, int):
            views[name] = View(state, k * hidden * previous, hidden if previous > 1 else 0)
        else:
            size, offset = previous[k]
            views[name] = View(state + k, offset, hidden if size > 1 else 0)
    for number, (name, dim) in enumerate(dims.items(), pairs):
        if any(isinstance(step, Product) and step.weight == name for step in steps):
            views[name] = weight_view(number, dim, batch)
    return part_signature(
        cell.name,
        hidden,
        batch,
        views,
        dims,
        steps,
        size=len(cell.state + cell.scratch) * hidden * batch,
        waits=(pairs, state + state_operands(previous)),
    )


def state_operands(previous: Previous | None) -> int:
    """Return how many operands hold the previous state; none if it is in another part (None)."""
    if previous is None:
        return 0
    return 1 if isinstance(previous, int) else len(previous)


@functools.cache
def sequence_signature(cell: Cell, hidden: int, batch: int, previous: Previous, x: Dim, *dims: Dim) -> Signature:
    """Return the signature of a record that applies a cell to one or more inputs of the shape `x`.

    Its operands are pairs (b, W), the recurrent weights, the state before the first step, and the inputs. `dims` are
    the shapes of the parameters.
    """
    inputs, weights = dims[: len(cell.pairs)], dims[len(cell.pairs) :]
    return Signature(
        Dim.of((hidden,), batch),
        name=cell.name,
        operands=len(dims) + state_operands(previous),
        variadic=True,
        parts=[
            projection_part(batch, input_view(x, batch, EACH), *inputs),
            step_part(cell, hidden, batch, previous, *weights),
            step_part(cell, hidden, batch, None, *weights),
        ],
        repeats=True,
    )


def record_step(
    name: str, cell: Cell, x: Expression, previous: Sequence[Expression], parameters: Sequence[Expression]
) -> Expression:
    """Add one time step to the graph, and return the first value of the new state.

    `parameters` are in the order of `Cell.pairs`, then `Cell.weights`. Raise ShapeError if shapes do not fit.
    """
    operands = (x, *previous, *parameters)
    graph = graph_of(name, operands)
    dims = [operand.type for operand in operands]
    batch, hidden = common_batch(name, dims), previous[0].type.rows
    inputs, weights = parameters[: len(cell.pairs)], parameters[len(cell.pairs) :]
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
    signature = sequence_signature(cell, hidden, batch, batches, x.type.plain, *[one.type for one in parameters])
    operands = [operand.at for operand in (*parameters, *previous, x)]
    return graph.add(signature.dim, 2, (signature.at, len(operands)), operands)
