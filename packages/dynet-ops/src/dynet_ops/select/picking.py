"""Elements, rows, columns, ranges and batch elements by their indices, the largest elements, and `x[...]`.

Nodes store their indices, so nodes with different indices share a signature and can run as one batch.
"""

from __future__ import annotations

import itertools

from dynet_core.checks import as_list
from dynet_core.errors import StaleExpressionError
from dynet_core.graph import graph_of_node
from dynet_core.messages.hints import method_with_hints
from dynet_core.recorder import ANY_GRAPH, share_objects
from dynet_kernels.families.selection import LargestInOrder, Scatter

from ..axes import without_axes
from ..copying import MAX_LOOPS, merge_loops, sizes_before_and_after
from ..declare import *
from ..shape.layout import transpose


@by_sizes
def _pick_signature(dim: Dim, d: int, length: int) -> Signature:
    """Return the signature of nodes that pick `length` adjacent elements along dimension d.

    If `length` is 0, each node picks one element, and its result does not have dimension d.
    """
    before, after = sizes_before_and_after(dim, d)
    kept_dims = (length,) if length else ()
    result = Dim.of(dim.dims[:d] + kept_dims + dim.dims[d + 1 :] or (1,), dim.batch)
    if after == 1 and dim.batch == 1:
        signature = alias(result, scale=before)
    else:
        run_size, run_stride = before * (length or 1), before * dim.dims[d]
        loops = [(run_size, 1, 1), (after, run_size, run_stride), (dim.batch, run_size * after, dim.size)]
        signature = copy_of(result, loops, index_scale=before)
    if not length:
        signature.choices = dim.dims[d], False
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
        return _pick_batch("pick", e, index, dim)  # type: ignore[arg-type]
    index = checked_index("pick", index)
    shape, dim = shape_along("pick", e, dim)
    if not 0 <= index < shape.dims[dim]:
        raise OutOfRangeError(f"pick: index {index} is out of range for dimension {dim} of x, which is {shape!r}")
    signature = _pick_signature(shape, dim, 0)
    if dim == 0:  # the compiled fast path is only for this dimension
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

    In DyNet 2.1, the arguments v and u are called s and e. These names also work here.

    >>> pickrange(inputVector([1, 2, 3, 4]), 1, 3).value()
    [2.0, 3.0]
    """
    return _pick_range("pickrange", x, v, u, d)


@also_called(s="v", e="u")
def pick_range(x: Expression, v: Index, u: Index, d: Index = 0) -> Expression:
    """Elements number v, v + 1, ..., u - 1 along dimension d. This is another name of `pickrange`.

    >>> pick_range(inputVector([1, 2, 3, 4]), 1, 3).value()
    [2.0, 3.0]
    """
    return _pick_range("pick_range", x, v, u, d)


pick_range = describe(function("stretch", pick_range), pick_range)


def _pick_range(name: str, x: Expression, v: Index, u: Index, d: Index) -> Expression:
    shape, d = shape_along(name, x, d)
    v, u = checked_index(name, v), checked_index(name, u)
    if not 0 <= v < u <= shape.dims[d]:
        raise OutOfRangeError(f"{name}: {v}..{u} is out of range for dimension {d} of x, which is {shape!r}")
    signature = _pick_signature(shape, d, u - v)
    if d == 0:
        for record in (pickrange, pick_range):
            remember(record, (x.type, u - v), signature, shape.dims[0])
    return node(name, signature, (x,), (v,))


@by_sizes
def _pick_batch_elems_signature(dim: Dim, index_count: int) -> Signature:
    return copies_by_index(Dim.of(dim.dims, index_count), index_count, dim.size, [(dim.size, 1, 1)], scale=dim.size)


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


@by_sizes
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


@by_sizes
def _pick_batch_signature(dim: Dim, d: int) -> Signature:
    """Return the signature of nodes that pick one element along dimension d in each batch element."""
    before, after = sizes_before_and_after(dim, d)
    result = without_axes(dim, [d])
    loops = [(before, 1, 1), (after, before, before * dim.dims[d])]
    signature = copies_by_index(result, dim.batch, result.size, loops, scale=before, stride=dim.size)
    signature.choices = dim.dims[d], True
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
    return _pick_batch("pick_batch", e, indices, dim)


def _pick_batch(name: str, e: Expression, indices: Iterable[Index], d: Index) -> Expression:
    shape, d = shape_along(name, e, d)
    indices = checked_indices(name, indices, shape.dims[d], f"dimension {d} of x {shape!r}")
    e = for_each_index(name, e, len(indices))
    signature = _pick_batch_signature(e.type.plain, d)
    if d == 0:
        remember(pick_batch, (e.type, len(indices)), signature, shape.dims[0])
    return node(name, signature, (e,), indices)


@method_with_hints(i="index")
def set_index(x: Expression, index: Index | Iterable[Index]) -> None:
    """Make x, a result of `pick` or `x[i]`, a different element of the same expression. Call this as a method of x.

    A result of `pick_batch` takes as many indices as before. Gradients then go to the new elements. The graph's values
    are computed again when they are next needed, with new random numbers for dropout and noise.

    Raises:
        ArgumentError: x is not the result of a pick.
        ShapeError: the number of indices is not the number that `pick_batch` got.
        OutOfRangeError: there is no element with this index. Negative indices are allowed only in `x[...]`.
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
        graph, node_graph, pick_record = pinned(), graph_of_node(x), None
        if x.version != ANY_GRAPH:
            pick_record = node_graph.settable_up_to(x.at).selections.get(x.at)
        if pick_record is None or pick_record.signature.choices is None:
            raise ArgumentError(f"set_index: expected what pick, pick_batch or x[i] returns, got {x!r}")
        size, takes_list = pick_record.signature.choices
        indices = checked_indices("set_index", index if takes_list else [index], size, "what is picked from")
        if len(indices) != len(pick_record.attributes):
            raise ShapeError(f"set_index: {len(indices)} indices for a batch of {len(pick_record.attributes)}")
        graph.rewrite(pick_record.attributes_start, indices)
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set_index: expression {x.type!r}: {error}") from None


