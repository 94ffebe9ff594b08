"""Operations that select rows, columns, regularly spaced elements, or the largest elements along a dimension."""

from __future__ import annotations

from dynet_core.checks import as_list
from dynet_kernels.families.selection import LargestInOrder, Scatter

from ..copying import LOOPS, joined
from ..declare import *
from ..shape.layout import along

KERNELS.add("largest_in_order", LargestInOrder())
KERNELS.add("scatter", Scatter())


@functools.cache
def _select_signature(dim: Dim, d: int, count: int) -> Signature:
    """Return the signature of nodes that select `count` rows (d = 0) or columns (d = 1), whose numbers they store."""
    result = Dim.of((*dim.dims[:d], count, *dim.dims[d + 1 :]), dim.batch)
    rows, columns = dim.rows, dim.columns
    step = rows if d else 1
    loops = [(rows, 1, 1) if d else (columns, count, rows), (dim.batch, result.size, dim.size)]
    return copies_by_index(result, count, step, loops, scale=step)


def _select(name: str, x: Expression, indices: Iterable[Index], d: int) -> Expression:
    dim = shape_of(name, x)
    found = checked_indices(name, indices, dim.dims[d], f"dimension {d} of x {dim!r}")
    return node(name, _select_signature(dim, d, len(found)), (x,), found)


@recorded(
    reference=lambda x, rs: x[rs],
    samples="1 rs=[0]; 7*3 rs=[6,0,2]; 5x3 rs=[1,1,4]; 17x2*2 rs=[16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0]; "
    "3x2x5*2 rs=[2,0]",
)
def select_rows(x: Expression, rs: Iterable[Index]) -> Expression:
    """Rows number rs[0], rs[1], ... of a matrix, y_ij = x_(rs_i)j. Numbers may repeat.

    x may have any dimensions. Rows are along the first one and counted from 0.

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


def _strided_loops(dim: Dim, counts: tuple[int, ...], steps: tuple[int, ...]) -> tuple[Dim, list[Loop]]:
    """Return the shape and the loops of a copy of counts[d] elements along each dimension d, steps[d] apart.

    The last entries of `counts` and `steps` are for the batch.
    """
    result = Dim.of(counts[:-1], counts[-1])
    apart = [stride * step for stride, step in zip(strides_of(dim, dim), steps)]
    return result, list(zip(counts, strides_of(result, result), apart))


@functools.cache
def _strided_signature(dim: Dim, counts: tuple[int, ...], steps: tuple[int, ...]) -> Signature | None:
    """Return the signature of such copies, whose nodes store the first element's offset; None for too many loops."""
    result, loops = _strided_loops(dim, counts, steps)
    return None if len(joined(loops)) > LOOPS else copy_of(result, loops, index_scale=1)


def _limits(name: str, what: str, given, dim: Dim, default: Sequence[int], smallest: int) -> list[int]:
    """Check a user's list of numbers >= `smallest`, and extend it to all dimensions and the batch by `default`."""
    sizes, given = (*dim.dims, dim.batch), as_list(given)
    if not is_list(given):
        raise ArgumentTypeError(f"{name}: {what} must be a list of ints, not {given!r:.60}")
    if len(given) > len(sizes):
        raise ArgumentError(
            f"{name}: {len(given)} {what} for x, which is {dim!r}: at most one for each dimension and the batch"
        )
    found = []
    for number in given:
        found.append(whole(name, "an index", number))
    if found and min(found) < smallest:
        raise ArgumentError(f"{name}: {what} must be at least {smallest}, got {found}")
    return [*found, *default[len(found) :]]


def _strided_reference(x, strides, range_from=(), range_to=()):
    limits = [
        slice(
            range_from[d] if d < len(range_from) else 0,
            range_to[d] if d < len(range_to) else None,
            strides[d] if d < len(strides) else 1,
        )
        for d in range(x.ndim)
    ]
    return x[tuple(limits)]


