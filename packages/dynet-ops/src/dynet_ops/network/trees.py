"""The cells of TreeLSTMs, which compute the state (h, c) of a tree node from its input and its children's states.

The state is computed from *gates*, which are sums of a bias, W x, and products of other matrices with the children's h.
The gates are vectors: i, o and g, and f once for each child. Each tree node is one *record*, an entry of the graph. It
has several *parts*, each of which is a node of the graph. The first part is the *projection*, b + W x for each gate. It
depends on the input only, so the projections of all tree nodes run as one batch. The other parts read the children and
compute the state. Tree nodes of the same height run as one batch. This is true even if they have different numbers of
children, except for one part: the products of N-ary TreeLSTMs run as one batch for each number of children.

A `Signature` describes a record or a part to the planner, the compiled code that puts nodes into batches: its shape,
the memory that its kernels read and write (*views*), and these kernels.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from dynet_core.dim import Dim
from dynet_core.parameter import copy_step
from dynet_core.signature import Signature, View
from dynet_kernels.formula import logistic, tanh
from dynet_kernels.layout import BEFORE, EACH, FIRST, SELF

from .cell_description import Product
from .cells import add_rule, input_view, part_signature, projection_part
from .equations import Equations, rules, symbols

# The operands of a record are b, W, the input x, the recurrent weights (the matrices for the children), and the
# children's states. Without an input, b is given a second time in its place, and the kernels do not read it there.
INPUT = 2  # which operand is the input, counted from 0
FIXED = 3  # the number of operands before the recurrent weights


def _node(i, o, g, c_kept=0.0):
    c = logistic(i) * tanh(g) + c_kept
    return {"h": logistic(o) * tanh(c), "c": c}


def _child(f, c_child):
    return {"c_kept": logistic(f) * c_child}


def _rule(name: str, views: tuple[str, ...], equations: Callable[..., Equations], gates: str, **facts) -> str:
    """Add a forward and a backward kernel for equations of a TreeLSTM, and return the name of the forward kernel.

    Args:
        name: the name of the forward kernel, without "tree_lstm." at its beginning.
        views: the names of the values that the kernels read and write, in the order of the signature's views.
        equations: a function whose arguments have some of these names. It returns the formulas of the new values, by
            their names.
        gates: the names of the gates that the forward kernel overwrites with their activations, such as logistic(i).
            Each name is one letter, as in "iog".
        facts: other arguments of `Rule`, for the forward kernel.
    """
    names = inspect.signature(equations).parameters.keys() & {*views}
    forward, backward = rules(equations(**dict(zip(names, symbols(*names)))), gates, totals="hc")
    if "fx" in views:
        backward["dfx"] = backward["df"]  # f is fx plus a product, so fx has the same gradient as f
    return add_rule(f"tree_lstm.{name}", views, forward, backward, ("dh", "dc"), **facts)


LEAF = ("h", "c", "i", "o", "g")
NODE = (*LEAF, "c_kept")
SUMMED_CHILD = ("c_kept", "f", "c_child", "h_sum", "h_child", "fx")
CHILD = SUMMED_CHILD[:3]
leaf = _rule("leaf", LEAF, _node, "iog")
node = _rule("node", NODE, _node, "iog")
clear_sums = add_rule("tree_lstm.clear_sums", SUMMED_CHILD, lambda: {"h_sum": 0.0, "c_kept": 0.0}, None)
summed_child = _rule(
    "summed_child",
    SUMMED_CHILD,
    lambda f, c_child, h_child: {**_child(f, c_child), "h_sum": h_child},
    "f",
    accumulate=("h_sum", "c_kept"),
)
clear = add_rule("tree_lstm.clear", CHILD, lambda: {"c_kept": 0.0}, None)
child = _rule("child", CHILD, _child, "f", accumulate=("c_kept",))


def _state(hidden: int, batch: int, gates: int) -> dict[str, View]:
    """Return the views (places in memory) of the state h and c of a tree node, and of its gates i, o and g, by name.

    The views are for the part that computes the state: h and c are in its own memory, and the gates are in the memory
    of the projection.

    Args:
        hidden: the size of h and of c.
        batch: the batch size of the tree node.
        gates: how many gates the projection computes in all, including those that are called f.
    """
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate("hc")}
    return views | {name: View(FIRST, k * hidden, gates * hidden) for k, name in enumerate("iog")}


def _child_states(hidden: int, batch: int, child_batch: int) -> dict[str, View]:
    """Return two views (places in memory) by name: "h_child" is h of each child, and "c_child" is c of each child.

    Args:
        hidden: the size of h and of c.
        batch: the batch size of the tree node.
        child_batch: the batch size of its children: `batch`, or 1 if all batch elements share the children.
    """
    stride = hidden if child_batch > 1 else 0
    return {f"{name}_child": View(EACH, k * hidden * child_batch, stride, period=batch) for k, name in enumerate("hc")}


def _projection(batch: int, x: Dim | None, *dims: Dim) -> Signature:
    return projection_part(batch, None if x is None else input_view(x, batch, INPUT), *dims)


@functools.cache
def _leaf_part(hidden: int, batch: int, gates: int) -> Signature:
    views = _state(hidden, batch, gates)
    return part_signature("tree_lstm", hidden, batch, views, {}, [leaf], size=2 * hidden * batch, waits=(0, 0))


@functools.cache
def child_sum_signature(batch: int, x: Dim | None, child_batch: int, b: Dim, W: Dim, U: Dim, Uf: Dim) -> Signature:
    """Return the signature (shape and kernels) of a record that computes one tree node of a child-sum TreeLSTM.

    Args:
        batch: the batch size of the tree node.
        x: the shape of the input; None if the tree node has no input.
        child_batch: the batch size of the children; 0 if the tree node is a leaf.
        b, W, U, Uf: the shapes of the parameters. b + W x is the projection. U multiplies the sum of the children's h,
            for i, o and g. Uf multiplies each child's h, for that child's f.
    """
    hidden = Uf.rows
    parts = [_projection(batch, x, b, W)]
    if child_batch:
        parts += [_summed_part(batch, child_batch, Uf), _summing_part(batch, U)]
    else:
        parts.append(_leaf_part(hidden, batch, 4))
    return Signature(
        Dim.of((hidden,), batch), name="child_sum_tree_lstm", operands=FIXED + 2, variadic=True, parts=parts
    )


@functools.cache
def _summed_part(batch: int, child_batch: int, Uf: Dim) -> Signature:
    hidden = Uf.rows
    views = {
        "c_kept": View(SELF, hidden * batch, hidden, period=batch),
        "f": View(SELF, 2 * hidden * batch, hidden),
        "c_child": _child_states(hidden, batch, child_batch)["c_child"],
        "h_sum": View(SELF, 0, hidden, period=batch),
        "h_child": _child_states(hidden, batch, child_batch)["h_child"],
        "fx": View(FIRST, 3 * hidden, 4 * hidden, period=batch),
        "Uf": View(FIXED + 1),
    }
    return part_signature(
        "tree_lstm", hidden, batch, views, {"Uf": Uf},
        [clear_sums, Product("Uf", "h_child", "f", start="fx"), summed_child],
        each=True, size=2 * hidden * batch, size_each=hidden * batch, waits=(FIXED + 1, FIXED + 2), waits_each=True,
    )  # fmt: skip


@functools.cache
def _summing_part(batch: int, U: Dim) -> Signature:
    hidden = U.columns
    views = _state(hidden, batch, 4) | {
        "c_kept": View(BEFORE, hidden * batch, hidden),
        "h_sum": View(BEFORE, 0, hidden),
        "U": View(FIXED),
    }
    return part_signature(
        "tree_lstm", hidden, batch, views, {"U": U}, [Product("U", "h_sum", "i"), node],
        size=2 * hidden * batch, waits=(FIXED, FIXED + 1),
    )  # fmt: skip


@functools.cache
def nary_signature(batch: int, x: Dim | None, child_batch: int, children: int, b: Dim, W: Dim, *U: Dim) -> Signature:
    """Return the signature (shape and kernels) of a record that computes one tree node of an N-ary TreeLSTM.

    Args:
        batch: the batch size of the tree node.
        x: the shape of the input; None if the tree node has no input.
        child_batch: the batch size of the children; 0 if the tree node is a leaf.
        children: how many children the tree node has, at most N.
        b, W: the shapes of the parameters that are applied to the input.
        U: the shapes of N recurrent matrices, one for each possible child.
    """
    hidden, gates = U[0].columns, 3 + len(U)
    parts = [_projection(batch, x, b, W)]
    if children:
        parts += [
            _products_part(batch, child_batch, children, *U),
            _children_part(hidden, batch, child_batch, gates),
            _joining_part(hidden, batch, gates),
        ]
    else:
        parts.append(_leaf_part(hidden, batch, gates))
    return Signature(
        Dim.of((hidden,), batch), name="nary_tree_lstm", operands=FIXED + len(U), variadic=True, parts=parts
    )


@functools.cache
def _products_part(batch: int, child_batch: int, children: int, *U: Dim) -> Signature:
    hidden, gates, last = U[0].columns, 3 + len(U), FIXED + len(U)
    views = {"z": View(FIRST, 0, gates * hidden)}
    for k in range(children):
        views[f"U{k}"] = View(FIXED + k)
        views[f"h{k}"] = View(last + k, 0, hidden if child_batch > 1 else 0)
    return part_signature(
        "tree_lstm", hidden, batch, views, {f"U{k}": dim for k, dim in enumerate(U)},
        [Product(f"U{k}", f"h{k}", "z") for k in range(children)],
        size=0, waits=(FIXED, FIXED + children), waits_each=True,
    )  # fmt: skip


@functools.cache
def _children_part(hidden: int, batch: int, child_batch: int, gates: int) -> Signature:
    views = {
        "c_kept": View(SELF, 0, hidden, period=batch),
        "f": View(FIRST, 3 * hidden, gates * hidden, period=batch, outer=hidden),
        "c_child": _child_states(hidden, batch, child_batch)["c_child"],
    }
    return part_signature(
        "tree_lstm", hidden, batch, views, {}, [clear, child],
        each=True, size=hidden * batch, waits=(0, 0), waits_each=True,
    )  # fmt: skip


@functools.cache
def _joining_part(hidden: int, batch: int, gates: int) -> Signature:
    views = _state(hidden, batch, gates) | {"c_kept": View(BEFORE, 0, hidden)}
    return part_signature("tree_lstm", hidden, batch, views, {}, [node], size=2 * hidden * batch, waits=(0, 0))


@functools.cache
def widened_signature(hidden: int, batch: int) -> Signature:
    """Return the signature (shape and kernels) of a graph node that holds `batch` copies of a child's state (h, c).

    It is needed if this child has batch size 1 and another child of the same tree node has batch size `batch`.

    Args:
        hidden: the size of h and of c.
        batch: the batch size of the result.
    """
    views = []
    for k in range(2):
        views += [View(SELF, k * hidden * batch, hidden), View(0, k * hidden)]
    return Signature(
        Dim.of((hidden,), batch),
        name="widened",
        operands=1,
        size=2 * hidden * batch,
        columns=batch,
        views=views,
        forward=[copy_step("copy", 4 * k, 4 * k + 2, hidden) for k in range(2)],
        backward=[copy_step("accumulate", 4 * k + 3, 4 * k + 1, hidden, gradient_of=0) for k in range(2)],
    )