Expression.set_index = set_index  # type: ignore[method-assign]


KERNELS.add("largest_in_order", LargestInOrder())
KERNELS.add("scatter", Scatter())


@by_sizes
def _select_signature(dim: Dim, d: int, count: int) -> Signature:
    """Return the signature of nodes that select `count` rows (d = 0) or columns (d = 1), whose indices they store."""
    result = Dim.of((*dim.dims[:d], count, *dim.dims[d + 1 :]), dim.batch)
    rows = dim.rows
    step = rows if d else 1
    loops = [(rows, 1, 1) if d else (dim.columns, count, rows), (dim.batch, result.size, dim.size)]
    return copies_by_index(result, count, step, loops, scale=step)


def _select(name: str, x: Expression, indices: Iterable[Index], d: int) -> Expression:
    dim = shape_of(name, x)
    indices = checked_indices(name, indices, dim.dims[d], f"dimension {d} of x {dim!r}")
    return node(name, _select_signature(dim, d, len(indices)), (x,), indices)


@recorded(
    reference=lambda x, rs: x[rs],
    samples="1 rs=[0]; 7*3 rs=[6,0,2]; 5x3 rs=[1,1,4]; 17x2*2 rs=[16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0]; "
    "3x2x5*2 rs=[2,0]",
)
def select_rows(x: Expression, rs: Iterable[Index]) -> Expression:
    """Rows number rs[0], rs[1], ... of a matrix, y_ij = x_(rs_i)j. Numbers may repeat.

    x may have any number of dimensions. Rows are elements of the first dimension, counted from 0.

    >>> select_rows(inputTensor([[1, 2], [3, 4], [5, 6]]), [2, 0]).npvalue()
    array([[5., 6.],
           [1., 2.]])
    """
    return _select("select_rows", x, rs, 0)


@recorded(reference=lambda x, cs: x[:, cs], samples="1x1 cs=[0]; 3x5*3 cs=[4,0]; 17x3 cs=[1,1,2,0]; 33x4*2 cs=[3]")
def select_cols(x: Expression, cs: Iterable[Index]) -> Expression:
    """Columns number cs[0], cs[1], ... of a matrix, y_ij = x_i(cs_j). Numbers may repeat.

    Columns are counted from 0.

    >>> select_cols(inputTensor([[1, 2, 3], [4, 5, 6]]), [2, 0]).npvalue()
    array([[3., 1.],
           [6., 4.]])
    """
    dim = shape_of("select_cols", x)
    if len(dim.dims) != 2:
        raise ShapeError(f"select_cols: expected a matrix, got {dim!r}")
    return _select("select_cols", x, cs, 1)


