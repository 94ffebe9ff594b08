"""Signatures of the records of recurrent and tree cells: a time step, a whole sequence, or a node of a tree.

The first part of a record is the projection. It depends only on the inputs, so the projections of all steps and
sequences run as one product. Each other part is one time step. It adds U h to the gates in the projection's memory,
which nothing else reads, and computes the new state.
"""

from __future__ import annotations

from dynet_core.parameter import copy_step
from dynet_kernels.formula import logistic, tanh
from dynet_kernels.layout import BEFORE, BEFORE_OPERAND, EACH_OPERAND, FIRST, NO_VIEW

from ..declare import *
from ..matrix.products import gradient_of, is_parameter, product_steps, value_of
from .equations import Cell, CellProduct, Equations, forward_and_backward_formulas, symbols

StateSource = int | tuple[tuple[int, int], ...]
"""Where a record finds the previous state.

- An int, the batch size: in one operand, which is a time step of the same cell and has all values of the state.
- A tuple of pairs (batch size, offset in floats): in one operand for each value of the state, at the pair's offset.
- The empty tuple: nowhere, because a sequence starts.
"""
GRADIENT_OF_BY_SOURCE = {SELF: ANY_OPERAND, FIRST: ANY_OPERAND, BEFORE: BEFORE_OPERAND, EACH: EACH_OPERAND}
"""A view's `source` -> `gradient_of` of steps that add to its gradient. If `source` is an operand, both are equal."""


def operand_of(view: View) -> int:
    """Return the field `gradient_of` of a step that adds to a view's gradient."""
    return GRADIENT_OF_BY_SOURCE.get(view.source, view.source)


def part_signature(
    name: str,
    h_size: int,
    batch: int,
    views: dict[str, View],
    weights: dict[str, Dim],
    computations: Sequence[str | CellProduct],
    is_for_each: bool = False,
    **facts,
) -> Signature:
    """Return the signature of the part of a record that does the `computations` of a cell.

    Args:
        h_size: the number of elements of h, and of every other value of the state.
        views: name -> view that `computations` read or write. Those of rules come first, in the order of their `views`.
        weights: name of a view -> shape of the matrix, for each product in `computations`.
        is_for_each: whether the kernels run once for each of a variable number of operands, such as a tree's children.
    """
    indices = {name: index for index, name in enumerate(views)}

    forward, backward, deferred = [], [], []
    for step in computations:
        if isinstance(step, CellProduct):
            matrix, start = weights[step.weight], value_of(indices[step.start or step.y])
            w, x, y = indices[step.weight], indices[step.x], indices[step.y]
            operands = operand_of(views[step.weight]), operand_of(views[step.x])
            now, back, later = product_steps(matrix, w, x, y, start, operands, batch=batch, first_rows=step.first_rows)
            forward.append(now)
            backward = back + backward
            deferred += later
        else:
            forward.append(Step(step, (h_size,)))
            if step + ".backward" in KERNELS:
                backward = [Step(step + ".backward", (h_size,), ANY_OPERAND), *backward]
    return Signature(
        Dim.of((h_size,), batch),
        name=name,
        variadic=True,
        each=is_for_each,
        columns=batch,
        views=list(views.values()),
        forward=forward,
        backward=backward,
        deferred=deferred,
        **facts,
    )


def weight_view(operand: int, dim: Dim, batch: int) -> View:
    """Return the view of a parameter, which `batch` columns share unless the parameter has a batch."""
    return View(operand, stride=dim.size, period=batch) if dim.batch > 1 else View(operand)


