"""Cells of tree-structured networks: a node's state from its input and the states of its children.

A node of the tree is one record. Its first part is the projection, which waits for the input alone; further parts
read the children, however many there are, and make the state. So nodes of one height run together, whatever their
number of children, and the projections of all nodes do.
"""

from __future__ import annotations

import functools

from dynet_core.dim import Dim
from dynet_core.parameter import copy_step
from dynet_core.signature import Signature, View
from dynet_kernels.formula import logistic, tanh
from dynet_kernels.layout import BEFORE, EACH, FIRST, SELF

from .cells import Product, add_rule, candidate_backward, input_view, output_backward, part_signature, projection_part
from .recurrent import lstm_first, lstm_first_backward

INPUT = 2  # the operands are b, W, the input (b again where there is none), then what recurs, then the children
FIXED = 3  # how many of them come before what recurs


def _node(i, o, g, c_kept):
    i, o, g = logistic(i), logistic(o), tanh(g)
    c = i * g + c_kept
    return {"h": o * tanh(c), "c": c, "i": i, "o": o, "g": g}


def _node_backward(c, i, o, g, dh, dc):
    dc_of_h, do = output_backward(c, o, dh)
    dc = dc + dc_of_h
    return {"do": do, **candidate_backward(i, g, dc), "dc_kept": dc}


def _summed_child(f, h_child, c_child):
    f = logistic(f)
    return {"f": f, "h_sum": h_child, "c_kept": f * c_child}


def _summed_child_backward(f, c_child, dh_sum, dc_kept):
    df = dc_kept * c_child * f * (1 - f)
    return {"df": df, "dfx": df, "dh_child": dh_sum, "dc_child": dc_kept * f}


def _child(f, c_child):
    f = logistic(f)
    return {"f": f, "c_kept": f * c_child}


def _child_backward(f, c_child, dc_kept):
    return {"df": dc_kept * c_child * f * (1 - f), "dc_child": dc_kept * f}


LEAF = ("h", "c", "i", "o", "g")
NODE = (*LEAF, "c_kept")
SUMMED_CHILD = ("c_kept", "f", "c_child", "h_sum", "h_child", "fx")
CHILD = SUMMED_CHILD[:3]
leaf = add_rule("tree_lstm.leaf", LEAF, lstm_first, lstm_first_backward)
node = add_rule("tree_lstm.node", NODE, _node, _node_backward)
clear_sums = add_rule("tree_lstm.clear_sums", SUMMED_CHILD, lambda: {"h_sum": 0.0, "c_kept": 0.0}, None)
summed_child = add_rule(
    "tree_lstm.summed_child", SUMMED_CHILD, _summed_child, _summed_child_backward, accumulate=("h_sum", "c_kept")
)
clear = add_rule("tree_lstm.clear", CHILD, lambda: {"c_kept": 0.0}, None)
child = add_rule("tree_lstm.child", CHILD, _child, _child_backward, accumulate=("c_kept",))


def _state(hidden: int, batch: int, gates: int) -> dict[str, View]:
    """The views of a node's own state, and of the gates i, o, g."""
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate("hc")}
    return views | {name: View(FIRST, k * hidden, gates * hidden) for k, name in enumerate("iog")}


def _of_children(hidden: int, batch: int, child_batch: int) -> dict[str, View]:
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
    """A node of a child-sum TreeLSTM; `child_batch` 0: a leaf."""
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
        "c_child": _of_children(hidden, batch, child_batch)["c_child"],
        "h_sum": View(SELF, 0, hidden, period=batch),
        "h_child": _of_children(hidden, batch, child_batch)["h_child"],
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
    """A node of an N-ary TreeLSTM with a number of children; N is how many matrices U there are."""
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
        "c_child": _of_children(hidden, batch, child_batch)["c_child"],
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
    """A state of batch size 1, once for each element of a batch."""
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
