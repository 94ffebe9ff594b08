"""Sums, norms, means, moments, logsumexp and extremes along dimensions or over the batch."""

from __future__ import annotations

from ..axes import BATCH, DIMENSIONS, ELEMENTS, ONE_DIMENSION, Along
from ..declare import *
from ..elementwise.functions import ZERO_GRADIENT, by_gradient_mode


@columnwise(whole=True, reference=lambda x: np.atleast_1d(x.sum()))
def sum_elems(x: Expression) -> Expression:
    """The sum of all elements of each batch element.

    >>> sum_elems(inputVector([1, 2, 3])).value()
    6.0
    """
    return f.sum(x)


@columnwise(whole=True, reference=lambda x: np.atleast_1d((x * x).sum()))
def squared_norm(x: Expression) -> Expression:
    """The sum of the squares of all elements of each batch element, y = sum over i of x_i^2.

    >>> squared_norm(inputVector([1, 2, 3])).value()
    14.0
    """
    return f.sum(x * x)


@columnwise(whole=True, reference=lambda x, y: np.atleast_1d((x * y).sum()))
def dot_product(x: Expression, y: Expression) -> Expression:
    """The dot product of two expressions of the same shape, z = sum over i of x_i y_i.

    >>> dot_product(inputVector([1, 2]), inputVector([3, 4])).value()
    11.0
    """
    return f.sum(x * y)


@columnwise(whole=True, reference=lambda x, y: np.atleast_1d(((x - y) ** 2).sum()))
def squared_distance(x: Expression, y: Expression) -> Expression:
    """The squared Euclidean distance of two expressions of the same shape, z = sum over i of (x_i - y_i)^2.

    >>> squared_distance(inputVector([1, 2]), inputVector([3, 5])).value()
    13.0
    """
    return f.sum((x - y) * (x - y))


@columnwise(
    whole=True,
    # The gradient is stated, because the derivative would be NaN if all elements are 0.
    gradients={"x": lambda x, y, dy: f.where(f.equal(y, 0), 0, dy * x / y)},
    reference=lambda x: np.atleast_1d(np.sqrt((x * x).sum())),
)
def l2_norm(x: Expression) -> Expression:
    """The Euclidean norm of each batch element, y = sqrt(sum over i of x_i^2). If all x_i are 0, the gradient is 0.

    >>> l2_norm(inputVector([3, 4])).value()
    5.0
    """
    return f.sqrt(f.sum(x * x))


def mean_factor(n: float, element_count: float, *others: float) -> tuple[float]:
    """Return (1 / n,), the `constants` that `Along` needs for a mean. A mean does not use the other arguments."""
    return (1 / n,)


sum_along = Along(sum_elems, parts=sum_elems)


@columnwise(is_op=False, reference=lambda x, n: x.sum() / n)
def mean(x: Expression, share: Number):
    """The mean of a column; `share` is 1 / n."""
    return f.sum(x) * share


mean_along = Along(mean, parts=sum_elems, constants=mean_factor)


@sum_along.op(DIMENSIONS)
def sum_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The sum along any dimensions, y = sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions to sum over, counted from 0. The result does not have them.
        b: whether to also sum over the batch.
        n: ignored. It is accepted, as in DyNet 2.1, because `mean_dim` and others have this argument.

    >>> x = inputTensor([[1, 2], [3, 4]])
    >>> sum_dim(x, [0]).value(), sum_dim(x, [1]).value(), sum_dim(x, [0, 1]).value()
    ([4.0, 6.0], [3.0, 7.0], 10.0)
    """
    return sum_along.dimensions("sum_dim", x, d, b, n)


SAMPLES_WITH_N = samples("3x4*2 d=[0] n=5; 3x4*2 d=[0] b=True n=9")


@mean_along.op(DIMENSIONS, [*DIMENSIONS.samples, *SAMPLES_WITH_N])
def mean_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The mean along any dimensions, y = (1 / n) sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions to average over, counted from 0. The result does not have them.
        b: whether to also average over the batch.
        n: the divisor, if only n elements count and the others are zeros for padding. 0 means the number of elements.

    >>> x = inputTensor([[1, 2], [3, 4]])
    >>> mean_dim(x, [0], False).value(), mean_dim(x, [0], False, n=1).value()
    ([2.0, 3.0], [4.0, 6.0])
    """
    return mean_along.dimensions("mean_dim", x, d, b, n)


