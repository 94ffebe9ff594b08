"""Moments and standard deviations along any dimensions or over the batch."""

from __future__ import annotations

from ..axes import BATCH, DIMENSIONS, ELEMENTS, Along
from ..declare import *
from .columns import sum_elems
from .dims import N_SAMPLES, differences, mean_along, share

SMALL = (2, 3, 4)  # each of these orders has its own kernel, which multiplies instead of computing a general power
LARGEST_ORDER = 1 << 24  # float32 cannot represent all whole numbers above this


def _small_moment(order: int) -> Along:
    def moment(x: Expression, share: Number):
        return f.sum(x**order) * share

    moment.__name__ = f"moment{order}"
    return Along(columnwise(is_op=False, reference=_moment_reference)(moment), parts=sum_elems, constants=share)


def _moment_reference(x, n, r):
    return (x**r).sum() / n


_moments = {1: mean_along} | {order: _small_moment(order) for order in SMALL}


@columnwise(
    is_op=False,
    # The gradient is stated: the derived one has code for r = 0, but r is at least 1.
    gradients={"x": lambda x, dy, share, r: f.power(x, r - 1) * (dy * (r * share))},
    reference=_moment_reference,
)
def moment(x: Expression, share: Number, r: Number):
    """The moment of order r of a column; `share` is 1 / n."""
    return f.sum(f.power(x, r)) * share


_any_moment = Along(moment, parts=sum_elems, constants=lambda n, count, r: (1 / n, r))


def _moment(name: str, order: Index) -> tuple[Along, int]:
    """Check the order r. Return the `Along` that computes this moment, and r as an int."""
    r = checked_count(name, "r", order, 1, LARGEST_ORDER)
    return _moments.get(r, _any_moment), r


@_any_moment.op(
    DIMENSIONS,
    [Sample(one.shapes, {**one.attributes, "r": 1 + k % 5}) for k, one in enumerate(DIMENSIONS.samples)]
    + [Sample(one.shapes, {**one.attributes, "r": 2 + k}) for k, one in enumerate(N_SAMPLES)],
)
def moment_dim(x: Expression, d: Dims, r: Index, b: bool = False, n: Index = 0) -> Expression:
    """The moment of order r along any dimensions, y = (1 / n) sum over i of x_i^r.

    Args:
        x: any expression.
        d: the dimensions to reduce, counted from 0. The result does not have them.
        r: the order, from 1 to 2^24.
        b: whether to reduce the batch, too.
        n: the number to divide by. Give it if only n elements count and the others are padding with zeros. 0 means the
            number of all elements.

    >>> moment_dim(inputTensor([[1, 2], [3, 4]]), [0], 2, False).value()
    [5.0, 10.0]
    """
    along, r = _moment("moment_dim", r)
    return along.dimensions("moment_dim", x, d, b, n, r)


@_any_moment.op(ELEMENTS, [Sample(one.shapes, {"r": 2 + k}) for k, one in enumerate(ELEMENTS.samples)])
def moment_elems(x: Expression, r: Index) -> Expression:
    """The moment of order r of all elements of each batch element, y = (1 / n) sum over i of x_i^r.

    >>> moment_elems(inputVector([1, 3]), 2).value()
    5.0
    """
    along, r = _moment("moment_elems", r)
    return along.elements("moment_elems", x, r)


@_any_moment.op(BATCH, [Sample(one.shapes, {"r": 1 + k}) for k, one in enumerate(BATCH.samples)])
def moment_batches(x: Expression, r: Index) -> Expression:
    """The moment of order r over the n batch elements x_i, y = (1 / n) sum over i of x_i^r. y has batch size 1.

    >>> moment_batches(inputTensor([[1, 3]], batched=True), 2).value()
    5.0
    """
    along, r = _moment("moment_batches", r)
    return along.over_batch("moment_batches", x, r)


# ------------------------------------------------------------------------------------------- standard deviations


def _deviation(x, n):
    return np.sqrt(((x - x.sum() / n) ** 2).sum() / n + (n - len(x)) / n * (x.sum() / n) ** 2)


# Both gradients are stated: derived ones divide by 0 if all elements are equal, and compute terms that add up to 0.


@columnwise(
    is_op=False,
    gradients={"x": lambda x, y, dy, share: f.where(f.equal(y, 0), 0, dy * share / y * (x - f.sum(x) * share))},
    reference=_deviation,
)
def std(x: Expression, share: Number):
    """The standard deviation of a column; `share` is 1 / n."""
    mean = f.sum(x) * share
    root = f.sqrt(f.sum((x - mean) * (x - mean)) * share)
    return f.where(f.equal(differences(x) * share, 0), 0, root)  # of no elements, `share` is infinite, and y is NaN


def _zeros(x, absent):
    """Return how many of the n elements that count are 0. All other zeros are padding."""
    return f.maximum(f.sum(f.where(f.equal(x, 0), 1, 0)) + absent, 0)


def _padded_gradient(x, y, dy, share, absent):
    """The gradient dx. If no zero counts, all zeros are padding, and their dx is 0."""
    is_padding = f.equal(f.absolute(x) + _zeros(x, absent), 0)
    return f.where(f.equal(y, 0), 0, f.where(is_padding, 0, dy * share / y * (x - f.sum(x) * share)))


@columnwise(is_op=False, gradients={"x": _padded_gradient}, reference=_deviation)
def padded_std(x: Expression, share: Number, absent: Number):
    """The standard deviation of n elements of a column, whose other elements must be 0. `share` is 1 / n.

    `absent` is n minus the number of all elements. Zeros are counted: if squares of all zeros were added, and those of
    the padding subtracted again, rounding would leave noise, or a negative sum.
    """
    mean = f.sum(x) * share
    squares = f.sum(f.where(f.equal(x, 0), 0, (x - mean) * (x - mean)))
    root = f.sqrt((squares + _zeros(x, absent) * mean * mean) * share)
    return f.where(f.equal(differences(x) + f.absolute(absent), 0), 0, root)


_std = Along(std, constants=share)
_padded_std = Along(padded_std, constants=lambda n, count: (1 / n, n - count))


@_std.op(DIMENSIONS, [*DIMENSIONS.samples, *N_SAMPLES])
def std_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The standard deviation along any dimensions, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    Args:
        x: any expression.
        d: the dimensions to reduce, counted from 0. The result does not have them.
        b: whether to reduce the batch, too.
        n: the number of elements that count. Give it if the others are padding with zeros. 0 means that all count.

    >>> x = inputTensor([[1, 2], [3, 8]])
    >>> std_dim(x, [0], False).value()
    [1.0, 3.0]
    >>> std_dim(inputVector([1, 3, 0, 0]), [0], False, n=2).value()
    1.0
    """
    along = _std if isinstance(n, int) and n == 0 else _padded_std
    return along.dimensions("std_dim", x, d, b, n)


@_std.op(ELEMENTS)
def std_elems(x: Expression) -> Expression:
    """The standard deviation of all elements of each batch element, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    >>> std_elems(inputVector([1, 3])).value()
    1.0
    """
    return _std.elements("std_elems", x)


@_std.op(BATCH)
def std_batches(x: Expression) -> Expression:
    """The standard deviation over the n batch elements x_i, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    It is computed element by element, and y has batch size 1. Where all x_i are equal, it is 0, and so is the gradient.

    >>> std_batches(inputTensor([[1, 3]], batched=True)).value()
    1.0
    """
    return _std.over_batch("std_batches", x)


__all__ = [
    "moment_batches", "moment_dim", "moment_elems", "std_batches", "std_dim", "std_elems",
]  # fmt: skip
