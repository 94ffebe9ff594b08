"""Ops that make one number of a column, or of a whole element of the batch."""

from __future__ import annotations

import numpy as np

from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_kernels import formula as f
from dynet_kernels.rule import max_over, min_over, sum_over

from .kinds import columnwise
from .operands import checked_dimension, checked_expression
from .shape import transpose


@columnwise(
    reductions={"total": sum_over(lambda x: x)},
    formula=lambda total: total,
    gradients={"x": lambda dy: dy},
    number=True,
    whole=True,
    reference=lambda x: np.atleast_1d(x.sum()),
)
def sum_elems(x: Expression) -> Expression:
    """The sum of all elements of each batch element.

    >>> sum_elems(inputVector([1, 2, 3])).value()
    6.0
    """
    ...


@columnwise(
    reductions={"total": sum_over(lambda x: x * x)},
    formula=lambda total: total,
    gradients={"x": lambda x, dy: 2 * x * dy},
    number=True,
    whole=True,
    reference=lambda x: np.atleast_1d((x * x).sum()),
)
def squared_norm(x: Expression) -> Expression:
    """The sum of the squares of all elements.

    >>> squared_norm(inputVector([1, 2, 3])).value()
    14.0
    """
    ...


@columnwise(
    reductions={"total": sum_over(lambda x, y: x * y)},
    formula=lambda total: total,
    gradients={"x": lambda y, dz: y * dz, "y": lambda x, dz: x * dz},
    number=True,
    whole=True,
    reference=lambda x, y: np.atleast_1d((x * y).sum()),
)
def dot_product(x: Expression, y: Expression) -> Expression:
    """The sum of the products of elements, z = sum over i of x_i y_i.

    >>> dot_product(inputVector([1, 2]), inputVector([3, 4])).value()
    11.0
    """
    ...


@columnwise(
    reductions={"total": sum_over(lambda x, y: (x - y) * (x - y))},
    formula=lambda total: total,
    gradients={"x": lambda x, y, dz: 2 * (x - y) * dz, "y": lambda x, y, dz: 2 * (y - x) * dz},
    number=True,
    whole=True,
    reference=lambda x, y: np.atleast_1d(((x - y) ** 2).sum()),
)
def squared_distance(x: Expression, y: Expression) -> Expression:
    """The squared distance of two expressions, z = sum over i of (x_i - y_i)^2.

    >>> squared_distance(inputVector([1, 2]), inputVector([3, 5])).value()
    13.0
    """
    ...


def _extreme_of_columns(name: str, over, reference):
    """The largest or smallest of each column; the first of equals gets the gradient."""

    def column_extreme(x: Expression) -> Expression: ...

    column_extreme.__name__ = name
    column_extreme.__doc__ = (
        f"The {name.removeprefix('column_')} of each column: {name.removeprefix('column_')}_dim for d = 0."
    )
    return columnwise(
        reductions={"extreme": over(lambda x: x)},
        formula=lambda extreme: extreme,
        gradient_reductions={"first": min_over(lambda x, y: f.where(f.equal(x, y), f.place, float("inf")))},
        gradients={"x": lambda dy, first: f.where(f.equal(f.place, first), dy, 0)},
        number=True,
        reference=reference,
    )(column_extreme)


column_max = _extreme_of_columns("column_max", max_over, lambda x: np.atleast_1d(x.max(0)))
column_min = _extreme_of_columns("column_min", min_over, lambda x: np.atleast_1d(x.min(0)))


def _along(name: str, of_columns, x: Expression, d: int) -> Expression:
    """Bring dimension d to the front and reduce the columns."""
    d = checked_dimension(name, d, checked_expression(name, x).type)
    if d:
        x = transpose(x, [d, *[k for k in range(len(x.type.dims)) if k != d]])
    return of_columns(x)


def max_dim(x: Expression, d: int = 0) -> Expression:
    """The largest element along dimension d, which disappears; the first of equals gets the gradient.

    >>> max_dim(inputTensor([[1, 5], [3, 2]])).value()
    [3.0, 5.0]
    """
    return _along("max_dim", column_max, x, d)


def min_dim(x: Expression, d: int = 0) -> Expression:
    """The smallest element along dimension d, which disappears; the first of equals gets the gradient.

    >>> min_dim(inputTensor([[1, 5], [3, 2]])).value()
    [1.0, 2.0]
    """
    return _along("min_dim", column_min, x, d)


_SAMPLES = [
    Sample([((5,), 1)]),
    Sample([((3, 4), 2)], {"d": 1}),
    Sample([((17, 3), 1)]),
    Sample([((2, 3, 4), 2)], {"d": 1}),
    Sample([((2, 1, 4), 1)], {"d": 2}),
]
register(max_dim, reference=lambda x, d=0: np.atleast_1d(x.max(d)), samples=_SAMPLES)
register(min_dim, reference=lambda x, d=0: np.atleast_1d(x.min(d)), samples=_SAMPLES)

__all__ = ["dot_product", "max_dim", "min_dim", "squared_distance", "squared_norm", "sum_elems"]