@by_sizes
def projection_part(batch: int, x: View | None, *dims: Dim, first_rows: int | None = None) -> Signature:
    """Return the signature of the projection, whose first operands are b, W, b, W, ... of the shapes `dims`.

    If x is None, the gates are just the biases. If its source is EACH, the gates of all inputs of a sequence are
    computed. Only the first `first_rows` rows of each b and W are used, by default all. Equal inputs may share results.
    """
    pairs = [(k, dims[k], dims[k + 1]) for k in range(0, len(dims), 2)]
    gate_rows = sum(first_rows or matrix.rows for _, _, matrix in pairs)
    is_sequence = x is not None and x.source == EACH
    # The input's view comes last, after three views for each pair: gates, bias, matrix.
    x_index = 3 * len(pairs)
    views, forward, backward, deferred = [], [], [], []
    offset = 0
    for k, bias, matrix in pairs:
        rows, y = first_rows or matrix.rows, len(views)
        views += [View(SELF, offset, stride=gate_rows), weight_view(k, bias, batch), weight_view(k + 1, matrix, batch)]
        to_bias = copy_step("accumulate", gradient_of(y + 1), gradient_of(y), rows, gradient_of=k)
        if x is None:
            forward.append(copy_step("copy", value_of(y), value_of(y + 1), rows))
        else:
            operands, start = (k + 1, operand_of(x)), value_of(y + 1)
            step, backward_steps, deferred_steps = product_steps(
                matrix, y + 2, x_index, y, start, operands, batch=batch, first_rows=first_rows
            )
            forward.append(step)
            backward += backward_steps
            deferred += deferred_steps
        (deferred if is_parameter(bias) else backward).append(to_bias)
        offset += rows
    if x is not None:
        views.append(x)
    return Signature(
        Dim.of((gate_rows,), batch),
        name="projection",
        variadic=True,
        size=0 if is_sequence else -1,  # in floats; -1 means as many as the Dim has. Each input adds `size_each`
        size_each=gate_rows * batch if is_sequence else 0,
        columns=batch,
        each=is_sequence,
        waits=(0, len(dims) + (x is not None and not is_sequence)),  # waits for b, W, and an x that is not EACH
        waits_each=is_sequence,
        views=views,
        forward=forward,
        backward=backward,
        deferred=deferred,
        determined_by=x_index if x is not None and batch == 1 and all(map(is_parameter, dims)) else NO_VIEW,
    )


def input_view(x: Dim, batch: int, source: int) -> View:
    """Return the view of an input: operand `source`, or EACH of a sequence's inputs."""
    return View(source, stride=batch_stride(x), period=batch if source == EACH or x.batch > 1 else 0)


@by_sizes
def step_part(cell: Cell, h_size: int, batch: int, state_source: StateSource | None, *weights: Dim) -> Signature:
    """Return the signature of the part of a record that is one time step.

    The record's operands are pairs (b, W), the recurrent parameters (of the shapes `weights`), the previous state and
    the inputs. If `state_source` is None, the previous state is in the part before this one.
    """
    steps = cell.first_computations if state_source == () else cell.later_computations
    dims, stored = dict(zip(cell.weights, weights)), cell.state + cell.scratch
    views = {name: View(SELF, k * h_size * batch, h_size) for k, name in enumerate(stored)}
    width = len(cell.gates) * h_size
    for k, name in enumerate(cell.gates):
        views[name] = View(FIRST, k * h_size, width, scale=width * batch)
    first_weight = len(cell.pairs)
    first_state = first_weight + len(weights)
    for k, name in enumerate(cell.previous_names if state_source != () else ()):
        if state_source is None:
            views[name] = View(BEFORE, k * h_size * batch, h_size)
        elif isinstance(state_source, int):
            views[name] = View(first_state, k * h_size * state_source, h_size if state_source > 1 else 0)
        else:
            size, offset = state_source[k]
            views[name] = View(first_state + k, offset, h_size if size > 1 else 0)
    for operand, (name, dim) in enumerate(dims.items(), first_weight):
        if any(isinstance(step, CellProduct) and step.weight == name for step in steps):
            views[name] = weight_view(operand, dim, batch)
    return part_signature(
        cell.name,
        h_size,
        batch,
        views,
        dims,
        steps,
        size=len(stored) * h_size * batch,
        waits=(first_weight, first_state + state_operand_count(state_source)),  # after its matrices and state
    )


def state_operand_count(state_source: StateSource | None) -> int:
    """Return how many operands hold the previous state; 0 if `state_source` is None, for a state in another part."""
    return 1 if isinstance(state_source, int) else len(state_source or ())


@by_sizes
def sequence_signature(cell: Cell, h_size: int, batch: int, previous: StateSource, x: Dim, *dims: Dim) -> Signature:
    """Return the signature of a record that applies a cell to one or more inputs of the shape `x`.

    The record's operands are pairs (b, W), recurrent weights (all of the shapes `dims`), the old state and the inputs.
    """
    pair_dims, weight_dims = dims[: len(cell.pairs)], dims[len(cell.pairs) :]
    return Signature(
        Dim.of((h_size,), batch),
        name=cell.name,
        operands=len(dims) + state_operand_count(previous),
        variadic=True,
        parts=[
            projection_part(batch, input_view(x, batch, EACH), *pair_dims),
            step_part(cell, h_size, batch, previous, *weight_dims),
            step_part(cell, h_size, batch, None, *weight_dims),
        ],
        repeats=True,
    )