@recorded(
    reference=_strided_reference,
    whole_batch=True,
    samples="1 strides=[1]; 9*3 strides=[2] range_from=[1]; 5x4 strides=[2,3] range_from=[1,0] range_to=[5,4]; "
    "5x4*4 strides=[1,2,2] range_from=[0,1,1]; 33x3*2 strides=[] range_from=[7] range_to=[24,2]; "
    "3x3x3x3x3*3 strides=[2,2,2,2,2,2] range_from=[0,0,0,0,0,0]",
)
def strided_select(
    x: Expression,
    strides: Indices,
    range_from: Indices = (),
    range_to: Indices = (),
) -> Expression:
    """Regularly spaced elements of x: along each dimension d, range_from[d]:range_to[d]:strides[d] as a Python slice.

    Each of the three lists has a number for each dimension and, at the end, one for the batch. Lists may be shorter:
    missing strides are 1, missing starts 0, missing ends (which are not included) the size of the dimension.

    Raises:
        OutOfRangeError: a range is empty or outside its dimension.

    >>> x = inputTensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> strided_select(x, [2, 1], [0, 1], [3, 3]).npvalue()
    array([[2., 3.],
           [8., 9.]])
    """
    name = "strided_select"
    dim = shape_of(name, x)
    sizes = (*dim.dims, dim.batch)
    steps = _limits(name, "strides", strides, dim, [1] * len(sizes), 1)
    first = _limits(name, "range_from", range_from, dim, [0] * len(sizes), 0)
    end = _limits(name, "range_to", range_to, dim, sizes, 0)
    ranges = list(zip(first, end, steps))
    for number, ((start, stop, _), size) in enumerate(zip(ranges, sizes)):
        if not start < stop <= size:
            what = "the batch" if number == len(dim.dims) else f"dimension {number}"
            raise OutOfRangeError(f"{name}: {start}..{stop} is out of range for {what} of x, which is {dim!r}")
    return select_regularly(graph_of(name, (x,)), x, ranges)


def select_regularly(graph: PinnedGraph, x: Expression, ranges: Sequence[tuple[int, int, int]]) -> Expression:
    """Return the elements of x in `ranges`: (start, stop, step) for each dimension and, last, the batch.

    The list may be shorter; of the rest, all is selected. If that is all of x, return x itself.
    """
    dim = x.type.plain
    sizes = (*dim.dims, dim.batch)
    ranges = [*ranges, *[(0, size, 1) for size in sizes[len(ranges) :]]]
    counts = tuple(-(-(stop - start) // step) for start, stop, step in ranges)
    if counts == sizes:
        return x
    signature = _strided_signature(dim, counts, tuple(step for _, _, step in ranges))
    if signature is None:
        for number, limits in enumerate(ranges):  # too many loops for one copy: copy once per dimension
            before = [(0, size, 1) for size in x.type.dims[:number]]
            x = select_regularly(graph, x, [*before, limits])
        return x
    offset = sum(start * stride for (start, _, _), stride in zip(ranges, strides_of(dim, dim)))
    return graph.append(signature, [x.at, offset])


@functools.cache
def _largest_signature(dim: Dim, k: int) -> Signature:
    """Return the signature of the k largest elements, followed by their indices for the backward pass."""
    columns = dim.columns * dim.batch
    return Signature(
        Dim.of((k, *dim.dims[1:]), dim.batch),
        size=2 * k * columns,
        columns=columns,
        views=[View(SELF, stride=k), View(0, stride=dim.rows), View(SELF, k * columns, stride=k)],
        forward=[Step("largest_in_order", (dim.rows, k, 0, 2, 4))],
        backward=[Step("scatter", (k, 3, 1, 4), gradient_of=0)],
    )


def _largest_reference(x, k, d=1):
    order = np.argsort(-x, axis=d, kind="stable").take(range(k), axis=d)
    return np.take_along_axis(x, np.sort(order, axis=d), axis=d)


@recorded(
    reference=_largest_reference,
    samples="1x1 k=1; 5*2 k=3 d=0; 3x7 k=2; 17x5*3 k=4 d=1; 67x3*2 k=33 d=0; 2x3x9*2 k=5 d=2",
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
    return along(lambda x: node(name, _largest_signature(x.type.plain, k), (x,)), x, d)


__all__ = ["kmax_pooling", "select_cols", "select_rows", "strided_select"]
