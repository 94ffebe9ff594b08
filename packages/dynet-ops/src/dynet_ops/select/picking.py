"""Operations that pick elements, rows, columns or batch elements by their indices.

Nodes store their indices, so nodes with different indices share a signature and can run as one batch.
"""

from __future__ import annotations

from dynet_core.errors import StaleExpressionError
from dynet_core.graph import graph_of_node
from dynet_core.graph.nodes import PICKS
from dynet_core.messages.keyword_hints import method
from dynet_core.recorder import ANY_GRAPH

from ..copying import before_and_after
from ..declare import *


@functools.cache
def _pick_signature(dim: Dim, d: int, length: int) -> Signature:
    """Return the signature of nodes that pick `length` adjacent elements along dimension d.

    If `length` is 0, each node picks one element, and its result does not have dimension d.
    """
    before, after = before_and_after(dim, d)
    kept = (length,) if length else ()
    result = Dim.of(dim.dims[:d] + kept + dim.dims[d + 1 :] or (1,), dim.batch)
    if after == 1 and dim.batch == 1:
        signature = alias(result, scale=before)
    else:
        run, whole = before * (length or 1), before * dim.dims[d]
        loops = [(run, 1, 1), (after, run, whole), (dim.batch, run * after, dim.size)]
        signature = copy_of(result, loops, index_scale=before)
    if not length:
        PICKS[signature] = dim.dims[d], False
    return signature


@recorded(
    "index",
    reference=lambda x, index=0, dim=0: np.atleast_1d(x.take(index, axis=dim)),
    samples="5 index=3; 5*3 index=0; 3x4 index=2 dim=1; 3x4*2 index=1 dim=0; 3x4x5*2 index=3 dim=1; "
    "1*3 index=0; 1x5*2 index=4 dim=1",
)
def pick(e: Expression, index: Index | Indices = 0, dim: Index = 0) -> Expression:
    """The element (row, column, ...) number `index` along dimension `dim`. The result does not have this dimension.

    Args:
        e: any expression.
        index: one index for all batch elements, or a list with an index for each, as in `pick_batch`.
        dim: the number of the dimension, counted from 0.

    Raises:
        OutOfRangeError: the dimension or index does not exist. Negative indices are allowed only in `e[...]`.

    >>> pick(inputVector([1, 2, 3]), 2).value()
    3.0
    """
    if is_list(index):
        return _pick_each("pick", e, index, dim)  # type: ignore[arg-type]
    index = checked_index("pick", index)
    shape, dim = shape_along("pick", e, dim)
    if not 0 <= index < shape.dims[dim]:
        raise OutOfRangeError(f"pick: index {index} is out of range for dimension {dim} of x, which is {shape!r}")
    signature = _pick_signature(shape, dim, 0)
    if dim == 0:
        remember(pick, (e.type,), signature, shape.dims[0])
    return node("pick", signature, (e,), (index,))


@recorded(
    "stretch",
    reference=lambda x, v, u, d=0: x.take(range(v, u), axis=d),
    samples="9 v=2 u=7; 9*3 v=0 u=1; 5x4 v=1 u=3 d=1; 5x4*2 v=1 u=4; 1*3 v=0 u=1; 1x5*2 v=1 u=4 d=1",
)
@also_called(s="v", e="u")
def pickrange(x: Expression, v: Index, u: Index, d: Index = 0) -> Expression:
    """Elements number v, v + 1, ..., u - 1 along dimension d. For d = 0, this is x[v:u].

    DyNet 2.1 calls v and u s and e, which work here, too.

    >>> pickrange(inputVector([1, 2, 3, 4]), 1, 3).value()
    [2.0, 3.0]
    """
    return _pick_stretch("pickrange", x, v, u, d)


@also_called(s="v", e="u")
def pick_range(x: Expression, v: Index, u: Index, d: Index = 0) -> Expression:
    """Elements number v, v + 1, ..., u - 1 along dimension d. This is another name of `pickrange`.

    DyNet 2.1 calls v and u s and e, which work here, too.

    >>> pick_range(inputVector([1, 2, 3, 4]), 1, 3).value()
    [2.0, 3.0]
    """
    return _pick_stretch("pick_range", x, v, u, d)


_pick_range = function("stretch", pick_range)
pick_range = describe(_pick_range, pick_range)


def _pick_stretch(name: str, x: Expression, v: Index, u: Index, d: Index) -> Expression:
    shape, d = shape_along(name, x, d)
    v, u = checked_index(name, v), checked_index(name, u)
    if not 0 <= v < u <= shape.dims[d]:
        raise OutOfRangeError(f"{name}: {v}..{u} is out of range for dimension {d} of x, which is {shape!r}")
    signature = _pick_signature(shape, d, u - v)
    if d == 0:
        for record in (pickrange, _pick_range):
            remember(record, (x.type, u - v), signature, shape.dims[0])
    return node(name, signature, (x,), (v,))


@functools.cache
def _pick_batch_elems_signature(dim: Dim, count: int) -> Signature:
    return copies_by_index(Dim.of(dim.dims, count), count, dim.size, [(dim.size, 1, 1)], scale=dim.size)