def record_step(
    name: str, cell: Cell, x: Expression, previous_state: Sequence[Expression], parameters: Sequence[Expression]
) -> Expression:
    """Add one time step to the graph, and return the first value of the new state.

    `parameters` are in the order of `Cell.pairs`, then `Cell.weights`. Raise ShapeError if shapes do not fit.
    """
    operands = (x, *previous_state, *parameters)
    graph = graph_of(name, operands)
    dims = [operand.type for operand in operands]
    batch, h_size = common_batch(name, dims), previous_state[0].type.rows
    pairs, weights = parameters[: len(cell.pairs)], parameters[len(cell.pairs) :]
    rows = [bias.type.rows for bias in pairs[::2]]
    fits = (
        h_size > 0
        and all(dim.columns == 1 for dim in dims[: 1 + len(previous_state)])
        and all(state.type.rows == h_size for state in previous_state)
        and sum(rows) == h_size * len(cell.gates)
        and [(w.type.rows, w.type.columns) for w in pairs[1::2]] == [(size, x.type.rows) for size in rows]
        and all(w.type.columns in (1, h_size) and w.type.rows % h_size == 0 for w in weights)
    )
    if not fits:
        raise ShapeError(f"{name}: shapes do not fit: operands are {described(dims)}")
    batches = tuple((state.type.batch, 0) for state in previous_state)
    signature = sequence_signature(cell, h_size, batch, batches, x.type.plain, *[weight.type for weight in parameters])
    operands = [operand.at for operand in (*parameters, *previous_state, x)]
    return graph.add(signature.dim, 2, (signature.at, len(operands)), operands)  # 2 nodes: projection and step


# A tree node's state (h, c) depends on its input and its children's states. Projections of all tree nodes with the same
# gates (i, o, g, and f per child) run as one batch. A record's operands are b, W, x, the recurrent weights, and the
# children's states. If there is no input, b is passed in place of x, and nothing reads it there.
U_INDEX = 3  # the index of the first recurrent weight among the operands


def _rule(name: str, inputs: Sequence[str], equations: Callable[..., Equations], gates: Sequence[str], **facts) -> str:
    """Add a forward kernel "tree_lstm." + name and its backward kernel; return the forward kernel's name.

    The kernels' views are the new values, then `inputs`. `gates` are overwritten with their activations. `facts` are
    further arguments of `Rule` for the forward kernel.
    """
    values = equations(*symbols(*inputs))
    forward, backward = forward_and_backward_formulas(values, gates, totaled_values="hc")
    if "fx" in inputs:
        backward["dfx"] = backward["df"]  # f is fx plus a product, so fx has the same gradient as f
    kernel, views = f"tree_lstm.{name}", (*values, *inputs)
    KERNELS.add(kernel, Rule(views, forward, **facts))
    KERNELS.add(kernel + ".backward", Rule(views, backward, overwriting=("dh", "dc")))
    return kernel


def _state(o, c):
    return {"h": logistic(o) * tanh(c), "c": c}


@functools.cache
def _add_node_kernel(child_count: int) -> str:
    """Add a kernel that computes a state from i, o, g and each child's f and c, and return the kernel's name."""

    def equations(i, o, g, *of_children):
        kept_cs = [logistic(f) * c for f, c in zip(of_children[::2], of_children[1::2])]
        return _state(o, sum(kept_cs, logistic(i) * tanh(g)))

    f = [f"f{k}" for k in range(child_count)]
    inputs = [name for k, gate in enumerate(f) for name in (gate, f"c{k}")]
    return _rule(f"node{child_count}", (*"iog", *inputs), equations, (*"iog", *f))


def _summands(f, c, h, fx):
    return {"c_kept": logistic(f) * c, "h_sum": h}


CHILD_VIEWS = ("f", "c_child", "h_child", "fx")
KERNELS.add("tree_lstm.clear_sums", Rule(("c_kept", "h_sum", *CHILD_VIEWS), lambda: {"c_kept": 0.0, "h_sum": 0.0}))
child_kernel = _rule("summed_child", CHILD_VIEWS, _summands, "f", accumulate=("c_kept", "h_sum"))
sum_kernel = _rule("summing", (*"iog", "c_kept"), lambda i, o, g, kept: _state(o, logistic(i) * tanh(g) + kept), "iog")
for _count in range(3):  # for 0, 1 and 2 children, add the kernel at import, so that it can be compiled in advance
    _add_node_kernel(_count)