@functools.cache
def _strided_signature(dim: Dim, counts: tuple[int, ...], steps: tuple[int, ...]) -> Signature | None:
    """Return the signature of a copy of counts[d] elements at distance steps[d] along each dimension d and the batch.

    Nodes store the first element's offset. Return None if the copy needs more than `MAX_LOOPS` loops.
    """
    result = Dim.of(counts[:-1], counts[-1])
    source_strides = [stride * step for stride, step in zip(strides_of(dim, dim), steps)]
    loops = list(zip(counts, strides_of(result, result), source_strides))
    return None if len(merge_loops(loops)) > MAX_LOOPS else copy_of(result, loops, index_scale=1)


def _checked_per_axis(name: str, what: str, values, dim: Dim, defaults: Sequence[int], smallest: int) -> list[int]:
    """Check a user's list of numbers >= `smallest`. Return it, with numbers of `defaults` for axes that it lacks."""
    sizes, values = sizes_and_batch(dim), as_list(values)
    if not is_list(values):
        raise ArgumentTypeError(f"{name}: {what} must be a list of ints, not {values!r:.60}")
    if len(values) > len(sizes):
        raise ArgumentError(
            f"{name}: {len(values)} {what} for x, which is {dim!r}: at most one for each dimension and the batch"
        )
    numbers = []
    for number in values:
        numbers.append(whole(name, "an index", number))
    if numbers and min(numbers) < smallest:
        raise ArgumentError(f"{name}: {what} must be at least {smallest}, got {numbers}")
    return [*numbers, *defaults[len(numbers) :]]


def _strided_reference(x, strides, range_from=(), range_to=()):
    return x[tuple(itertools.starmap(slice, itertools.zip_longest(range_from, range_to, strides)))]


@recorded(
    reference=_strided_reference,
    whole_batch=True,
    samples="1 strides=[1]; 9*3 strides=[2] range_from=[1]; 5x4 strides=[2,3] range_from=[1,0] range_to=[5,4]; "
    "5x4*4 strides=[1,2,2] range_from=[0,1,1]; 33x3*2 strides=[] range_from=[7] range_to=[24,2]; "
    "3x3x3x3x3*3 strides=[2,2,2,2,2,2] range_from=[0,0,0,0,0,0]",
)
def strided_select(x: Expression, strides: Indices, range_from: Indices = (), range_to: Indices = ()) -> Expression:
    """Regularly spaced elements of x: along each dimension d, range_from[d]:range_to[d]:strides[d] as a Python slice.

    Each of the three lists has a number for each dimension and a last number for the batch. Lists may be shorter:
    missing strides are 1, missing starts are 0, and missing ends (which are exclusive) are the size of the dimension.

    Raises:
        OutOfRangeError: a range is empty or outside its dimension.

    >>> x = inputTensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> strided_select(x, [2, 1], [0, 1], [3, 3]).npvalue()
    array([[2., 3.],
           [8., 9.]])
    """
    name = "strided_select"
    dim = shape_of(name, x)
    sizes = sizes_and_batch(dim)
    steps = _checked_per_axis(name, "strides", strides, dim, [1] * len(sizes), 1)
    starts = _checked_per_axis(name, "range_from", range_from, dim, [0] * len(sizes), 0)
    ends = _checked_per_axis(name, "range_to", range_to, dim, sizes, 0)
    ranges = list(zip(starts, ends, steps))
    for d, ((start, stop, _), size) in enumerate(zip(ranges, sizes)):
        if not start < stop <= size:
            axis_name = "the batch" if d == len(dim.dims) else f"dimension {d}"
            raise OutOfRangeError(f"{name}: {start}..{stop} is out of range for {axis_name} of x, which is {dim!r}")
    return select_ranges(graph_of(name, (x,)), x, ranges)


