"""Sparsemax and constrained softmax: probabilities, some of which are exactly 0 or at a bound."""

from __future__ import annotations

from dynet_kernels.families.simplex import Simplex

from ..axes import before_along_after, column_signature
from ..declare import *

KERNELS.add("sparsemax", Simplex("sparsemax"))


def _sparsemax_gradient(y, dy):
    support, total = f.sum(f.where(y > 0, 1, 0)), f.sum(f.where(y > 0, dy, 0))
    return f.where(y > 0, dy - total / support, 0)


KERNELS.add("sparsemax.dx", Rule(("y", "x"), {"dx": _sparsemax_gradient}))


def _sparsemax_reference(x):
    columns = x.reshape(len(x), -1)
    z = -np.sort(-columns, axis=0)
    sums, counts = z.cumsum(0), np.arange(1, len(z) + 1)[:, None]
    support = (1 + counts * z > sums).sum(0)
    threshold = (np.take_along_axis(sums, support[None] - 1, 0) - 1) / support
    return np.maximum(columns - threshold, 0).reshape(x.shape)


@by_dims(
    lambda dim: column_signature("sparsemax", dim, *before_along_after(dim, 0)),
    reference=_sparsemax_reference,
    samples="3; 7*3; 19x4*2; 130*2; 2x3x2; 1",
)
def sparsemax(x: Expression) -> Expression:
    """Turn the scores of each column into the nearest probabilities: y_i = max(0, x_i - t), with t so that y sums to 1.

    Source: Martins and Astudillo, "From softmax to sparsemax", 2016.

    >>> sparsemax(inputVector([0, 0.5, 5])).value()
    [0.0, 0.0, 1.0]
    >>> sparsemax(inputVector([-1, 0.5, 1])).value()
    [0.0, 0.25, 0.75]
    """
    ...


KERNELS.add("constrained_softmax", Simplex("constrained_softmax"))
_VIEWS = ("z", "x", "y")


def _expected(z, y, dz):
    """Return the mean of dz, weighted by z, over a column's elements that are not at their bound; 0 if none are."""
    mass, dot = f.sum(f.where(f.equal(z, y), 0, z)), f.sum(f.where(f.equal(z, y), 0, z * dz))
    return f.where(mass > 0, dot / mass, 0)


KERNELS.add(
    "constrained_softmax.dx",
    Rule(_VIEWS, {"dx": lambda z, y, dz: f.where(f.equal(z, y), 0, z * (dz - _expected(z, y, dz)))}),
)
KERNELS.add(
    "constrained_softmax.dy",
    Rule(_VIEWS, {"dy": lambda z, y, dz: f.where(f.equal(z, y), dz - _expected(z, y, dz), 0)}),
)


def _constrained_signature(*dims: Dim) -> Signature:
    result = matched("constrained_softmax", dims, as_first)
    rows, extents = result.rows, (result.columns, result.batch)
    views = column_views(extents, [(rows, dim.size if dim.batch > 1 else 0) for dim in dims])
    views = [View(SELF, stride=rows), *views]
    return computed("constrained_softmax", result, (rows,), views, math.prod(extents), names=_VIEWS)


def _constrained_reference(x, y):
    shape, x, bounds = x.shape, x.reshape(len(x), -1), y.reshape(len(y), -1)
    result = np.empty_like(x)
    for column in range(x.shape[1]):
        free, mass = np.ones(len(x), bool), 1.0
        while free.any():
            scores = x[free, column]
            shares = np.exp(scores - scores.max())
            shares *= mass / shares.sum()
            result[free, column] = shares
            above = free.copy()
            above[free] = shares > bounds[free, column]
            if not above.any():
                break
            result[above, column] = bounds[above, column]
            free &= ~above
            mass = max(0.0, 1 - bounds[~free, column].sum())
    return result.reshape(shape)


@by_dims(
    _constrained_signature,
    reference=_constrained_reference,
    domain=(0.06, 0.9),
    samples="5 5; 7*3 7; 19x3 19x3*2; 33*2 33*2; 3x2*2 3x2; 3 3x1*2; 3x1x1*2 3; 1 1",
)
def constrained_softmax(x: Expression, y: Expression) -> Expression:
    """Softmax of each column, with an upper bound for each probability: z_i = min(y_i, exp(x_i) / s).

    In each column, the number s is chosen so that the z_i add up to 1. If the bounds y_i add up to less than 1, z is y.
    x has the scores, and y the upper bounds, of the same dimensions.

    Source: Martins and Kreutzer, "Learning what's easy: fully differentiable neural easy-first taggers", 2017.

    >>> constrained_softmax(inputVector([0, 0, 0]), inputVector([0.2, 1, 1])).npvalue().round(4)
    array([0.2, 0.4, 0.4])
    """
    ...


__all__ = ["constrained_softmax", "sparsemax"]
