"""Sums, means and logsumexp along dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dynet_core.annotations import Dims, Index
from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_core.record import append, graph_of
from dynet_kernels import formula as f

from ..axes import (
    add_across,
    add_reduction,
    along_axes,
    before_along_after,
    checked_axes,
    column_signature,
    reduced,
    without,
)
from ..operands import checked_count, checked_dimension, checked_expression
from .columns import sum_elems

SUM = sum_elems.__name__
add_across(SUM)
add_reduction("mean", lambda x, share: f.sum(x) * share)


def elements_along(dim, axes: Sequence[int]) -> float:
    """Return how many elements are reduced to one; NaN for none, so that their mean is NaN."""
    return math.prod((*dim.dims, dim.batch)[axis] for axis in axes) or math.nan


def sum_dim(x: Expression, d: Dims = (0,), b: bool = False) -> Expression:
    """The sum along any dimensions, y = sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions, which disappear.
        b: whether to sum over the batch, too.

    >>> x = inputTensor([[1, 2], [3, 4]])
    >>> sum_dim(x, [0]).value(), sum_dim(x, [1]).value(), sum_dim(x, [0, 1]).value()
    ([4.0, 6.0], [3.0, 7.0], 10.0)
    """
    axes = checked_axes("sum_dim", d, b, checked_expression("sum_dim", x).type)
    return reduced("sum_dim", SUM, x, axes, following=SUM)


def _mean(name: str, x: Expression, axes: Sequence[int], n: int = 0) -> Expression:
    return reduced(name, "mean", x, axes, [1 / (n or elements_along(x.type, axes))], following=SUM)


def mean_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The mean along any dimensions, y = (1 / n) sum over i of x_i.

    Args:
        x: any expression.
        d: the dimensions, which disappear.
        b: whether to average over the batch, too.
        n: the divisor, if some elements are masked by zeros; 0 means the number of elements.

    >>> x = inputTensor([[1, 2], [3, 4]])
    >>> mean_dim(x, [0], False).value(), mean_dim(x, [0], False, n=1).value()
    ([2.0, 3.0], [4.0, 6.0])
    """
    axes = checked_axes("mean_dim", d, b, checked_expression("mean_dim", x).type)
    return _mean("mean_dim", x, axes, checked_count("mean_dim", "n", n, 0))


def mean_elems(x: Expression) -> Expression:
    """The mean of all elements of each batch element.

    >>> mean_elems(inputVector([1, 2, 6])).value()
    3.0
    """
    return _mean("mean_elems", x, range(len(checked_expression("mean_elems", x).type.dims)))


def mean_batches(x: Expression) -> Expression:
    """The mean over the batch. The result has batch size 1.

    >>> mean_batches(inputTensor([[1, 2, 6]], batched=True)).value()
    3.0
    """
    return _mean("mean_batches", x, [len(checked_expression("mean_batches", x).type.dims)])


AXES_SAMPLES = [
    Sample([((5,), 1)], {"d": [0]}),
    Sample([((3, 4), 2)], {"d": [1]}),
    Sample([((17, 3), 1)], {"d": [0, 1]}),
    Sample([((19, 5), 2)], {"d": [1], "b": True}),
    Sample([((3, 4), 3)], {"d": [0], "b": True}),
    Sample([((5, 2, 3), 2)], {"d": [0, 2]}),
    Sample([((1, 2, 1), 2)], {"d": [2, 0]}),
    Sample([((2, 3, 2, 3), 2)], {"d": [2, 0], "b": True}),
    Sample([((4, 3), 5)], {"d": [], "b": True}),
]
sum_dim = register(sum_dim, reference=along_axes(lambda x, axes: x.sum(axes)), whole_batch=True, samples=AXES_SAMPLES)
mean_dim = register(
    mean_dim,
    reference=along_axes(lambda x, axes, n=0: x.sum(axes) / (n or math.prod(x.shape[axis] for axis in axes))),
    whole_batch=True,
    samples=[
        *AXES_SAMPLES,
        Sample([((3, 4), 2)], {"d": [0], "n": 5}),
        Sample([((3, 4), 2)], {"d": [0], "b": True, "n": 9}),
    ],
)
ELEMENTS_SAMPLES = [Sample([((1,), 1)]), Sample([((7,), 3)]), Sample([((17, 3), 1)]), Sample([((5, 2, 3), 2)])]
BATCH_SAMPLES = [Sample([((1,), 5)]), Sample([((17,), 1)]), Sample([((5, 3), 4)]), Sample([((33,), 2)])]
mean_elems = register(mean_elems, reference=lambda x: np.atleast_1d(x.mean()), samples=ELEMENTS_SAMPLES)
mean_batches = register(
    mean_batches, reference=lambda x: x.mean(-1, keepdims=True), whole_batch=True, samples=BATCH_SAMPLES
)


# ---------------------------------------------------------------------------------------- one dimension at a time


def one_along(name: str, kernel: str, x: Expression, d: Index) -> Expression:
    """Record a reduction of x along dimension d."""
    d = checked_dimension(name, d, checked_expression(name, x).type)
    dim = x.type.plain
    return append(
        graph_of(name, (x,)), column_signature(kernel, without(dim, [d]), *before_along_after(dim, d)), [x.at]
    )


def _if_finite(x):
    """Return x, or 0 where it is infinite, because infinity minus infinity is NaN."""
    return f.where(f.absolute(x) < float("inf"), x, 0)


def _log_of_exponentials(x):
    peak = _if_finite(f.max(x))
    return peak + f.log(f.sum(f.exp(x - peak)))


# The maximum cancels in the gradient, which is exp(x - y).
add_reduction("logsumexp_dim", _log_of_exponentials, lambda x, y, dy: dy * f.exp(x - _if_finite(y)))


def logsumexp_dim(x: Expression, d: Index = 0) -> Expression:
    """The logarithm of a sum of exponentials along dimension d, which disappears: y = log sum over i of exp(x_i).

    It adds probabilities that are given as logarithms. It does not overflow.

    >>> logsumexp_dim(inputVector([0, 0])).value()
    0.6931471824645996
    """
    return one_along("logsumexp_dim", "logsumexp_dim", x, d)


def _logsumexp(x, d=0):
    peak = x.max(d, keepdims=True)
    return np.atleast_1d((peak + np.log(np.exp(x - peak).sum(d, keepdims=True))).squeeze(d))


ONE_AXIS_SAMPLES = [
    Sample([((5,), 1)]),
    Sample([((3, 4), 2)], {"d": 1}),
    Sample([((17, 3), 1)]),
    Sample([((2, 3, 4), 2)], {"d": 1}),
    Sample([((2, 1, 4), 1)], {"d": 2}),
    Sample([((19, 5), 2)], {"d": 1}),
]
logsumexp_dim = register(logsumexp_dim, reference=_logsumexp, samples=ONE_AXIS_SAMPLES)

__all__ = ["logsumexp_dim", "mean_batches", "mean_dim", "mean_elems", "sum_dim"]
