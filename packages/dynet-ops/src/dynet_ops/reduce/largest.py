"""The largest and smallest elements along a dimension, and `argmax`, which marks the largest."""

from __future__ import annotations

from ..axes import ONE_DIMENSION, Along
from ..declare import *
from ..elementwise.rounding import STRAIGHT_THROUGH, ZERO, checked_gradient_mode


def _to_the_first(x, y, dy):
    """The gradient of a column x: dy for the first element that equals y, 0 for all others."""
    first = f.min(f.where(f.equal(x, y), f.place, float("inf")))
    return f.where(f.equal(f.place, first), dy, 0)


@columnwise(gradients={"x": _to_the_first}, reference=lambda x: np.atleast_1d(x.max(0)))
def column_max(x: Expression) -> Expression:
    """The largest element of each column."""
    return f.max(x)


@columnwise(gradients={"x": _to_the_first}, reference=lambda x: np.atleast_1d(x.min(0)))
def column_min(x: Expression) -> Expression:
    """The smallest element of each column."""
    return f.min(x)


_largest, _smallest = Along(column_max), Along(column_min)


@_largest.op(ONE_DIMENSION)
def max_dim(x: Expression, d: Index = 0) -> Expression:
    """The largest element along dimension d. The result does not have dimension d.

    If several elements are the largest, the first of them gets the gradient.

    >>> max_dim(inputTensor([[1, 5], [3, 2]])).value()
    [3.0, 5.0]
    """
    return _largest.one_dimension("max_dim", x, d)


@_smallest.op(ONE_DIMENSION)
def min_dim(x: Expression, d: Index = 0) -> Expression:
    """The smallest element along dimension d. The result does not have dimension d.

    If several elements are the smallest, the first of them gets the gradient.

    >>> min_dim(inputTensor([[1, 5], [3, 2]])).value()
    [1.0, 2.0]
    """
    return _smallest.one_dimension("min_dim", x, d)


# ------------------------------------------------------------------------- argmax: mark the largest element


def _is_first(x):
    """Return a formula that is 1 at the first of a column's largest elements, else 0. NaN counts as the largest."""
    is_number = x >= float("-inf")
    first = f.min(f.where(is_number, f.where(f.equal(x, f.max(x)), f.place, float("inf")), f.place))
    return f.where(f.equal(f.place, first), 1, 0)


KERNELS.add("argmax", Rule(("y", "x"), {"y": _is_first}))
KERNELS.add("argmax.dx", Rule(("y", "x"), {"dx": lambda dy: dy}))


def _recorder(passes: bool):
    """Return a function that adds an argmax node. If `passes`, x gets the gradient of the result, else none."""

    @by_plain_dims
    def signature_of(dim: Dim) -> Signature:
        views = [View(SELF, stride=dim.rows), View(0, stride=dim.rows)]
        return computed("argmax", dim, (dim.rows,), views, dim.columns * dim.batch, passes=passes)

    return one_operand("argmax", signature_of)


_MODES = {ZERO: _recorder(False), STRAIGHT_THROUGH: _recorder(True)}


def _one_hot(x, gradient_mode):
    columns = x.reshape(len(x), -1)
    return (np.arange(len(x))[:, None] == columns.argmax(0)).astype(float).reshape(x.shape)


@recorded(
    reference=_one_hot,
    differentiable=False,
    samples=[Sample(one.shapes, {"gradient_mode": ZERO}) for one in samples("1; 7; 5x3*2; 130*2")],
)
def argmax(x: Expression, gradient_mode: str) -> Expression:
    """Mark the largest element of each column: 1 there, 0 elsewhere.

    A column is the elements along the first dimension. If several elements are the largest, the first of them is
    marked. NaN counts as larger than all numbers. With the `gradient_mode` "zero_gradient", x gets no gradient; with
    "straight_through_gradient", x gets the gradient of the result unchanged.

    Source: Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons for
    conditional computation", 2013, for "straight_through_gradient".

    >>> argmax(inputVector([1, 3, 2]), "zero_gradient").value()
    [0.0, 1.0, 0.0]
    """
    return _MODES[checked_gradient_mode("argmax", gradient_mode)](x)


__all__ = ["argmax", "max_dim", "min_dim"]