def _state_views(h_size: int, batch: int, rows: int) -> dict[str, View]:
    """Return the views of h and c in the part's own memory, and of i, o and g among the projection's `rows` rows."""
    views = {name: View(SELF, k * h_size * batch, h_size) for k, name in enumerate("hc")}
    return views | {name: View(FIRST, k * h_size, rows) for k, name in enumerate("iog")}


@by_sizes
def nary_signature(
    h_size: int, batch: int, x: Dim | None, children: tuple[int, ...], b: Dim, W: Dim, *U: Dim
) -> Signature:
    """Return the signature of a node of an N-ary TreeLSTM, or of a leaf of a child-sum TreeLSTM.

    `x` is None without an input. `children` has each child's batch size, 0 for an absent child. `U` has the shapes of
    the matrices of the children that are present.
    """
    present = [(k, size) for k, size in enumerate(children) if size]
    count, rows = len(U), (4 + max(present, default=(-1,))[0]) * h_size  # rows of i, o, g, and f of children 0 to k
    first_child = U_INDEX + count
    views, products = _state_views(h_size, batch, rows), {"z": View(FIRST, 0, rows)}
    for n, (k, size) in enumerate(present):
        stride = h_size if size > 1 else 0
        views |= {f"f{n}": View(FIRST, (3 + k) * h_size, rows), f"c{n}": View(first_child + n, h_size * size, stride)}
        products |= {f"U{n}": View(U_INDEX + n), f"h{n}": View(first_child + n, 0, stride)}
    part = part_signature(
        "tree_lstm", h_size, batch, views | products, {f"U{n}": dim for n, dim in enumerate(U)},
        [*[CellProduct(f"U{n}", f"h{n}", "z", first_rows=rows) for n in range(count)], _add_node_kernel(count)],
        size=2 * h_size * batch, waits=(U_INDEX, first_child + count),
    )  # fmt: skip
    return _tree_signature(first_child + count, batch, rows, x, b, W, part)


def _tree_signature(arity: int, batch: int, rows: int, x: Dim | None, b: Dim, W: Dim, *parts: Signature) -> Signature:
    """Return the signature of a record of `arity` operands: `rows` rows of the projection, then `parts`."""
    view = None if x is None else input_view(x, batch, U_INDEX - 1)
    parts = projection_part(batch, view, b, W, first_rows=rows), *parts
    return Signature(parts[-1].dim, name="tree_lstm", operands=arity, variadic=True, parts=parts)


@by_sizes
def child_sum_signature(batch: int, x: Dim | None, child_batch: int, b: Dim, W: Dim, U: Dim, Uf: Dim) -> Signature:
    """Return the signature of a node of a child-sum TreeLSTM that has children. `x` is None without an input.

    U multiplies the sum of the children's h, for i, o and g. Uf multiplies each child's h, for that child's f.
    """
    h_size = Uf.rows
    stride, state_size = h_size if child_batch > 1 else 0, 2 * h_size * batch
    views = {
        "c_kept": View(SELF, h_size * batch, h_size, period=batch),
        "h_sum": View(SELF, 0, h_size, period=batch),
        "f": View(SELF, state_size, h_size),
        "c_child": View(EACH, h_size * child_batch, stride, period=batch),
        "h_child": View(EACH, 0, stride, period=batch),
        "fx": View(FIRST, 3 * h_size, 4 * h_size, period=batch),
        "Uf": View(U_INDEX + 1),
    }
    summing_part = part_signature(
        "tree_lstm", h_size, batch, views, {"Uf": Uf},
        ["tree_lstm.clear_sums", CellProduct("Uf", "h_child", "f", start="fx"), child_kernel],
        is_for_each=True, size=state_size, size_each=h_size * batch, waits=(U_INDEX + 1, U_INDEX + 2), waits_each=True,
    )  # fmt: skip
    views = _state_views(h_size, batch, 4 * h_size) | {
        "c_kept": View(BEFORE, h_size * batch, h_size),
        "h_sum": View(BEFORE, 0, h_size),
        "U": View(U_INDEX),
    }
    last_part = part_signature(
        "tree_lstm", h_size, batch, views, {"U": U}, [CellProduct("U", "h_sum", "i"), sum_kernel],
        size=state_size, waits=(U_INDEX, U_INDEX + 1),
    )  # fmt: skip
    return _tree_signature(U_INDEX + 2, batch, 4 * h_size, x, b, W, summing_part, last_part)