@mean_along.op(ELEMENTS)
def mean_elems(x: Expression) -> Expression:
    """The mean of all elements of each batch element.

    >>> mean_elems(inputVector([1, 2, 6])).value()
    3.0
    """
    return mean_along.elements("mean_elems", x)


@mean_along.op(BATCH)
def mean_batches(x: Expression) -> Expression:
    """The mean of the n batch elements x_i, element by element, y = (1 / n) sum over i of x_i. y has batch size 1.

    >>> mean_batches(inputTensor([[1, 2, 6]], batched=True)).value()
    3.0
    """
    return mean_along.over_batch("mean_batches", x)


def squared_differences(x):
    """Return a formula for the sum of (x_i - x_0)^2: 0 if all elements of a column are equal, or if squares underflow.

    Deviations from the mean cannot show this: the mean is rounded, so the deviations of equal elements may be noise,
    which a division by the standard deviation would magnify to 1.
    """
    return f.sum((x - f.first(x)) * (x - f.first(x)))


def finite_or_zero(x):
    """Return x, but 0 where it is infinite or NaN, because infinity - infinity would be NaN."""
    return f.where(f.absolute(x) < float("inf"), x, 0)


@columnwise(
    # The gradient is stated, because the gradient of a formula with `f.max` cannot be derived.
    gradients={"x": lambda x, y, dy: dy * f.exp(x - finite_or_zero(y))},
    reference=lambda x: np.atleast_1d(x.max(0) + np.log(np.exp(x - x.max(0)).sum(0))),
)
def column_logsumexp(x: Expression) -> Expression:
    """The logsumexp of each column, y = log sum over i of exp(x_i)."""
    peak = finite_or_zero(f.max(x))
    return peak + f.log(f.sum(f.exp(x - peak)))


_logsumexp_along = Along(column_logsumexp)


@_logsumexp_along.op(ONE_DIMENSION)
def logsumexp_dim(x: Expression, d: Index = 0) -> Expression:
    """The logarithm of a sum of exponentials along dimension d, y = log sum over i of exp(x_i).

    This adds probabilities that are given as logarithms, without overflow. The result does not have dimension d.

    >>> logsumexp_dim(inputVector([0, 0])).value()
    0.6931471824645996
    """
    return _logsumexp_along.one_dimension("logsumexp_dim", x, d)


SMALL_ORDERS = (2, 3, 4)  # moments of these orders have their own kernels, which multiply instead of using `power`
LARGEST_ORDER = 1 << 24  # float32 cannot represent all whole numbers above this


def _small_moment_along(order: int) -> Along:
    def moment(x: Expression, share: Number):
        return f.sum(x**order) * share

    moment.__name__ = f"moment{order}"
    return Along(columnwise(is_op=False, reference=_moment_reference)(moment), parts=sum_elems, constants=mean_factor)


def _moment_reference(x, n, r):
    return (x**r).sum() / n


_moment_along_by_order = {1: mean_along} | {order: _small_moment_along(order) for order in SMALL_ORDERS}


@columnwise(
    is_op=False,
    # The gradient is stated: the derivative would have code for r = 0, but r is at least 1.
    gradients={"x": lambda x, dy, share, r: f.power(x, r - 1) * (dy * (r * share))},
    reference=_moment_reference,
)
def moment(x: Expression, share: Number, r: Number):
    """The moment of order r of a column; `share` is 1 / n."""
    return f.sum(f.power(x, r)) * share


_moment_along = Along(moment, parts=sum_elems, constants=lambda n, count, r: (1 / n, r))


def _along_for_order(name: str, order: Index) -> tuple[Along, int]:
    """Check the order r. Return the `Along` that computes this moment, and r as an int."""
    r = checked_count(name, "r", order, 1, LARGEST_ORDER)
    return _moment_along_by_order.get(r, _moment_along), r


def _with_orders(samples: Sequence[Sample], first_r: int) -> list[Sample]:  # r is from `first_r` to `first_r` + 4
    return [Sample(sample.shapes, {**sample.attributes, "r": first_r + k % 5}) for k, sample in enumerate(samples)]


@_moment_along.op(DIMENSIONS, [*_with_orders(DIMENSIONS.samples, 1), *_with_orders(SAMPLES_WITH_N, 2)])
def moment_dim(x: Expression, d: Dims, r: Index, b: bool = False, n: Index = 0) -> Expression:
    """The moment of order r along any dimensions, y = (1 / n) sum over i of x_i^r.

    Args:
        x: any expression.
        d: the dimensions to reduce, counted from 0. The result does not have them.
        r: the order, from 1 to 2^24.
        b: whether to also reduce the batch.
        n: the divisor, if only n elements count and the others are zeros for padding. 0 means the number of elements.

    >>> moment_dim(inputTensor([[1, 2], [3, 4]]), [0], 2, False).value()
    [5.0, 10.0]
    """
    along, r = _along_for_order("moment_dim", r)
    return along.dimensions("moment_dim", x, d, b, n, r)


