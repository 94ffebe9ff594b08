"""Sums of several expressions; sums of an expression's columns, neighboring rows or batch elements; running sums."""

from __future__ import annotations

from numpy.lib.stride_tricks import sliding_window_view

from dynet_kernels.families.scan import Scan
from dynet_kernels.families.sums import Sum

from ..axes import before_along_after
from ..copying import TooManyLoops
from ..declare import *
from ..elementwise.arithmetic import LIST_SAMPLES, checked_operands
from ..shape.layout import reshape

KERNELS.add("sum", Sum(scaled=False))
add_rules("sum", "yx", {"dx": lambda dy: dy})
KERNELS.add("scaled_sum", Sum(scaled=True))
add_rules("scaled_sum", "yxn", {"dx": lambda dy, n: dy * n}, constants=("n",))


def _same_shape_sum_signature(dim: Dim, is_scaled: bool) -> Signature:
    """Return the signature of sums of operands of one shape, which are multiplied by a plain number if `is_scaled`."""
    kernel = "scaled_sum" if is_scaled else "sum"
    return Signature(
        dim,
        variadic=True,
        views=[View(SELF), View(EACH, period=1), *number_views(int(is_scaled))],
        forward=[Step(kernel, (dim.total,))],
        backward=[Step(f"{kernel}.dx", (dim.total,), gradient_of=ANY_OPERAND)],
    )


def _broadcast_sum_signature(name: str, dims: Sequence[Dim]) -> Signature:
    whole = broadcast(name, dims, as_first)
    views, forward, backward = [View(SELF)], [Step("clear", (whole.total,))], []
    for operand, dim in enumerate(dims):
        loops = collapsed(repeat_loops(dim, whole))
        role = 2 * (operand + 1)  # of the operand's values; role + 1 is its gradient
        views.append(View(operand))
        forward.append(Step("accumulate", copy_parameters(0, role, loops)))
        backward.append(Step("accumulate", copy_parameters(role + 1, 1, loops, backward=True), gradient_of=operand))
    return Signature(whole, views=views, forward=forward, backward=backward)


def _broadcast_sum_function(name: str) -> Callable:
    """Return a function that adds a node for the sum of operands of different shapes."""
    record = many_operands(name, by_plain_dims(lambda *dims: _broadcast_sum_signature(name, dims)))

    def record_sum(xs: Sequence[Expression]) -> Expression:
        whole = broadcast(name, [x.type for x in xs], as_first)  # called here so that its errors have short tracebacks
        try:
            return record(xs)
        except TooManyLoops:
            return record([repeat(x, whole) for x in xs])

    return record_sum


_broadcast_sum, _broadcast_sum_for_average = _broadcast_sum_function("esum"), _broadcast_sum_function("average")


def _have_same_shape(xs: Sequence[Expression]) -> bool:
    first = xs[0].type.plain
    return all([x.type.plain is first for x in xs])


_scaled_sum_signature = functools.partial(by_sizes(_same_shape_sum_signature), is_scaled=True)
_record_esum = many_operands(
    "esum",
    by_sizes(_same_shape_sum_signature, convert=lambda dims: (dims[0].plain, False)),
    lambda xs: None if _have_same_shape(xs) else _broadcast_sum(xs),
)


_SUM_SAMPLES = [*LIST_SAMPLES, *samples("[5x1*2 5]")]


@op(_record_esum, reference=broadcasting(lambda *xs: sum(xs), as_first), samples=_SUM_SAMPLES)
def esum(xs: Iterable[Expression]) -> Expression:
    """The elementwise sum of any number of expressions. Shapes are broadcast.

    The result has as many dimensions as the first expression, or more if another has further dimensions larger than 1.

    >>> esum([inputVector([1, 2]), inputVector([3, 4])]).value()
    [4.0, 6.0]
    """
    ...


@recorded(reference=broadcasting(lambda *xs: sum(xs) / len(xs), as_first), samples=_SUM_SAMPLES)
def average(xs: Iterable[Expression]) -> Expression:
    """The elementwise average of any number of expressions. Shapes are broadcast.

    >>> average([inputVector([1, 2]), inputVector([3, 4])]).value()
    [2.0, 3.0]
    """
    xs = listed("average", xs)
    graph, scale = graph_of("average", xs), 1.0 / len(xs)
    if not _have_same_shape(xs):
        return _broadcast_sum_for_average(xs) * scale
    signature = _scaled_sum_signature(xs[0].type.plain)
    return graph.append(signature, [len(xs), *[x.at for x in xs], graph.take((scale,))])


@by_dims(
    lambda dim: copy_of(Dim.of(dim.dims), [(dim.size, 1, 1), (dim.batch, 0, dim.size)]),
    reference=lambda x: x.sum(-1, keepdims=True),
    whole_batch=True,
    samples="1*5; 17; 5x3*4; 33*2",
)
def sum_batches(x: Expression) -> Expression:
    """The sum of the batch elements x_i, element by element, y = sum over i of x_i. y has batch size 1.

    >>> sum_batches(inputTensor([[1, 2, 3]], batched=True)).value()
    6.0
    """
    ...


