"""Distances, and the log, ranking, Poisson and hinge losses."""

from __future__ import annotations

from dynet_kernels.formula import SMALLEST_NORMAL
from dynet_kernels.layout import NOWHERE

from ..declare import *
from ..shape.layout import transpose

SPACING_BELOW_ONE = 2.0**-24  # the distance of adjacent float32 values just below 1


@columnwise(whole=True, reference=lambda x, y: np.atleast_1d(np.abs(x - y).sum()))
def l1_distance(x: Expression, y: Expression) -> Expression:
    """The L1 distance of two expressions, z = sum over i of |x_i - y_i|. Where x_i = y_i, the gradient is 0.

    >>> l1_distance(inputVector([1, 2]), inputVector([3, 1])).value()
    3.0
    """
    return f.sum(f.absolute(x - y))


def _huber_reference(x, y, c=1.345):
    d = np.abs(x - y)
    return np.atleast_1d(np.where(d <= c, d * d / 2, c * d - c * c / 2).sum())


@columnwise(
    whole=True,
    above={"c": 0},
    gradients={  # stated, because clipping a difference is cheaper than the derivatives of both branches
        "x": lambda x, y, c, dz: dz * f.maximum(-c, f.minimum(c, x - y)),
        "y": lambda x, y, c, dz: dz * f.maximum(-c, f.minimum(c, y - x)),
    },
    reference=_huber_reference,
    samples=[*TWO, *samples("9x2*2 9x2 c=0.3; 3 3 c=100")],
)
def huber_distance(x: Expression, y: Expression, c: Number = 1.345) -> Expression:
    """The Huber distance, z = sum over i of L(x_i - y_i), of two expressions of the same dimensions.

    L(d) is d^2 / 2 for |d| <= c, and c |d| - c^2 / 2 for larger |d|. c must be above 0.

    Source: Huber, "Robust estimation of a location parameter", 1964.

    >>> huber_distance(inputVector([0, 0]), inputVector([1, 3]), c=1.0).value()
    3.0
    """
    distance = f.absolute(x - y)
    return f.sum(f.where(distance <= c, 0.5 * distance * distance, c * (distance - 0.5 * c)))


def _without_zeros(x):
    """Return x, but `SMALLEST_NORMAL` where x is 0, so that the logarithm is finite."""
    return f.where(f.equal(x, 0), SMALLEST_NORMAL, x)


def _at_least(x, least):
    return f.where(f.absolute(x) < least, least, x)


def _logarithms(x):
    """Return log(x) and log(1 - x), with `SMALLEST_NORMAL` in place of 0.

    `rest` is 1 - x rounded; adding the rounding error, (1 - rest) - x, makes log(1 - x) precise near 0. log1p(-x) would
    also divide this error by `rest`. That takes longer, and in [0, 1] changes less than the last digit.
    """
    rest = 1 - x
    return f.log(_without_zeros(x)), f.log(_without_zeros(rest)) + ((1 - rest) - x)


def _gradient_of_target(x, dz):
    log_x, log_of_rest = _logarithms(x)
    return dz * (log_of_rest - log_x)


def _binary_log_loss_reference(x, y):
    return np.atleast_1d(-(y * np.log(x) + (1 - y) * np.log(1 - x)).sum())


@columnwise(
    whole=True,
    gradients={  # stated, because derivatives would be 0 where a constant replaces x, 1 - x, or a term of weight 0
        "x": lambda x, y, dz: dz * ((1 - y) / _at_least(1 - x, SPACING_BELOW_ONE) - y / _at_least(x, SMALLEST_NORMAL)),
        "y": _gradient_of_target,
    },
    domain=(0.05, 0.95),
    reference=_binary_log_loss_reference,
)
def binary_log_loss(x: Expression, y: Expression) -> Expression:
    """The log loss (cross entropy) of binary decisions, z = -sum over i of (y_i log x_i + (1 - y_i) log(1 - x_i)).

    If x or 1 - x is exactly 0, it counts as the smallest normal float32, about 1.2e-38, so the loss is finite. A
    logarithm whose factor is 0 is ignored: if y is 1, x may exceed 1 slightly by rounding. In the gradient, 1 - x
    counts as at least 6e-8, the spacing of float32 values near 1, and x as at least 1.2e-38. The gradient of `logistic`
    has the same bound for x, so if x = logistic(a), y is 1 and a is very negative, the gradient of a is -1.

    Args:
        x: predicted probabilities, for example from `logistic`.
        y: the true values (0 or 1) or probabilities, of the same dimensions as x.

    >>> binary_log_loss(inputVector([0.5, 0.5]), inputVector([1, 0])).value()
    1.3862943649291992
    """
    log_x, log_of_rest = _logarithms(x)
    return f.sum(f.where(f.equal(y, 1), 0, (y - 1) * log_of_rest) - f.where(f.equal(y, 0), 0, y * log_x))


