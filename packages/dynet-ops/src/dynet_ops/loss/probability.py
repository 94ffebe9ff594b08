"""Softmax, sparsemax and their relatives, and the negative log likelihood."""

from __future__ import annotations

from dynet_core.checks import FRACTION, checked_number
from dynet_kernels.families.simplex import Simplex
from dynet_kernels.formula import LARGEST_FLOAT

from ..axes import add_strided_kernels, before_along_after, column_signature
from ..declare import *
from ..input.inputs import inputTensor
from ..reduce.dims import dot_product, squared_norm
from ..shape.layout import nobackprop, reshape


def _softmax_reference(x, d=0):
    e = np.exp(x - x.max(d, keepdims=True))
    return e / e.sum(d, keepdims=True)


@columnwise(
    # The gradient is stated, because formulas with a maximum cannot be derived. The maximum does not affect the result.
    gradients={"x": lambda y, dy: (dy - f.sum(y * dy)) * y},
    name_in_errors="softmax",
    reference=_softmax_reference,
)
def column_softmax(x: Expression) -> Expression:
    """Softmax of each column. The maximum is subtracted to prevent overflow."""
    e = f.exp(x - f.max(x))
    return e * (1 / f.sum(e))


add_strided_kernels("column_softmax")


@recorded(reference=_softmax_reference, samples="7*2; 3x4*2 d=1; 2x3x4 d=1; 17x1 d=1")
def softmax(x: Expression, d: Index = 0) -> Expression:
    """Softmax along a dimension, y_i = exp(x_i) / sum over j of exp(x_j).

    With d = 0, each column becomes a probability distribution.

    >>> softmax(inputVector([0, 0])).value()
    [0.5, 0.5]
    >>> softmax(inputTensor([[0, 0], [1, 1]]), d=1).npvalue()
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    if d.__class__ is int and d == 0:
        return column_softmax(x)
    dim, d = shape_along("softmax", x, d)
    return node("softmax", column_signature("column_softmax", dim, *before_along_after(dim, d)), (x,))


def _unless_left_out(y, value):
    """Return 0 where the log softmax y is -inf, because `restrict` leaves the element out, else `value`."""
    return f.where(y < -LARGEST_FLOAT, 0, value)


def _log_softmax_gradient(y, dy):
    return _unless_left_out(y, dy - f.exp(y) * f.sum(_unless_left_out(y, dy)))


def _log_probabilities(x):
    peak = f.max(x)
    return x - peak - f.log(f.sum(f.exp(x - peak)))


@columnwise(
    gradients={"x": _log_softmax_gradient},
    name_in_errors="log_softmax",
    reference=lambda x: np.log(_softmax_reference(x)),
)
def column_log_softmax(x: Expression) -> Expression:
    """Return the logarithm of the softmax of each column."""
    return _log_probabilities(x)


@elementwise(reference=lambda x, mask: np.where(mask < 0, mask, x))
def masked(x: Expression, mask: Expression) -> Expression:
    """Return the mask where it is negative, such as -inf, even if x is NaN there, and x elsewhere.

    >>> masked(inputVector([1, 2, 3]), inputVector([0, -9, 0])).value()
    [1.0, -9.0, 3.0]
    """
    return f.where(mask < 0, mask, x)


@recorded(reference=lambda x: np.log(_softmax_reference(x)), samples="7*2; 3x4*2; 1; 33x2")
def log_softmax(x: Expression, restrict: Iterable[Index] | None = None) -> Expression:
    """The logarithm of the softmax of each column, y_i = x_i - log sum over j of exp(x_j).

    `restrict` has the indices of the elements to use in every column; None means all. Elsewhere, the result is -inf.

    >>> log_softmax(inputVector([0, 0])).npvalue().round(4)
    array([-0.6931, -0.6931])
    >>> log_softmax(inputVector([0, 5, 0]), restrict=[0, 2]).npvalue().round(4)
    array([-0.6931,    -inf, -0.6931])
    """
    if restrict is None:
        return column_log_softmax(x)
    graph_of("log_softmax", (x,))
    rows = x.type.rows
    indices = checked_indices("log_softmax", restrict, rows, x.type)
    mask = np.full((rows, *[1] * (len(x.type.dims) - 1)), -np.inf, np.float32)
    mask[indices] = 0
    return column_log_softmax(masked(x, inputTensor(mask)))


_LIKELIHOOD_NUMBER_VIEWS = ("y", "picked", "peak", "total")
_LIKELIHOOD_VIEWS = ("y", "x", *_LIKELIHOOD_NUMBER_VIEWS[1:])


def _negative_log_likelihood(x, picked):
    """Return the loss of the score `picked` and two terms for its gradient, which rounding may remove from the loss."""
    peak = f.max(x)
    log_of_sum = f.log(f.sum(f.exp(x - peak)))
    return {"y": peak - picked + log_of_sum, "peak": peak, "total": log_of_sum}


KERNELS.add("pickneglogsoftmax", Rule(_LIKELIHOOD_VIEWS, _negative_log_likelihood, numbers=_LIKELIHOOD_NUMBER_VIEWS))
add_rules(
    "pickneglogsoftmax",
    _LIKELIHOOD_VIEWS,
    {"dx": lambda x, peak, total, dy: dy * f.exp(x - peak - total), "dpicked": lambda dy: -dy},
    numbers=_LIKELIHOOD_NUMBER_VIEWS,
)


@by_sizes
def _likelihood_signature(dim: Dim, has_index_per_vector: bool) -> Signature:
    if dim.columns != 1:
        raise ShapeError(f"pickneglogsoftmax: expected a vector of scores, got {dim!r}")
    size, batch = dim.size, dim.batch
    return Signature(
        Dim.of((1,), batch),
        size=3 * batch,
        hidden=2 * batch,
        columns=batch,
        views=[
            View(SELF, stride=1),
            View(0, stride=size),
            View(0, stride=size, index=0, index_step=int(has_index_per_vector), scale=1),
            View(SELF, offset=batch, stride=1),
            View(SELF, offset=2 * batch, stride=1),
        ],
        forward=[Step("pickneglogsoftmax", (size,))],
        backward=[
            Step("pickneglogsoftmax.dx", (size,), gradient_of=0),
            Step("pickneglogsoftmax.dpicked", (1,), gradient_of=0),
        ],
    )


def _likelihood_reference(x, v):
    return np.atleast_1d(np.log(np.exp(x - x.max()).sum()) + x.max() - x[v])


@recorded("index", reference=_likelihood_reference, samples="5 v=3; 17*4 v=0; 1*2 v=0; 130 v=129")
def pickneglogsoftmax(x: Expression, v: Index) -> Expression:
    """The negative log likelihood of a choice, y = -log softmax(x)_v.

    Args:
        x: scores, a vector, with any batch size.
        v: the index of the right choice, the same in all batch elements, or a list as in `pickneglogsoftmax_batch`.
            If x is a matrix (scores, n), a list with an index for each column.

    Raises:
        OutOfRangeError: v is not an index of x.

    Returns:
        One number for each batch element; for a matrix, a vector with the loss of each column.

    >>> pickneglogsoftmax(inputVector([0, 0]), 1).value()
    0.6931471824645996
    >>> pickneglogsoftmax(inputTensor([[0, 1], [0, 0]]), [1, 0]).npvalue().round(4)
    array([0.6931, 0.3133])
    """
    dim = shape_of("pickneglogsoftmax", x)
    if dim.columns > 1 and dim.batch == 1 and nesting(v) == 1:
        rows, columns = dim.rows, dim.columns
        indices = checked_indices("pickneglogsoftmax", v, rows, dim)  # type: ignore[arg-type]
        if len(indices) != columns:
            raise ShapeError(
                f"pickneglogsoftmax: {len(indices)} indices, but x is {dim!r}, which has {columns} columns"
            )
        return reshape(_record_losses("pickneglogsoftmax", reshape(x, (rows,), columns), indices), dim.dims[1:])
    signature = _likelihood_signature(dim, False)
    remember(pickneglogsoftmax, (x.type,), signature, dim.size)
    if nesting(v) == 1:
        return _record_losses("pickneglogsoftmax", x, v)  # type: ignore[arg-type]  # a list
    v = checked_index("pickneglogsoftmax", v)
    if not 0 <= v < dim.size:
        raise OutOfRangeError(f"pickneglogsoftmax: index {v} is out of range for x, which is {dim!r}")
    return node("pickneglogsoftmax", signature, (x,), (v,))


@recorded(
    "indices",
    reference=lambda x, vs: np.stack([_likelihood_reference(x[:, b], v) for b, v in enumerate(vs)], axis=-1),
    whole_batch=True,
    samples="5*3 vs=[3,0,3]; 17 vs=[16]; 1*2 vs=[0,0]; 33*2 vs=[32,1]",
)
def pickneglogsoftmax_batch(x: Expression, vs: Iterable[Index]) -> Expression:
    """The negative log likelihoods of a batch of choices, as in `pickneglogsoftmax`: vs[b] is for batch element b.

    If x has no batch, its scores are used with each index in `vs`. The result is a batch with a loss for each index.

    >>> pickneglogsoftmax_batch(inputTensor([[0, 1], [0, 0]], batched=True), [1, 0]).npvalue().round(4)
    array([[0.6931, 0.3133]])
    """
    return _record_losses("pickneglogsoftmax_batch", x, vs)


def _record_losses(name: str, x: Expression, vs: Iterable[Index]) -> Expression:
    dim = shape_of(name, x)
    indices = checked_indices(name, vs, dim.size, dim)
    x = for_each_index(name, x, len(indices))
    signature = _likelihood_signature(x.type.plain, True)
    remember(pickneglogsoftmax_batch, (x.type, len(indices)), signature, dim.size)
    return node(name, signature, (x,), indices)


def _smoothed(y, smoothing):
    return y * (1 - smoothing) + f.sum(y) * smoothing / f.sum(1.0)


def _times(target, x):
    """Return the product, 0 where the target is 0 even if x is -inf."""
    return f.where(f.equal(target, 0), 0, target * x)


def _cross_entropy_reference(x, y, smoothing=0.0):
    targets = (1 - smoothing) * y + smoothing * y.mean(0)
    return np.atleast_1d(-(targets * np.log(_softmax_reference(x))).sum(0))


@columnwise(
    gradients={
        "x": lambda x, y, smoothing, dz: (f.exp(_log_probabilities(x)) * f.sum(y) - _smoothed(y, smoothing)) * dz,
        "y": lambda x, smoothing, dz: -_smoothed(_log_probabilities(x), smoothing) * dz,
    },
    name_in_errors="cross_entropy",
    domain=(0.05, 0.95),
    reference=_cross_entropy_reference,
)
def column_cross_entropy(x: Expression, y: Expression, smoothing: Number) -> Expression:
    """The cross entropy of each column."""
    peak = f.max(x)
    return f.sum(y) * f.log(f.sum(f.exp(x - peak))) - f.sum(_times(_smoothed(y, smoothing), x - peak))


@recorded(
    reference=_cross_entropy_reference,
    domain=(0.05, 0.95),
    samples="5 5; 7*3 7 smoothing=0.1; 17x4 17x4; 3x2x5*2 3x2x5*2 smoothing=0.5; 1 1; 130*2 130*2 smoothing=0.01",
)
def cross_entropy(x: Expression, y: Expression, smoothing: Number = 0.0) -> Expression:
    """The cross entropy of target probabilities and scores, z = -sum over i of y_i log softmax(x)_i, for each column.

    Label smoothing replaces a column of n targets by (1 - smoothing) y_i + smoothing / n (sum over j of y_j).
    `pickneglogsoftmax` is faster if each target is one choice.

    Args:
        x: scores; each column is one decision.
        y: the targets, of the same dimensions: probabilities that add up to 1 in each column.
        smoothing: the share of the targets that is spread evenly, in [0, 1).

    Raises:
        ShapeError: the dimensions differ.
        ArgumentError: the smoothing is out of its range.

    Source: Szegedy and others, "Rethinking the Inception architecture for computer vision", 2016.

    >>> cross_entropy(inputVector([0, 0]), inputVector([0.5, 0.5])).value()
    0.6931471824645996
    >>> cross_entropy(inputVector([2, 0]), one_hot(2, 0), smoothing=0.1).npvalue().round(4)
    array([0.2269])
    """
    graph_of("cross_entropy", (x, y))
    return column_cross_entropy(x, y, checked_number("cross_entropy: smoothing", smoothing, FRACTION))


KERNELS.add("sparsemax", Simplex("sparsemax"))


def _sparsemax_gradient(y, dy):
    support, sum_of_dy = f.sum(f.where(y > 0, 1, 0)), f.sum(f.where(y > 0, dy, 0))
    return f.where(y > 0, dy - sum_of_dy / support, 0)


add_rules("sparsemax", "yx", {"dx": _sparsemax_gradient})


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


def _sparsemax_loss_reference(x, v):
    target, p = np.zeros_like(x), _sparsemax_reference(x)
    target[v] = 1 / len(v)
    return np.atleast_1d(((p - target) * x).sum() - (p * p).sum() / 2 + 1 / len(v) / 2)


@recorded(reference=_sparsemax_loss_reference, samples="5 v=[3]; 7*3 v=[0,6]; 19*2 v=[18,3,2]; 1 v=[0]")
def sparsemax_loss(x: Expression, v: Iterable[Index]) -> Expression:
    """The loss of `sparsemax`, whose gradient is sparsemax(x) - q; q is the even distribution over the right choices.

    z = (p - q) x - (|p|^2 - |q|^2) / 2, where p = sparsemax(x). It is 0 if the right choices lead by enough.

    Args:
        x: scores, a vector, with any batch size.
        v: the indices of the right choices, one or more, without repetition.

    Raises:
        ShapeError: x is no vector.
        ArgumentError: v is empty, or an index is repeated.
        OutOfRangeError: an index is out of range.

    Source: Martins and Astudillo, "From softmax to sparsemax", 2016.

    >>> sparsemax_loss(inputVector([0, 0.5, 1]), [2]).value()
    0.0625
    """
    dim = shape_of("sparsemax_loss", x)
    if dim.columns != 1:
        raise ShapeError(f"sparsemax_loss: expected a vector of scores, got {dim!r}")
    indices = checked_indices("sparsemax_loss", v, dim.rows, dim)
    if not indices or len(set(indices)) != len(indices):
        raise ArgumentError(f"sparsemax_loss: v needs one or more different indices, not {indices}")
    target = np.zeros(dim.dims, np.float32)
    target[indices] = 1 / len(indices)
    p = nobackprop(sparsemax(x))  # p is the best for x, so its change does not change the loss
    return dot_product(p - inputTensor(target), x) - squared_norm(p) * 0.5 + 0.5 / len(indices)


KERNELS.add("constrained_softmax", Simplex("constrained_softmax"))


def _mean_gradient_below_bounds(z, y, dz):
    """Return the mean of dz, weighted by z, over a column's elements that are below their bounds; 0 if none is."""
    mass, dot = f.sum(f.where(f.equal(z, y), 0, z)), f.sum(f.where(f.equal(z, y), 0, z * dz))
    return f.where(mass > 0, dot / mass, 0)