def _sum_cols_signature(dim: Dim) -> Signature:
    rows = dim.rows
    return copy_of(Dim.of((rows,), dim.batch), [(rows, 1, 1), (dim.columns, 0, rows), (dim.batch, rows, dim.size)])


@by_dims(_sum_cols_signature, reference=lambda x: x.reshape(len(x), -1).sum(1), samples="3x5; 17x2*3; 4; 1x6*2")
def sum_cols(x: Expression) -> Expression:
    """The sum of the columns of a matrix, y_i = sum over j of x_ij.

    >>> sum_cols(inputTensor([[1, 2], [3, 4]])).value()
    [3.0, 7.0]
    """
    ...


def _neighbor_sums(name: str, result: Dim, loops: Sequence[Loop], count: int, distance: int) -> Signature:
    """Return the signature of sums of `count` terms, `distance` floats apart. `loops` copy each sum's first term."""
    inner, *outer = loops
    all_loops = collapsed([inner, (count, 0, distance), *outer])
    forward = [Step("copy", copy_parameters(0, 2, collapsed(loops)))]  # view 1 (role 2) starts at the first terms
    if count > 1:
        further_loops = collapsed([inner, (count - 1, 0, distance), *outer])
        forward.append(Step("accumulate", copy_parameters(0, 4, further_loops)))  # view 2, at the second terms
    return Signature(
        result,
        name=name,
        views=[View(SELF), View(0), View(0, offset=distance)],
        forward=forward,
        backward=[Step("accumulate", copy_parameters(3, 1, all_loops, backward=True), gradient_of=0)],
    )


@by_sizes
def _ngram_signature(dim: Dim, width: int) -> Signature:
    rows, columns = dim.rows, dim.columns - width + 1
    outer = (dim.batch, rows * columns, dim.size)
    return _neighbor_sums("kmh_ngram", Dim.of((rows, columns), dim.batch), [(rows * columns, 1, 1), outer], width, rows)


def _ngram_reference(x, v):
    return sliding_window_view(x.reshape(len(x), -1), v, 1).sum(2)


@recorded(reference=_ngram_reference, samples="3x5 v=2; 17x3*2 v=3; 1x4*3 v=1; 5*2 v=1; 2x9*2 v=5")
def kmh_ngram(x: Expression, v: Index) -> Expression:
    """The sum of every v neighboring columns of a matrix, y_ij = sum over k < v of x_i,j+k.

    A matrix of n columns gives n - v + 1 columns; v is from 1 to n.

    >>> kmh_ngram(inputTensor([[1, 2, 3], [4, 5, 6]]), 2).npvalue()
    array([[ 3.,  5.],
           [ 9., 11.]])
    """
    dim = shape_of("kmh_ngram", x)
    width = checked_count("kmh_ngram", "v", v, 1)
    if len(dim.dims) > 2:
        raise ShapeError(f"kmh_ngram: expected a matrix, got {dim!r}")
    if width > dim.columns:
        raise OutOfRangeError(f"kmh_ngram: v = {width} is more than the number of columns of x, which is {dim!r}")
    return node("kmh_ngram", _ngram_signature(dim, width), (x,))


