"""Sums, means and logsumexp along any dimensions or over the batch."""

from __future__ import annotations

from ..axes import BATCH, DIMENSIONS, ELEMENTS, ONE_DIMENSION, Along
from ..declare import *
from .columns import sum_elems


def share(n: float, count: float, *others: float) -> tuple[float]:
    """Return (1 / n,) for a mean. `Along` calls it with more arguments than a mean needs."""
    return (1 / n,)


total = Along(sum_elems, parts=sum_elems)


@columnwise(is_op=False, reference=lambda x, n: x.sum() / n)
def mean(x: Expression, share: Number):
    """The mean of a column; `share` is 1 / n."""
    return f.sum(x) * share


mean_along = Along(mean, parts=sum_elems, constants=share)


@total.op(DIMENSIONS)
def sum_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The sum along any dimensions, y = sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions to sum over, counted from 0. The result does not have them.
        b: whether to sum over the batch, too.
        n: ignored. `mean_dim` and others have such an argument, and DyNet 2.1 takes it here, too.

    >>> x = inputTensor([[1, 2], [3, 4]])
    >>> sum_dim(x, [0]).value(), sum_dim(x, [1]).value(), sum_dim(x, [0, 1]).value()
    ([4.0, 6.0], [3.0, 7.0], 10.0)
    """
    return total.dimensions("sum_dim", x, d, b, n)


N_SAMPLES = samples("3x4*2 d=[0] n=5; 3x4*2 d=[0] b=True n=9")


@mean_along.op(DIMENSIONS, [*DIMENSIONS.samples, *N_SAMPLES])
def mean_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The mean along any dimensions, y = (1 / n) sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions to average over, counted from 0. The result does not have them.
        b: whether to average over the batch, too.
        n: the number to divide by. Give it if only n elements count and the others are padding with zeros. 0 means the
            number of all elements.

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


def differences(x):
    """Return a formula that is 0 if all elements of a column are equal, or if the squares of differences underflow.

    Deviations from the mean do not tell this. The mean is rounded, so those of equal elements may be noise, which a
    division by the standard deviation would make as large as 1.
    """
    return f.sum((x - f.first(x)) * (x - f.first(x)))


def _if_finite(x):
    """Return x, but 0 where it is infinite or NaN, because infinity - infinity would be NaN."""
    return f.where(f.absolute(x) < float("inf"), x, 0)


@columnwise(
    # The gradient is stated: formulas with a maximum, which is subtracted and added again, cannot be derived.
    gradients={"x": lambda x, y, dy: dy * f.exp(x - _if_finite(y))},
    reference=lambda x: np.atleast_1d(x.max(0) + np.log(np.exp(x - x.max(0)).sum(0))),
)
def column_logsumexp(x: Expression) -> Expression:
    """log(sum over i of exp(x_i)) of each column."""
    peak = _if_finite(f.max(x))
    return peak + f.log(f.sum(f.exp(x - peak)))


_logsumexp = Along(column_logsumexp)


@_logsumexp.op(ONE_DIMENSION)
def logsumexp_dim(x: Expression, d: Index = 0) -> Expression:
    """The logarithm of a sum of exponentials along dimension d, y = log sum over i of exp(x_i).

    This adds probabilities that are given as logarithms, without overflow. The result does not have dimension d.

    >>> logsumexp_dim(inputVector([0, 0])).value()
    0.6931471824645996
    """
    return _logsumexp.one_dimension("logsumexp_dim", x, d)


__all__ = ["logsumexp_dim", "mean_batches", "mean_dim", "mean_elems", "sum_dim"]