@columnwise(
    whole=True,
    gradients={"x": lambda x, y, dz: (f.logistic(x) - y) * dz},
    reference=lambda x, y: np.atleast_1d((np.logaddexp(0, x) - x * y).sum()),
)
def binary_log_loss_of_logits(x: Expression, y: Expression) -> Expression:
    """The log loss of binary decisions from scores, z = sum over i of (log(1 + exp(x_i)) - x_i y_i).

    It equals `binary_log_loss(logistic(x), y)`, but is exact for large scores, and its gradient never vanishes.

    Args:
        x: scores (logits), the arguments of `logistic`.
        y: the true values (0 or 1) or probabilities, of the same dimensions as x.

    Raises:
        ShapeError: the dimensions differ.

    >>> binary_log_loss_of_logits(inputVector([0, 100]), inputVector([1, 0])).value()
    100.69314575195312
    """
    return f.sum(f.maximum(x, 0) + f.log1p(f.exp(-f.absolute(x))) - x * y)


@elementwise(reference=lambda x, y, m=1.0: np.maximum(m - x + y, 0))
def pairwise_rank_loss(x: Expression, y: Expression, m: Number = 1.0) -> Expression:
    """The ranking loss of pairs of scores, z_i = max(0, m - x_i + y_i); dimensions of size 1 are broadcast.

    x has scores that should be high, y scores that should be low. z_i is 0 if x_i exceeds y_i by at least the margin m.

    >>> pairwise_rank_loss(inputVector([1, 3]), inputVector([1, 1])).value()
    [1.0, 0.0]
    """
    return f.maximum(y - x + m, 0)


_poisson_formula = Formula.of(lambda x, count, log_factorial: f.exp(x) - count * x + log_factorial)
derive_rules("poisson_loss", _poisson_formula, "x", ("count", "log_factorial"))


@by_sizes
def _poisson_signature(dim: Dim, length: int) -> Signature:
    """Return the signature of Poisson losses for `length` counts, either one for all batch elements or one for each."""
    size = dim.batch if length == 1 else 1
    views = [View(SELF, stride=size), View(0, stride=size if dim.batch > 1 else 0)]
    views += [View(NOWHERE, index=start, index_step=int(length > 1), scale=1) for start in (0, length)]
    return computed("poisson_loss", Dim.of(dim.dims, max(dim.batch, length)), (size,), views, length)


def _poisson_reference(x, y):
    logs = np.array([math.lgamma(count + 1) for count in np.atleast_1d(y)])
    return np.exp(x) - np.atleast_1d(y) * x + logs


@recorded(
    reference=_poisson_reference,
    whole_batch=True,
    samples="1 y=0; 1 y=3.5; 1*19 y=4; 1*3 y=[2,0,7]; 1 y=[2,0,7]; 1x1*2 y=3",
)
@also_called(log_lambda="x", x="y")
def poisson_loss(x: Expression, y: Numbers) -> Expression:
    """The negative log probability of a count under a Poisson distribution, z = exp(x) - y x + log(y!).

    Args:
        x: the logarithm of the distribution's rate, a single number.
        y: the count, at least 0: one number for all batch elements, or a list with one for each. A count need not be a
            whole number: y! is the gamma function of y + 1.

    DyNet 2.1 calls the arguments `log_lambda` and x: `poisson_loss(log_lambda=l, x=2)` also works here.

    >>> poisson_loss(scalarInput(0), 2).value()
    1.6931471824645996
    """
    counts = [finite("poisson_loss", "y", count) for count in (y if nesting(y) else (y,))]  # type: ignore
    if not counts:
        raise ArgumentError("poisson_loss: no counts: y is empty")
    if min(counts) < 0:
        raise ArgumentError(f"poisson_loss: y must be at least 0, got {min(counts)}")
    dim = shape_of("poisson_loss", x)
    if dim.size != 1:
        raise ShapeError(f"poisson_loss: x must be a single number, it is {dim!r}")
    if len(counts) > 1 and dim.batch not in (1, len(counts)):
        raise ShapeError(f"poisson_loss: {len(counts)} counts for a batch of {dim.batch}")
    numbers = [*counts, *[math.lgamma(count + 1) for count in counts]]
    return node("poisson_loss", _poisson_signature(dim, len(counts)), (x,), numbers=numbers)