def select_ranges(graph: PinnedGraph, x: Expression, ranges: Sequence[tuple[int, int, int]]) -> Expression:
    """Return the elements of x in `ranges`: (start, stop, step) for each dimension and, last, the batch.

    The list may be shorter; the remaining dimensions are selected whole. If all of x is selected, return x itself.
    """
    dim = x.type.plain
    sizes = sizes_and_batch(dim)
    ranges = [*ranges, *[(0, size, 1) for size in sizes[len(ranges) :]]]
    counts = tuple(-(-(stop - start) // step) for start, stop, step in ranges)
    if counts == sizes:
        return x
    signature = _strided_signature(dim, counts, tuple(step for _, _, step in ranges))
    if signature is None:
        for d, range_along_d in enumerate(ranges):  # too many loops for one copy: copy once per dimension
            full_ranges = [(0, size, 1) for size in x.type.dims[:d]]
            x = select_ranges(graph, x, [*full_ranges, range_along_d])
        return x
    offset = sum(start * stride for (start, _, _), stride in zip(ranges, strides_of(dim, dim)))
    return graph.append(signature, [x.at, offset])


@by_sizes
def _kmax_signature(dim: Dim, k: int) -> Signature:
    """Return the signature of a node of the k largest elements, followed in memory by their indices."""
    columns = dim.columns * dim.batch
    return Signature(
        Dim.of((k, *dim.dims[1:]), dim.batch),
        size=2 * k * columns,
        columns=columns,
        views=[View(SELF, stride=k), View(0, stride=dim.rows), View(SELF, k * columns, stride=k)],
        forward=[Step("largest_in_order", (dim.rows, k, 0, 2, 4))],  # roles: 0 the result, 2 x, 4 the indices
        backward=[Step("scatter", (k, 3, 1, 4), gradient_of=0)],  # adds dy (role 1) to dx (role 3)
    )


def _kmax_reference(x, k, d=1):
    indices = np.argsort(-x, axis=d, kind="stable").take(range(k), axis=d)
    return np.take_along_axis(x, np.sort(indices, axis=d), axis=d)


@recorded(
    reference=_kmax_reference, samples="1x1 k=1; 5*2 k=3 d=0; 3x7 k=2; 17x5*3 k=4 d=1; 67x3*2 k=33 d=0; 2x3x9*2 k=5 d=2"
)
def kmax_pooling(x: Expression, k: Index, d: Index = 1) -> Expression:
    """The k largest elements along dimension d, in their original order. Among equal elements, the first are taken.

    k is at most the size of the dimension. Dimensions are counted from 0.

    Source: Kalchbrenner, Grefenstette and Blunsom, "A Convolutional Neural Network for Modelling Sentences", 2014.

    >>> kmax_pooling(inputTensor([[3, 1, 2], [1, 9, 4]]), 2).npvalue()
    array([[3., 2.],
           [9., 4.]])
    """
    name = "kmax_pooling"
    (dim, d), k = shape_along(name, x, d), checked_size(name, "k", k)
    if k > dim.dims[d]:
        raise OutOfRangeError(f"{name}: k = {k} exceeds the size of dimension {d} of x, which is {dim!r}")
    if k == dim.dims[d]:
        return x
    permutation = [d, *[axis for axis in range(len(dim.dims)) if axis != d]]
    x = transpose(x, permutation)
    x = node(name, _kmax_signature(x.type.plain, k), (x,))
    return transpose(x, [permutation.index(axis) for axis in range(len(permutation))])


def item(x: Expression, key) -> Expression:
    """Return `x[key]`, where `key` is an index or a slice, or a tuple of them for the first dimensions of x.

    An index picks one element and removes its dimension. A slice keeps its dimension; as in Python, it may reach beyond
    the end. Its step must be positive. Negative indices count from the end. If the tuple has an entry for every
    dimension, one more slice may follow, for the batch.

    >>> x = inputVector([1, 2, 3, 4])
    >>> x[-1].value(), x[1:3].value(), x[::2].value()
    (4.0, [2.0, 3.0], [1.0, 3.0])
    >>> inputTensor([[1, 2, 3], [4, 5, 6]], batched=True)[:, 1:].npvalue()
    array([[2., 3.],
           [5., 6.]])
    """
    try:
        return _select_item(x, key)
    except StaleExpressionError:
        pass
    graph_of("x[...]", (x,))  # raises the same error, but its message names `x[...]`, not the op called above
    return _select_item(x, key)  # x is valid: a `cg_revert` in a signal handler, which kept x, caused the error


def _select_item(x: Expression, key) -> Expression:
    dims = x.type.dims
    if key.__class__ is slice and key.step is None and dims:
        size = dims[0]
        try:
            start, stop, _ = key.indices(size)
        except TypeError:
            start = stop = 0  # an end is not an int: skip the next `if`; `_range_of` converts the ends or raises
        if start < stop:
            return x if stop - start == size else pickrange(x, start, stop)
    keys = key if isinstance(key, tuple) else (key,)
    rank = len(dims)
    has_batch_slice = len(keys) == rank + 1 and isinstance(keys[rank], slice)
    if len(keys) > rank + has_batch_slice:
        raise OutOfRangeError(f"x[...]: {len(keys)} indices for x, which is {x.type!r}")
    picks, ranges = [], []
    for d, subscript in enumerate(keys):
        if isinstance(subscript, slice):
            ranges.append(_range_of(x, d, subscript))
        else:
            picks.append((_index_of(x, d, subscript), d))
    if has_batch_slice:
        full_ranges = [(0, size, 1) for size in dims]
        x = select_ranges(graph_of("x[...]", (x,)), x, [*full_ranges, ranges.pop()])
    for index, d in reversed(picks):
        x = pick(x, index, d)
    if any(step > 1 for _, _, step in ranges):
        return select_ranges(graph_of("x[...]", (x,)), x, ranges)
    for d, (start, stop, _) in enumerate(ranges):
        if stop - start < x.type.dims[d]:
            x = pickrange(x, start, stop, d)
    return x


def _index_of(x: Expression, d: int, index) -> int:
    size, index = x.type.dims[d], checked_index("x[...]", index)
    if not -size <= index < size:
        graph_of("x[...]", (x,))  # if x is a parameter of size 0, this raises an error that says so
        raise OutOfRangeError(f"x[...]: index {index} is out of range for dimension {d} of x, which is {x.type!r}")
    return index + size if index < 0 else index


def _range_of(x: Expression, d: int, subscript: slice) -> tuple[int, int, int]:
    """Return a slice of dimension d, or of the batch, as (start, stop, step) with ends that count from 0."""
    is_batch = d == len(x.type.dims)
    size = x.type.batch if is_batch else x.type.dims[d]
    step = 1 if subscript.step is None else whole("x[...]", "the step of a slice", subscript.step)
    if step < 1:
        raise ArgumentError(f"x[...]: the step of {subscript} must be at least 1")
    try:
        start, stop, _ = subscript.indices(size)
    except TypeError:  # an end is not an int: convert the ends, or raise an error that names the wrong one
        ends = [
            None if end is None else whole("x[...]", "an end of a slice", end)
            for end in (subscript.start, subscript.stop)
        ]
        start, stop, _ = slice(*ends).indices(size)
    if start >= stop:
        graph_of("x[...]", (x,))  # if x is stale, or a parameter of size 0, this raises an error that says so
        axis_name = "the batch" if is_batch else f"dimension {d}"
        raise OutOfRangeError(f"x[...]: {subscript} selects nothing from {axis_name} of x, which is {x.type!r}")
    return start, stop, step


def _iterate(x: Expression):
    return (x[index] for index in range(len(x)))


def _iterate_reversed(x: Expression):
    return (x[index] for index in reversed(range(len(x))))


share_objects(
    item=pick, stretch=pickrange, subscript=item
)  # compiled code calls them for x[i], for x[i:j], and for x with any other key, in this order
Expression.__iter__ = _iterate  # type: ignore[attr-defined]
Expression.__reversed__ = _iterate_reversed  # type: ignore[attr-defined]

__all__ = [
    "kmax_pooling", "pick", "pick_batch", "pick_batch_elem", "pick_batch_elems", "pick_range", "pickrange",
    "select_cols", "select_rows", "strided_select",
]  # fmt: skip