@recorded(
    "indices",
    reference=lambda x, vs: x[..., vs],
    whole_batch=True,
    samples="3*4 vs=[1,3]; 1 vs=[0]; 5x2*3 vs=[2,2,0,1]; 17*2 vs=[1]",
)
def pick_batch_elems(x: Expression, vs: Iterable[Index]) -> Expression:
    """A batch that consists of batch elements number vs[0], vs[1], ... of x, counted from 0. Numbers may repeat.

    >>> pick_batch_elems(inputTensor([[1, 2, 3]], batched=True), [2, 0]).npvalue()
    array([[3., 1.]])
    """
    dim = shape_of("pick_batch_elems", x)
    indices = checked_indices("pick_batch_elems", vs, dim.batch, "the batch of x")
    signature = _pick_batch_elems_signature(dim, len(indices))
    remember(pick_batch_elems, (x.type, len(indices)), signature, dim.batch)
    return node("pick_batch_elems", signature, (x,), indices)


@functools.cache
def _pick_batch_elem_signature(dim: Dim) -> Signature:
    return alias(Dim.of(dim.dims), scale=dim.size)


@recorded(reference=lambda x, v: x[..., v : v + 1], whole_batch=True, samples="3*4 v=1; 1 v=0; 5x2*3 v=2; 17*2 v=1")
def pick_batch_elem(x: Expression, v: Index) -> Expression:
    """Batch element number v of x, counted from 0. The result has batch size 1.

    >>> pick_batch_elem(inputTensor([[1, 2, 3]], batched=True), 1).value()
    2.0
    """
    dim = shape_of("pick_batch_elem", x)
    (index,) = checked_indices("pick_batch_elem", [v], dim.batch, "the batch of x")
    return node("pick_batch_elem", _pick_batch_elem_signature(dim), (x,), (index,))


@functools.cache
def _pick_batch_signature(dim: Dim, d: int) -> Signature:
    """Return the signature of nodes that pick one element along dimension d in each batch element."""
    before, after = before_and_after(dim, d)
    result = Dim.of(dim.dims[:d] + dim.dims[d + 1 :] or (1,), dim.batch)
    loops = [(before, 1, 1), (after, before, before * dim.dims[d])]
    signature = copies_by_index(result, dim.batch, result.size, loops, scale=before, stride=dim.size)
    PICKS[signature] = dim.dims[d], True
    return signature


@recorded(
    "indices",
    reference=lambda x, indices, dim=0: np.stack(
        [np.atleast_1d(x[..., b].take(i, axis=dim)) for b, i in enumerate(indices)], axis=-1
    ),
    whole_batch=True,
    samples="5*3 indices=[0,4,2]; 3x4*2 indices=[2,0]; 3x4*2 indices=[3,1] dim=1; 1 indices=[0]",
)
def pick_batch(e: Expression, indices: Iterable[Index], dim: Index = 0) -> Expression:
    """From each batch element i of `e`, the element (row, column, ...) number indices[i] along dimension `dim`.

    The result does not have this dimension. If `e` has batch size 1, all indices pick from its only batch element.

    >>> pick_batch(inputTensor([[1, 2], [3, 4]], batched=True), [0, 1]).npvalue()
    array([[1., 4.]])
    """
    return _pick_each("pick_batch", e, indices, dim)


def _pick_each(name: str, e: Expression, indices: Iterable[Index], dim: Index) -> Expression:
    shape, dim = shape_along(name, e, dim)
    found = checked_indices(name, indices, shape.dims[dim], f"dimension {dim} of x {shape!r}")
    e = for_each_index(name, e, len(found))
    signature = _pick_batch_signature(e.type.plain, dim)
    if dim == 0:
        remember(pick_batch, (e.type, len(found)), signature, shape.dims[0])
    return node(name, signature, (e,), found)


@method(i="index")
def set_index(x: Expression, index: Index | Iterable[Index]) -> None:
    """Make x a different element of what it was picked from. Call it as a method of what `pick` or `x[i]` returns.

    What `pick_batch` returns takes as many indices as before. Gradients then go to these elements. The graph's values
    are computed again when they are next needed, with new random numbers for dropout and noise.

    Raises:
        ArgumentError: the expression is no pick.
        ShapeError: the number of indices differs from that of `pick_batch`.
        OutOfRangeError: there is no element of this index. Negative indices are allowed only in `x[...]`.
        StaleExpressionError: `renew_cg` has started a new graph, or `cg_revert` has removed x.

    >>> x = inputVector([1, 2, 3])[0]
    >>> y = x * 10
    >>> y.value()
    10.0
    >>> x.set_index(2)
    >>> y.value()
    30.0
    """
    try:
        graph, of_node, picked = pinned(), graph_of_node(x), None
        if x.version != ANY_GRAPH:
            picked = of_node.index_up_to(x.at).selections.get(x.at)
        if picked is None or picked.signature not in PICKS:
            raise ArgumentError(f"set_index: expected what pick, pick_batch or x[i] returns, got {x!r}")
        size, several = PICKS[picked.signature]
        indices = checked_indices("set_index", index if several else [index], size, "what is picked from")
        if len(indices) != len(picked.attributes):
            raise ShapeError(f"set_index: {len(indices)} indices for a batch of {len(picked.attributes)}")
        graph.rewrite(picked.start, indices)
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set_index: expression {x.type!r}: {error}") from None


Expression.set_index = set_index  # type: ignore[method-assign]

__all__ = ["pick", "pick_batch", "pick_batch_elem", "pick_batch_elems", "pick_range", "pickrange"]
