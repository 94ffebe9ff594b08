"""Sums, dot products, norms and distances: operations that reduce each batch element to one number."""

from __future__ import annotations

from ..declare import *


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
    # The gradient is stated, because automatic derivation would give NaN if all elements are 0.
    gradients={"x": lambda x, y, dy: f.where(f.equal(y, 0), 0, dy * x / y)},
    reference=lambda x: np.atleast_1d(np.sqrt((x * x).sum())),
)
def l2_norm(x: Expression) -> Expression:
    """The Euclidean norm of each batch element, y = sqrt(sum over i of x_i^2). If all x_i are 0, the gradient is 0.

    >>> l2_norm(inputVector([3, 4])).value()
    5.0
    """
    return f.sqrt(f.sum(x * x))


__all__ = ["dot_product", "l2_norm", "squared_distance", "squared_norm", "sum_elems"]
