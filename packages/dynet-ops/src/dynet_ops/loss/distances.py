"""Distances, and the log loss, ranking loss and Poisson loss."""

from __future__ import annotations

from dynet_kernels.derivative import gradients
from dynet_kernels.formula import SMALLEST
from dynet_kernels.layout import NOWHERE

from ..declare import *

DIGIT = 2.0**-24  # the last digit of a float32 just below 1


# ------------------------------------------------------------------------------------------------------ distances


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
    gradients={  # stated, because a clipped difference costs less than deriving both branches
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


def _at_least_smallest(x):
    """Return x, but `SMALLEST` where x is 0, so that the logarithm and the reciprocal are finite."""
    return f.where(f.equal(x, 0), SMALLEST, x)


def _at_least(x, least):
    return f.where(f.absolute(x) < least, least, x)


def _logarithms(x):
    """Return log(x) and log(1 - x), with `SMALLEST` in place of 0.

    `rest` is 1 - x rounded; (1 - rest) - x, the rounding error, makes log(1 - x) precise near 0. log1p divides it by
    `rest` first, which takes longer, and in [0, 1] changes less than the last digit.
    """
    rest = 1 - x
    return f.log(_at_least_smallest(x)), f.log(_at_least_smallest(rest)) + ((1 - rest) - x)


def _gradient_of_truth(x, dz):
    log_x, log_of_rest = _logarithms(x)
    return dz * (log_of_rest - log_x)


def _binary_log_loss_reference(x, y):
    return np.atleast_1d(-(y * np.log(x) + (1 - y) * np.log(1 - x)).sum())


@columnwise(
    whole=True,
    gradients={  # stated, because derived ones are 0 where a constant replaces x or 1 - x, or a term of weight 0
        "x": lambda x, y, dz: dz * ((1 - y) / _at_least(1 - x, DIGIT) - y / _at_least(x, SMALLEST)),
        "y": _gradient_of_truth,
    },
    domain=(0.05, 0.95),
    reference=_binary_log_loss_reference,
)
def binary_log_loss(x: Expression, y: Expression) -> Expression:
    """The log loss (cross entropy) of binary decisions, z = -sum over i of (y_i log x_i + (1 - y_i) log(1 - x_i)).

    An x or 1 - x of exactly 0 counts as the smallest normal float32, about 1.2e-38, so the loss is finite. A logarithm
    whose factor is 0 does not count: where y is 1, x may be a little above 1 by rounding. For the gradient, x is at
    least that number, and 1 - x at least 6e-8, the last digit of an x near 1. So the gradient of a in x = logistic(a)
    is -1 where a is very negative and y is 1.

    Args:
        x: predicted probabilities, for example from `logistic`.
        y: the true values (0 or 1) or probabilities, of the same dimensions as x.

    >>> binary_log_loss(inputVector([0.5, 0.5]), inputVector([1, 0])).value()
    1.3862943649291992
    """
    log_x, log_of_rest = _logarithms(x)
    return f.sum(f.where(f.equal(y, 1), 0, (y - 1) * log_of_rest) - f.where(f.equal(y, 0), 0, y * log_x))


# --------------------------------------------------------------------------------------------------- ranking loss


@elementwise(reference=lambda x, y, m=1.0: np.maximum(m - x + y, 0))
def pairwise_rank_loss(x: Expression, y: Expression, m: Number = 1.0) -> Expression:
    """The ranking loss of pairs of scores, z_i = max(0, m - x_i + y_i); dimensions of size 1 are broadcast.

    x are scores that should be high, y scores that should be low. The loss is 0 where x_i exceeds y_i by at least the
    margin m.

    >>> pairwise_rank_loss(inputVector([1, 3]), inputVector([1, 1])).value()
    [1.0, 0.0]
    """
    return f.maximum(y - x + m, 0)


# --------------------------------------------------------------------------------------------------- Poisson loss

_loss_of_count = Formula.of(lambda x, count, permutations: f.exp(x) - count * x + permutations)
add_rules(
    "poisson_loss",
    ("x", "count", "permutations"),
    _loss_of_count,
    gradients(_loss_of_count, ["x"]),
    numbers=("count", "permutations"),
)


@functools.cache
def _poisson_signature(dim: Dim, counts: int) -> Signature:
    """Return the signature of Poisson losses with 1 count, or one for each batch element."""
    size = dim.batch if counts == 1 else 1
    views = [View(SELF, stride=size), View(0, stride=size if dim.batch > 1 else 0)]
    views += [View(NOWHERE, index=start, index_step=int(counts > 1), scale=1) for start in (0, counts)]
    return computed("poisson_loss", Dim.of(dim.dims, max(dim.batch, counts)), (size,), views, counts)


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

    DyNet 2.1 calls them `log_lambda` and x: `poisson_loss(log_lambda=l, x=2)` works here, too.

    >>> poisson_loss(scalarInput(0), 2).value()
    1.6931471824645996
    """
    several = nesting(y) > 0
    counts = [finite("poisson_loss", "y", count) for count in (y if several else (y,))]  # type: ignore
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


__all__ = ["binary_log_loss", "huber_distance", "l1_distance", "pairwise_rank_loss", "poisson_loss"]