@_moment_along.op(ELEMENTS, _with_orders(ELEMENTS.samples, 2))
def moment_elems(x: Expression, r: Index) -> Expression:
    """The moment of order r of all elements of each batch element, y = (1 / n) sum over i of x_i^r.

    >>> moment_elems(inputVector([1, 3]), 2).value()
    5.0
    """
    along, r = _along_for_order("moment_elems", r)
    return along.elements("moment_elems", x, r)


@_moment_along.op(BATCH, _with_orders(BATCH.samples, 1))
def moment_batches(x: Expression, r: Index) -> Expression:
    """The moment of order r over the n batch elements x_i, y = (1 / n) sum over i of x_i^r. y has batch size 1.

    >>> moment_batches(inputTensor([[1, 3]], batched=True), 2).value()
    5.0
    """
    along, r = _along_for_order("moment_batches", r)
    return along.over_batch("moment_batches", x, r)


# ------------------------------------------------------------------------------------------- standard deviations


def _std_reference(x, n):
    return np.sqrt(((x - x.sum() / n) ** 2).sum() / n + (n - len(x)) / n * (x.sum() / n) ** 2)


# The gradients of `std` and `padded_std` are stated: derived ones would divide by 0 if all elements are equal.


@columnwise(
    is_op=False,
    gradients={"x": lambda x, y, dy, share: f.where(f.equal(y, 0), 0, dy * share / y * (x - f.sum(x) * share))},
    reference=_std_reference,
)
def std(x: Expression, share: Number):
    """The standard deviation of a column; `share` is 1 / n."""
    mean = f.sum(x) * share
    root = f.sqrt(f.sum((x - mean) * (x - mean)) * share)
    return f.where(f.equal(squared_differences(x) * share, 0), 0, root)  # NaN if there are no elements, as `share` is


def _zero_count(x, n_minus_size):
    """Return how many of the n elements that are not padding are 0. All other zeros in x are padding."""
    return f.maximum(f.sum(f.where(f.equal(x, 0), 1, 0)) + n_minus_size, 0)


def _padded_gradient(x, y, dy, share, absent):
    """Return dx; `absent` is n minus the size of x. If `_zero_count` is 0, all zeros are padding, so their dx is 0."""
    is_padding = f.equal(f.absolute(x) + _zero_count(x, absent), 0)
    return f.where(f.equal(y, 0), 0, f.where(is_padding, 0, dy * share / y * (x - f.sum(x) * share)))


@columnwise(is_op=False, gradients={"x": _padded_gradient}, reference=_std_reference)
def padded_std(x: Expression, share: Number, absent: Number):
    """The standard deviation of n elements of a column, whose other elements must be 0. `share` is 1 / n.

    `absent` is n minus the size of the column: negative if there is padding. The zeros among the n elements add mean^2
    each. Summing over all zeros and then subtracting the padding's mean^2 could, by rounding, give a negative number.
    """
    mean = f.sum(x) * share
    squares = f.sum(f.where(f.equal(x, 0), 0, (x - mean) * (x - mean)))
    root = f.sqrt((squares + _zero_count(x, absent) * mean * mean) * share)
    return f.where(f.equal(squared_differences(x) + f.absolute(absent), 0), 0, root)


_std_along = Along(std, constants=mean_factor)
_padded_std_along = Along(padded_std, constants=lambda n, count: (1 / n, n - count))


