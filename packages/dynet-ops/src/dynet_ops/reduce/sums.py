"""Sums and averages of several expressions; sums over the columns of a matrix and over the batch."""

from __future__ import annotations

from dynet_kernels.families.sums import Sum

from ..copying import TooManyLoops
from ..declare import *
from ..elementwise.extremes import SEVERAL

KERNELS.add("sum", Sum(scaled=False))
KERNELS.add("sum.dx", Rule(("y", "x"), {"dx": lambda dy: dy}))
KERNELS.add("scaled_sum", Sum(scaled=True))
KERNELS.add("scaled_sum.dx", Rule(("y", "x", "n"), {"dx": lambda dy, n: dy * n}, constants=("n",)))


@functools.cache
def _equal_sum_signature(dim: Dim, scaled: bool) -> Signature:
    """Return the signature of sums of any number of operands of one shape.

    If `scaled`, each node stores a number that multiplies the sum: 1 / n for an average.
    """
    kernel = "scaled_sum" if scaled else "sum"
    return Signature(
        dim,
        variadic=True,
        views=[View(SELF), View(EACH, period=1), *number_views(int(scaled))],
        forward=[Step(kernel, (dim.total,))],
        backward=[Step(f"{kernel}.dx", (dim.total,), gradient_of=ANY_OPERAND)],
    )


def _sum_signature(name: str, dims: Sequence[Dim]) -> Signature:
    """Return the signature of a sum of broadcast operands."""
    whole = broadcast(name, dims, as_first)
    extents, target = (*whole.dims, whole.batch), strides_of(whole, whole)
    views, forward, backward = [View(SELF)], [Step("clear", (whole.total,))], []
    for place, dim in enumerate(dims):
        loops = collapsed(list(zip(extents, target, strides_of(dim, whole))))
        role = 2 * (place + 1)
        views.append(View(place))
        forward.append(Step("accumulate", copy_parameters(0, role, loops)))
        backward.append(Step("accumulate", copy_parameters(role + 1, 1, loops, backward=True), gradient_of=place))
    return Signature(whole, views=views, forward=forward, backward=backward)


def _sum_of_any(name: str) -> Callable:
    """Return a function that adds a node: the sum of operands of different shapes."""
    record = many_operands(name, by_plain_dims(lambda *dims: _sum_signature(name, dims)))

    def record_sum(xs: Sequence[Expression]) -> Expression:
        whole = broadcast(name, [x.type for x in xs], as_first)  # called so that its errors have short tracebacks
        try:
            return record(xs)
        except TooManyLoops:
            return record([repeat(x, whole) for x in xs])

    return record_sum


_broadcast_sum, _broadcast_average = _sum_of_any("esum"), _sum_of_any("average")


def _have_one_shape(xs: Sequence[Expression]) -> bool:
    return all(x.type.plain is xs[0].type.plain for x in xs)


_esum = many_operands(
    "esum",
    lambda *dims: _equal_sum_signature(dims[0].plain, False),
    lambda xs: None if _have_one_shape(xs) else _broadcast_sum(xs),
)


_SUM_SAMPLES = [*SEVERAL, *samples("[5x1*2 5]")]


@op(_esum, reference=lined_up(lambda *xs: sum(xs), as_first), samples=_SUM_SAMPLES)
def esum(xs: Iterable[Expression]) -> Expression:
    """The elementwise sum of any number of expressions. Shapes are broadcast.

    The result has as many dimensions as the first expression, or more if another one has further dimensions that are
    larger than 1.

    >>> esum([inputVector([1, 2]), inputVector([3, 4])]).value()
    [4.0, 6.0]
    """
    ...


@recorded(reference=lined_up(lambda *xs: sum(xs) / len(xs), as_first), samples=_SUM_SAMPLES)
def average(xs: Iterable[Expression]) -> Expression:
    """The elementwise average of any number of expressions. Shapes are broadcast.

    >>> average([inputVector([1, 2]), inputVector([3, 4])]).value()
    [2.0, 3.0]
    """
    xs = listed("average", xs)
    graph, scale = graph_of("average", xs), 1.0 / len(xs)
    if not _have_one_shape(xs):
        return _broadcast_average(xs) * scale
    signature = _equal_sum_signature(xs[0].type.plain, True)
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
    rows, columns = dim.rows, dim.columns
    return copy_of(Dim.of((rows,), dim.batch), [(rows, 1, 1), (columns, 0, rows), (dim.batch, rows, dim.size)])


@by_dims(
    _sum_cols_signature,
    reference=lambda x: x.reshape(len(x), -1).sum(1),
    samples="3x5; 17x2*3; 4; 1x6*2",
)
def sum_cols(x: Expression) -> Expression:
    """The sum of the columns of a matrix, y_i = sum over j of x_ij.

    >>> sum_cols(inputTensor([[1, 2], [3, 4]])).value()
    [3.0, 7.0]
    """
    ...


__all__ = ["average", "esum", "sum_batches", "sum_cols"]