_HINGE_VIEWS = ("y", "x", "picked", "m")
_HINGE_RULE_ARGUMENTS = {"numbers": ("y", "picked"), "constants": ("m",)}


def _hinge_loss(x, picked, m):
    """Return the sum of all terms of the hinge loss, except that of the right choice's score, `picked`."""
    difference = f.where(f.equal(x, picked), 0, x - picked)  # equal infinities differ by 0, not by NaN
    return {"y": f.sum(f.maximum(difference + m, 0)) - f.maximum(m, 0)}


def _hinge_gradients(x, picked, m, dy):
    is_too_high = x - picked + m > 0
    return {"dx": f.where(is_too_high, dy, 0), "dpicked": -dy * f.sum(f.where(is_too_high, 1, 0))}


KERNELS.add("hinge", Rule(_HINGE_VIEWS, _hinge_loss, **_HINGE_RULE_ARGUMENTS))
KERNELS.add("hinge.dx", Rule(_HINGE_VIEWS, _hinge_gradients, **_HINGE_RULE_ARGUMENTS))


@by_sizes
def _hinge_signature(result: Dim, size: int, is_shared: bool, choice_count: int) -> Signature:
    """Return the signature of nodes that compute a hinge loss for each column of `size` scores.

    If `is_shared`, all losses read the same column. A node stores `choice_count` right choices: 1, or one per loss.
    """
    stride = 0 if is_shared else size
    picked = View(0, stride=stride, index=1, index_step=int(choice_count > 1), scale=1)
    views = [View(SELF, stride=1), View(0, stride=stride), picked, *number_views(1)]
    return computed("hinge", result, (size,), views, result.total, name="hinge")


def _record_hinge(name: str, x: Expression, result: Dim, size: int, choices: Sequence[int], m: Number) -> Expression:
    is_shared = x.type.total == size and result.total > 1
    return node(name, _hinge_signature(result, size, is_shared, len(choices)), (x,), choices, (finite(name, "m", m),))


def _record_hinge_losses(name: str, x: Expression, vs: Iterable[Index], m: Number, one_per_vector: bool) -> Expression:
    """Record the loss of each vector of scores. `vs` has one choice for all or, if `one_per_vector`, one per vector."""
    dim = shape_of(name, x)
    if dim.columns != 1:
        raise ShapeError(f"{name}: expected a vector of scores, got {dim!r}")
    choices = checked_indices(name, vs, dim.size, dim)
    batch = len(choices) if one_per_vector else dim.batch
    if dim.batch not in (1, batch):
        raise ShapeError(f"{name}: {batch} indices for a batch of {dim.batch}")
    return _record_hinge(name, x, Dim.of((1,), batch), dim.size, choices, m)


def _hinge_reference(x, v, m=1.0):
    return np.atleast_1d(np.maximum(x - x[v] + m, 0).sum() - max(m, 0))


@recorded(reference=_hinge_reference, samples="5 v=3; 17*4 v=0 m=0.5; 2*2 v=0 m=5; 130 v=129; 1*3 v=0")
def hinge(x: Expression, v: Index | Indices, m: Number = 1.0) -> Expression:
    """The hinge loss of scores, y = sum over i != v of max(0, x_i - x_v + m).

    Args:
        x: scores, a vector, with any batch size.
        v: the index of the right choice, the same in all batch elements, or a list as in `hinge_batch`.
        m: the margin by which the score of the right choice should exceed the others.

    Raises:
        OutOfRangeError: v is not an index of x.

    >>> hinge(inputVector([1, 3, 0.5]), 0).value()
    3.5
    """
    has_list = nesting(v) == 1
    return _record_hinge_losses("hinge", x, v if has_list else [v], m, has_list)  # type: ignore[arg-type,list-item]