@_std_along.op(DIMENSIONS, [*DIMENSIONS.samples, *SAMPLES_WITH_N])
def std_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The standard deviation along any dimensions, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    Args:
        x: any expression.
        d: the dimensions to reduce, counted from 0. The result does not have them.
        b: whether to also reduce the batch.
        n: the number of elements that count, if the others are zeros for padding. 0 means that all elements count.

    >>> x = inputTensor([[1, 2], [3, 8]])
    >>> std_dim(x, [0], False).value()
    [1.0, 3.0]
    >>> std_dim(inputVector([1, 3, 0, 0]), [0], False, n=2).value()
    1.0
    """
    along = _std_along if isinstance(n, int) and n == 0 else _padded_std_along
    return along.dimensions("std_dim", x, d, b, n)


@_std_along.op(ELEMENTS)
def std_elems(x: Expression) -> Expression:
    """The standard deviation of all elements of each batch element, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    >>> std_elems(inputVector([1, 3])).value()
    1.0
    """
    return _std_along.elements("std_elems", x)


@_std_along.op(BATCH)
def std_batches(x: Expression) -> Expression:
    """The standard deviation over the n batch elements x_i, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    It is computed element by element, and y has batch size 1. Where all x_i are equal, it is 0, and so is the gradient.

    >>> std_batches(inputTensor([[1, 3]], batched=True)).value()
    1.0
    """
    return _std_along.over_batch("std_batches", x)


def _gradient_to_first(x, y, dy):
    """Return the gradient of a column x: dy for the first element that equals y, 0 for all others."""
    first = f.min(f.where(f.equal(x, y), f.place, float("inf")))
    return f.where(f.equal(f.place, first), dy, 0)


@columnwise(gradients={"x": _gradient_to_first}, reference=lambda x: np.atleast_1d(x.max(0)))
def column_max(x: Expression) -> Expression:
    """The largest element of each column."""
    return f.max(x)


@columnwise(gradients={"x": _gradient_to_first}, reference=lambda x: np.atleast_1d(x.min(0)))
def column_min(x: Expression) -> Expression:
    """The smallest element of each column."""
    return f.min(x)


_max_along, _min_along = Along(column_max), Along(column_min)


@_max_along.op(ONE_DIMENSION)
def max_dim(x: Expression, d: Index = 0) -> Expression:
    """The largest element along dimension d. The result does not have dimension d.

    If several elements are the largest, the first of them gets the gradient.

    >>> max_dim(inputTensor([[1, 5], [3, 2]])).value()
    [3.0, 5.0]
    """
    return _max_along.one_dimension("max_dim", x, d)


@_min_along.op(ONE_DIMENSION)
def min_dim(x: Expression, d: Index = 0) -> Expression:
    """The smallest element along dimension d. The result does not have dimension d.

    If several elements are the smallest, the first of them gets the gradient.

    >>> min_dim(inputTensor([[1, 5], [3, 2]])).value()
    [1.0, 2.0]
    """
    return _min_along.one_dimension("min_dim", x, d)


def _is_first_largest(x):
    """Return a formula that is 1 at the first of a column's largest elements, else 0. NaN counts as the largest."""
    is_number = x >= float("-inf")
    first = f.min(f.where(is_number, f.where(f.equal(x, f.max(x)), f.place, float("inf")), f.place))
    return f.where(f.equal(f.place, first), 1, 0)


add_rules("argmax", "yx", {"y": _is_first_largest, "dx": lambda dy: dy})


def _argmax_signature(dim: Dim, passes_gradient: bool) -> Signature:
    views = [View(SELF, stride=dim.rows), View(0, stride=dim.rows)]
    return computed("argmax", dim, (dim.rows,), views, dim.columns * dim.batch, passes=passes_gradient)


_record_argmax = by_gradient_mode("argmax", _argmax_signature)


def _argmax_reference(x, gradient_mode):
    columns = x.reshape(len(x), -1)
    return (np.arange(len(x))[:, None] == columns.argmax(0)).astype(float).reshape(x.shape)


@recorded(
    reference=_argmax_reference,
    differentiable=False,
    samples=f"1 gradient_mode='{ZERO_GRADIENT}'; 7 gradient_mode='{ZERO_GRADIENT}'; "
    f"5x3*2 gradient_mode='{ZERO_GRADIENT}'; 130*2 gradient_mode='{ZERO_GRADIENT}'",
)
def argmax(x: Expression, gradient_mode: str) -> Expression:
    """Mark the largest element of each column: 1 there, 0 elsewhere.

    A column is the elements along the first dimension. If several elements are the largest, the first of them is
    marked. NaN counts as larger than all numbers.

    With `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", the result's gradient.

    Source: Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons for
    conditional computation", 2013, for "straight_through_gradient".

    >>> argmax(inputVector([1, 3, 2]), "zero_gradient").value()
    [0.0, 1.0, 0.0]
    """
    return _record_argmax(x, gradient_mode)


__all__ = [
    "argmax", "dot_product", "l2_norm", "logsumexp_dim", "max_dim", "mean_batches", "mean_dim", "mean_elems",
    "min_dim", "moment_batches", "moment_dim", "moment_elems", "squared_distance", "squared_norm", "std_batches",
    "std_dim", "std_elems", "sum_dim", "sum_elems",
]  # fmt: skip
