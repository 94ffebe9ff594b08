"""Moments and standard deviations along any dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynet_core.annotations import Dims, Index
from dynet_core.errors import ArgumentError
from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_kernels import formula as f

from ..axes import add_reduction, along_axes, checked_axes, reduced
from ..operands import checked_count, checked_expression
from .dims import AXES_SAMPLES, BATCH_SAMPLES, ELEMENTS_SAMPLES, SUM, elements_along

SMALL = (2, 3, 4)  # orders with a kernel of their own, which multiplies instead of using pow
LARGEST_ORDER = 1 << 24  # larger whole numbers are not all float32


def _power(x, r: int):
    """Return x^r, by multiplication."""
    return x if r == 1 else _power(x, r - 1) * x


def _add_small(order: int) -> None:
    add_reduction(f"moment{order}", lambda x, share: f.sum(_power(x, order)) * share)


for order in SMALL:
    _add_small(order)
add_reduction(
    "moment",
    lambda x, share, r: f.sum(f.power(x, r)) * share,
    lambda x, dy, share, r: f.power(x, r - 1) * (dy * (r * share)),  # simpler than the derivative, which allows r = 0
)


def _moment(name: str, x: Expression, axes: Sequence[int], order: Index, n: int = 0) -> Expression:
    r = checked_count(name, "r", order, 1)
    if r > LARGEST_ORDER:
        raise ArgumentError(f"{name}: r must be at most {LARGEST_ORDER}, got {r}")
    share = 1 / (n or elements_along(x.type, axes))
    if r == 1:
        return reduced(name, "mean", x, axes, [share], following=SUM)
    if r in SMALL:
        return reduced(name, f"moment{r}", x, axes, [share], following=SUM)
    return reduced(name, "moment", x, axes, [share, r], following=SUM)


def moment_dim(x: Expression, d: Dims, r: Index, b: bool = False, n: Index = 0) -> Expression:
    """The moment of order r along any dimensions, y = (1 / n) sum over i of x_i^r.

    Args:
        x: any expression.
        d: the dimensions, which disappear.
        r: the order, from 1 to 2^24.
        b: whether to reduce the batch, too.
        n: the divisor, if some elements are masked by zeros; 0 means the number of elements.

    >>> moment_dim(inputTensor([[1, 2], [3, 4]]), [0], 2, False).value()
    [5.0, 10.0]
    """
    axes = checked_axes("moment_dim", d, b, checked_expression("moment_dim", x).type)
    return _moment("moment_dim", x, axes, r, checked_count("moment_dim", "n", n, 0))


def moment_elems(x: Expression, r: Index) -> Expression:
    """The moment of order r of all elements of each batch element, y = (1 / n) sum over i of x_i^r.

    >>> moment_elems(inputVector([1, 3]), 2).value()
    5.0
    """
    return _moment("moment_elems", x, range(len(checked_expression("moment_elems", x).type.dims)), r)


def moment_batches(x: Expression, r: Index) -> Expression:
    """The moment of order r over the batch. The result has batch size 1.

    >>> moment_batches(inputTensor([[1, 3]], batched=True), 2).value()
    5.0
    """
    return _moment("moment_batches", x, [len(checked_expression("moment_batches", x).type.dims)], r)


def _powers(x, axes, r, n=0):
    return (x**r).sum(axes) / (n or np.prod([x.shape[axis] for axis in axes]))


moment_dim = register(
    moment_dim,
    reference=along_axes(_powers),
    whole_batch=True,
    samples=[
        *[Sample(sample.shapes, {**sample.attributes, "r": 1 + k % 5}) for k, sample in enumerate(AXES_SAMPLES)],
        Sample([((3, 4), 2)], {"d": [0], "r": 2, "n": 5}),
        Sample([((3, 4), 2)], {"d": [0], "r": 3, "b": True, "n": 9}),
    ],
)
moment_elems = register(
    moment_elems,
    reference=lambda x, r: np.atleast_1d((x**r).mean()),
    samples=[Sample(sample.shapes, {"r": 2 + k}) for k, sample in enumerate(ELEMENTS_SAMPLES)],
)
moment_batches = register(
    moment_batches,
    reference=lambda x, r: (x**r).mean(-1, keepdims=True),
    whole_batch=True,
    samples=[Sample(sample.shapes, {"r": 1 + k}) for k, sample in enumerate(BATCH_SAMPLES)],
)

# ------------------------------------------------------------------------------------------- standard deviations


def _deviation_of(x, share, absent):
    """Return the standard deviation; `share` is 1 / n, and `absent` is n minus the number of elements."""
    mean = f.sum(x) * share
    return f.sqrt((f.sum((x - mean) * (x - mean)) + absent * mean * mean) * share)


add_reduction(
    "std",
    _deviation_of,
    # The derivative of the mean cancels. The gradient is 0 if all elements are equal.
    lambda x, y, dy, share: f.where(f.equal(y, 0), 0, dy * share / y) * (x - f.sum(x) * share),
)


def _std(name: str, x: Expression, axes: Sequence[int], n: int = 0) -> Expression:
    count = elements_along(x.type, axes)
    of = n or count
    return reduced(name, "std", x, axes, [1 / of, of - count])


def std_dim(x: Expression, d: Dims = (0,), b: bool = False, n: Index = 0) -> Expression:
    """The standard deviation along any dimensions, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    Args:
        x: any expression.
        d: the dimensions, which disappear.
        b: whether to reduce the batch, too.
        n: the number of elements that count, if others are masked by zeros; 0 means all.

    >>> x = inputTensor([[1, 2], [3, 8]])
    >>> std_dim(x, [0], False).value()
    [1.0, 3.0]
    >>> std_dim(inputVector([1, 3, 0, 0]), [0], False, n=2).value()
    1.0
    """
    axes = checked_axes("std_dim", d, b, checked_expression("std_dim", x).type)
    return _std("std_dim", x, axes, checked_count("std_dim", "n", n, 0))


def std_elems(x: Expression) -> Expression:
    """The standard deviation of all elements of each batch element, y = sqrt((1 / n) sum over i of (x_i - mean)^2).

    If all elements are equal, it is 0, and so is its gradient.

    >>> std_elems(inputVector([1, 3])).value()
    1.0
    """
    return _std("std_elems", x, range(len(checked_expression("std_elems", x).type.dims)))


def std_batches(x: Expression) -> Expression:
    """The standard deviation over the batch, computed as in `std_elems`. The result has batch size 1.

    >>> std_batches(inputTensor([[1, 3]], batched=True)).value()
    1.0
    """
    return _std("std_batches", x, [len(checked_expression("std_batches", x).type.dims)])


def _deviation(x, axes, n=0):
    n = n or np.prod([x.shape[axis] for axis in axes])
    return np.sqrt(np.maximum((x * x).sum(axes) / n - (x.sum(axes) / n) ** 2, 0))


std_dim = register(
    std_dim,
    reference=along_axes(lambda x, axes, n=0: _deviation(x, axes, n) if n else x.std(axes)),
    whole_batch=True,
    samples=[
        *AXES_SAMPLES,
        Sample([((3, 4), 2)], {"d": [0], "n": 5}),
        Sample([((3, 4), 2)], {"d": [0], "b": True, "n": 9}),
    ],
)
std_elems = register(std_elems, reference=lambda x: np.atleast_1d(x.std()), samples=ELEMENTS_SAMPLES)
std_batches = register(
    std_batches, reference=lambda x: x.std(-1, keepdims=True), whole_batch=True, samples=BATCH_SAMPLES
)

__all__ = [
    "moment_batches", "moment_dim", "moment_elems", "std_batches", "std_dim", "std_elems",
]  # fmt: skip