@recorded(
    reference=lambda x, vs, m=1.0: np.stack(
        [_hinge_reference(x[:, b % x.shape[-1]], v, m) for b, v in enumerate(vs)], axis=-1
    ),
    whole_batch=True,
    samples="5*3 vs=[3,0,3]; 17 vs=[16]; 3 vs=[2,0,1] m=2.5; 33*2 vs=[32,1]; 1*2 vs=[0,0]",
)
def hinge_batch(x: Expression, vs: Iterable[Index], m: Number = 1.0) -> Expression:
    """The hinge loss of each vector of scores in a batch, as in `hinge`: vs[b] is the right choice in batch element b.

    If x has no batch, its scores are used with each index in `vs`. The result is a batch with a loss for each index.

    >>> hinge_batch(inputTensor([[1, 2], [3, 0]], batched=True), [0, 1]).npvalue()
    array([[3., 3.]])
    """
    return _record_hinge_losses("hinge_batch", x, vs, m, True)


def _hinge_dim_reference(x, v, d=0, m=1.0):
    columns = (x if d == 0 else x.swapaxes(0, 1)).reshape(x.shape[d], -1, x.shape[-1])
    lists = np.broadcast_to(np.atleast_2d(v), (x.shape[-1], columns.shape[1]))
    return np.stack(
        [
            np.concatenate([_hinge_reference(columns[:, k, b], index, m) for k, index in enumerate(row)])
            for b, row in enumerate(lists)
        ],
        axis=-1,
    )


@recorded(
    reference=_hinge_dim_reference,
    whole_batch=True,
    samples="5x3 v=[3,0,3]; 3x5*2 v=[3,0,3] d=1; 17x2*3 v=[16,1] m=0.5; 3x2*2 v=[[2,1],[0,0]]; 4*2 v=[1]; "
    "1x3*2 v=[0,0,0]; 1x5*3 v=[4] d=1",
)
def hinge_dim(x: Expression, v: Indices | Sequence[Indices], d: Index = 0, m: Number = 1.0) -> Expression:
    """The hinge loss of each column of a matrix of scores (d = 0), or of each row (d = 1).

    Args:
        x: the scores, with any batch size.
        v: the indices of the right choices: a list with an index for each column (or row), the same for all batch
            elements; or a list of such lists, one for each batch element.
        d: 0 for a loss of each column, 1 for a loss of each row.
        m: the margin by which the score of the right choice should exceed the others.

    >>> hinge_dim(inputTensor([[1, 2], [3, 0]]), [0, 0]).value()
    [3.0, 0.0]
    """
    dim, d = shape_along("hinge_dim", x, d)
    if len(dim.dims) > 2:
        raise ShapeError(f"hinge_dim: expected a matrix of scores, got {dim!r}")
    size, columns = (dim.columns, dim.rows) if d else (dim.rows, dim.columns)
    margin = finite("hinge_dim", "m", m)
    # With one column, an item of v may be an array of one number: a list, although `nesting` counts it as a number.
    has_lists = nesting(v) == 2 or (columns == 1 and is_list(v) and any(map(is_list, v)))  # type: ignore[arg-type]
    lists: Any = v if has_lists else [v]
    if len(lists) not in (1, dim.batch):
        raise ShapeError(f"hinge_dim: {len(lists)} lists of indices for a batch of {dim.batch}")
    choices = []
    for one_list in lists:
        indices = checked_indices("hinge_dim", one_list, size, f"dimension {d} of x {dim!r}")
        if len(indices) != columns:
            raise ShapeError(f"hinge_dim: {len(indices)} indices, x {dim!r} has {columns} along the other dimension")
        choices += indices
    if len(lists) == 1:
        choices *= dim.batch
    x = transpose(x) if d else x
    return _record_hinge("hinge_dim", x, Dim.of((columns,), dim.batch), size, choices, margin)


__all__ = [
    "binary_log_loss", "binary_log_loss_of_logits", "hinge", "hinge_batch", "hinge_dim", "huber_distance",
    "l1_distance", "pairwise_rank_loss", "poisson_loss",
]  # fmt: skip
