"""The cells of TreeLSTMs: the state (h, c) of a tree node from its input and its children's states.

The projection depends on the input only, so those of all tree nodes with the same gates (i, o, g, and f per child) run
as one batch. A record's operands are b, W, x, the recurrent weights, and the children's states. Without an input, b is
given a second time in its place, and is not read there.
"""

from __future__ import annotations

from dynet_kernels.formula import logistic, tanh
from dynet_kernels.layout import BEFORE, FIRST

from ..declare import *
from .cell_description import Product
from .cells import add_rule, input_view, part_signature, projection_part
from .equations import Equations, rules, symbols

FIXED = 3  # the number of operands before the recurrent weights: b, W and the input


def _rule(name: str, inputs: Sequence[str], equations: Callable[..., Equations], gates: Sequence[str], **facts) -> str:
    """Add a forward kernel "tree_lstm." + name and its backward kernel; return the former's name.

    The kernels' views are the new values, then `inputs`. `gates` are overwritten with their activations. `facts` are
    other arguments of `Rule`, for the forward kernel.
    """
    values = equations(*symbols(*inputs))
    forward, backward = rules(values, gates, totals="hc")
    if "fx" in inputs:
        backward["dfx"] = backward["df"]  # f is fx plus a product, so fx has the same gradient as f
    return add_rule(f"tree_lstm.{name}", (*values, *inputs), forward, backward, ("dh", "dc"), **facts)


def _outputs(o, c):
    return {"h": logistic(o) * tanh(c), "c": c}


@functools.cache
def _node(children: int) -> str:
    """Return the kernel that computes a state from i, o and g, and from f and c of each child in turn."""

    def equations(i, o, g, *of_children):
        kept = [logistic(f) * c for f, c in zip(of_children[::2], of_children[1::2])]
        return _outputs(o, sum(kept, logistic(i) * tanh(g)))

    f = [f"f{k}" for k in range(children)]
    inputs = [name for k, gate in enumerate(f) for name in (gate, f"c{k}")]
    return _rule(f"node{children}", (*"iog", *inputs), equations, (*"iog", *f))


def _summands(f, c, h, fx):
    return {"c_kept": logistic(f) * c, "h_sum": h}


SUMMED = ("f", "c_child", "h_child", "fx")
clear_sums = add_rule("tree_lstm.clear_sums", ("c_kept", "h_sum", *SUMMED), lambda: {"c_kept": 0.0, "h_sum": 0.0}, None)
summed_child = _rule("summed_child", SUMMED, _summands, "f", accumulate=("c_kept", "h_sum"))
summing = _rule("summing", (*"iog", "c_kept"), lambda i, o, g, kept: _outputs(o, logistic(i) * tanh(g) + kept), "iog")
for _count in range(3):  # known at import, so that they can be compiled in advance
    _node(_count)


def _state(hidden: int, batch: int, rows: int) -> dict[str, View]:
    """Return the views of h and c in the part's own memory, and of i, o and g among the projection's `rows` rows."""
    views = {name: View(SELF, k * hidden * batch, hidden) for k, name in enumerate("hc")}
    return views | {name: View(FIRST, k * hidden, rows) for k, name in enumerate("iog")}


@functools.cache
def nary_signature(
    hidden: int, batch: int, x: Dim | None, children: tuple[int, ...], b: Dim, W: Dim, *U: Dim
) -> Signature:
    """Return the signature of a node of an N-ary TreeLSTM; without children, also of a child-sum TreeLSTM's leaf.

    `x` is None without an input. `children` are their batch sizes, 0 for one that is absent; U are the shapes of the
    matrices of the others.
    """
    present = [(k, size) for k, size in enumerate(children) if size]
    rows, first = (4 + max(present, default=(-1,))[0]) * hidden, FIXED + len(U)
    views, products = _state(hidden, batch, rows), {"z": View(FIRST, 0, rows)}
    for n, (k, size) in enumerate(present):
        stride = hidden if size > 1 else 0
        views |= {f"f{n}": View(FIRST, (3 + k) * hidden, rows), f"c{n}": View(first + n, hidden * size, stride)}
        products |= {f"U{n}": View(FIXED + n), f"h{n}": View(first + n, 0, stride)}
    part = part_signature(
        "tree_lstm", hidden, batch, views | products, {f"U{n}": dim for n, dim in enumerate(U)},
        [*[Product(f"U{n}", f"h{n}", "z", first_rows=rows) for n in range(len(U))], _node(len(U))],
        size=2 * hidden * batch, waits=(FIXED, first + len(U)),
    )  # fmt: skip
    return _record(first + len(U), batch, rows, x, b, W, part)


def _record(operands: int, batch: int, rows: int, x: Dim | None, b: Dim, W: Dim, *parts: Signature) -> Signature:
    """Return the signature of a record: the projection, of which `rows` rows are used, then `parts`."""
    view = None if x is None else input_view(x, batch, FIXED - 1)
    parts = projection_part(batch, view, b, W, first_rows=rows), *parts
    return Signature(parts[-1].dim, name="tree_lstm", operands=operands, variadic=True, parts=parts)


@functools.cache
def child_sum_signature(batch: int, x: Dim | None, child_batch: int, b: Dim, W: Dim, U: Dim, Uf: Dim) -> Signature:
    """Return the signature of a node of a child-sum TreeLSTM that has children. `x` is None without an input.

    U multiplies the sum of the children's h, for i, o and g. Uf multiplies each child's h, for that child's f.
    """
    hidden = Uf.rows
    stride = hidden if child_batch > 1 else 0
    views = {
        "c_kept": View(SELF, hidden * batch, hidden, period=batch),
        "h_sum": View(SELF, 0, hidden, period=batch),
        "f": View(SELF, 2 * hidden * batch, hidden),
        "c_child": View(EACH, hidden * child_batch, stride, period=batch),
        "h_child": View(EACH, 0, stride, period=batch),
        "fx": View(FIRST, 3 * hidden, 4 * hidden, period=batch),
        "Uf": View(FIXED + 1),
    }
    summed = part_signature(
        "tree_lstm", hidden, batch, views, {"Uf": Uf},
        [clear_sums, Product("Uf", "h_child", "f", start="fx"), summed_child],
        each=True, size=2 * hidden * batch, size_each=hidden * batch, waits=(FIXED + 1, FIXED + 2), waits_each=True,
    )  # fmt: skip
    views = _state(hidden, batch, 4 * hidden) | {
        "c_kept": View(BEFORE, hidden * batch, hidden),
        "h_sum": View(BEFORE, 0, hidden),
        "U": View(FIXED),
    }
    whole = part_signature(
        "tree_lstm", hidden, batch, views, {"U": U}, [Product("U", "h_sum", "i"), summing],
        size=2 * hidden * batch, waits=(FIXED, FIXED + 1),
    )  # fmt: skip
    return _record(FIXED + 2, batch, 4 * hidden, x, b, W, summed, whole)