@by_sizes
def _fold_signature(dim: Dim, nrows: int) -> Signature:
    result = Dim.of((dim.rows // nrows, *(dim.dims[1:] or (1,))), dim.batch)
    return _neighbor_sums("fold_rows", result, [(result.total, 1, nrows)], nrows, 1)


@recorded(
    reference=lambda x, nrows=2: x.reshape(len(x) // nrows, nrows, *(x.shape[1:] or (1,))).sum(1),
    samples="4x3; 6x5*3 nrows=3; 2*2; 38x2*2 nrows=1; 14x2x3*2 nrows=7; 1x5*2 nrows=1; 9x1 nrows=3",
)
def fold_rows(x: Expression, nrows: Index = 2) -> Expression:
    """The sum of each group of nrows neighboring rows, y_ij = sum over k < nrows of x_(i nrows + k),j.

    The number of rows of x must be a multiple of nrows.

    >>> fold_rows(inputTensor([[1, 2], [3, 4], [5, 6], [7, 8]])).npvalue()
    array([[ 4.,  6.],
           [12., 14.]])
    """
    dim = shape_of("fold_rows", x)
    nrows = checked_count("fold_rows", "nrows", nrows, 1)
    if dim.rows % nrows:
        raise ShapeError(f"fold_rows: x is {dim!r}: {dim.rows} rows are not a multiple of nrows = {nrows}")
    return node("fold_rows", _fold_signature(dim, nrows), (x,))


KERNELS.add("cumsum", Scan(backward=False))
KERNELS.add("cumsum.dx", Scan(backward=True))


@by_sizes
def _cumsum_signature(dim: Dim, d: int) -> Signature:
    before, size, after = before_along_after(dim, d)
    return Signature(
        dim,
        columns=after,
        views=[View(SELF, stride=before * size), View(0, stride=before * size)],
        forward=[Step("cumsum", (0, 2, size, before))],  # roles: 0 the result, 2 x
        backward=[Step("cumsum.dx", (3, 1, size, before), gradient_of=0)],  # from the result's gradient to that of x
    )


@recorded(
    reference=lambda x, d=0: np.cumsum(x, axis=d) if d < x.ndim else x,
    samples="1; 37*3; 3x4*2 d=1; 19x5 d=1; 2x3x4*2 d=1; 2x3*4 d=0; 3*2 d=1; 2x1x3*2 d=3",
)
def cumsum(x: Expression, d: Index = 0) -> Expression:
    """The running sums along dimension d, y_i = sum over j <= i of x_j. The result has the shape of x.

    If x has n dimensions, d may be from 0 to n. With d = n, x counts as having one more dimension, of size 1, and the
    result is x itself.

    >>> cumsum(inputVector([1, 2, 3])).value()
    [1.0, 3.0, 6.0]
    """
    dim = shape_of("cumsum", x)
    d = whole("cumsum", "an index", d)
    if d == len(dim.dims):
        return x
    return node("cumsum", _cumsum_signature(*shape_along("cumsum", x, d)), (x,))


MOST_LOGSUMEXP_OPERANDS = 4  # of one node; for more operands, `logsumexp` adds several nodes


def _add_logsumexp_kernels(operand_count: int) -> None:  # the kernels of a node with `operand_count` operands
    names = tuple("abcd"[:operand_count])
    xs = [Symbol("input", name) for name in names]
    largest = functools.reduce(f.maximum, xs)
    # The largest term is 1 even if x is infinite, where infinity - infinity would give NaN.
    terms = [f.where(f.equal(x, largest), 1, f.exp(x - largest)) for x in xs]
    sum_of_terms = sum(terms[1:], terms[0])
    value, gradient_over_sum = largest + f.log(sum_of_terms), Symbol("input", "dz") / sum_of_terms
    if operand_count == 2:  # log1p keeps a small second term, which would be lost in a sum with 1
        a, b = xs
        value = f.where(f.equal(a, b), a + float(np.log(2)), largest + f.log1p(f.exp(-f.absolute(a - b))))
    gradients = {"d" + name: Formula((*names, "dz"), gradient_over_sum * term) for name, term in zip(names, terms)}
    KERNELS.add(f"logsumexp.{operand_count}", Rule(("z", *names), {"z": Formula(names, value)}))
    KERNELS.add(f"logsumexp.{operand_count}.backward", Rule(("z", *names), gradients))


for _count in range(2, MOST_LOGSUMEXP_OPERANDS + 1):
    _add_logsumexp_kernels(_count)


@by_sizes
def _logsumexp_signature(dim: Dim, operand_count: int) -> Signature:
    return Signature(
        dim,
        name="logsumexp",
        views=[View(SELF), *map(View, range(operand_count))],
        forward=[Step(f"logsumexp.{operand_count}", (dim.total,))],
        backward=[Step(f"logsumexp.{operand_count}.backward", (dim.total,), gradient_of=ANY_OPERAND)],
    )


@recorded(reference=broadcasting(lambda *xs: functools.reduce(np.logaddexp, xs), shortest), samples=LIST_SAMPLES)
def logsumexp(xs: Iterable[Expression]) -> Expression:
    """The logarithm of the sum of the exponentials of any number of expressions, element by element.

    y = log(sum over j of e^(x_j)), without overflow. Shapes are broadcast; trailing dimensions of size 1 are dropped.

    >>> logsumexp([inputVector([0, 100]), inputVector([0, 100])]).npvalue().round(3)
    array([  0.693, 100.693])
    """
    xs, whole = checked_operands("logsumexp", xs, shortest)
    if any(x.type.total != whole.total for x in xs):
        xs = [repeat(x, whole) for x in xs]
    graph = graph_of("logsumexp", xs)
    while len(xs) > 1:  # in groups, so that the depth grows only with the logarithm of the number of operands
        groups = [xs[k : k + MOST_LOGSUMEXP_OPERANDS] for k in range(0, len(xs), MOST_LOGSUMEXP_OPERANDS)]
        xs = [
            graph.append(_logsumexp_signature(whole, len(group)), [x.at for x in group]) if len(group) > 1 else group[0]
            for group in groups
        ]
    return xs[0] if xs[0].type.plain is whole else reshape(xs[0], whole.dims)


__all__ = ["average", "cumsum", "esum", "fold_rows", "kmh_ngram", "logsumexp", "sum_batches", "sum_cols"]