add_rules(
    "constrained_softmax",
    "zxy",
    {
        "dx": lambda z, y, dz: f.where(f.equal(z, y), 0, z * (dz - _mean_gradient_below_bounds(z, y, dz))),
        "dy": lambda z, y, dz: f.where(f.equal(z, y), dz - _mean_gradient_below_bounds(z, y, dz), 0),
    },
)


def _constrained_signature(*dims: Dim) -> Signature:
    result = matched("constrained_softmax", dims, as_first)
    rows, extents = result.rows, (result.columns, result.batch)
    views = [View(SELF, stride=rows), *column_views(extents, [(rows, batch_stride(dim)) for dim in dims])]
    return computed("constrained_softmax", result, (rows,), views, math.prod(extents), names="zxy")


def _constrained_reference(x, y):
    shape, x, bounds = x.shape, x.reshape(len(x), -1), y.reshape(len(y), -1)
    result = np.empty_like(x)
    for column in range(x.shape[1]):
        is_free, mass = np.ones(len(x), bool), 1.0
        while is_free.any():
            scores = x[is_free, column]
            shares = np.exp(scores - scores.max())
            shares *= mass / shares.sum()
            result[is_free, column] = shares
            is_above = is_free.copy()
            is_above[is_free] = shares > bounds[is_free, column]
            if not is_above.any():
                break
            result[is_above, column] = bounds[is_above, column]
            is_free &= ~is_above
            mass = max(0.0, 1 - bounds[~is_free, column].sum())
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


__all__ = [
    "constrained_softmax", "cross_entropy", "log_softmax", "pickneglogsoftmax", "pickneglogsoftmax_batch", "softmax",
    "sparsemax", "sparsemax_loss",
]  # fmt: skip
