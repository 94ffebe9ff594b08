"""A step of a linear-chain conditional random field, in the log domain."""

from __future__ import annotations

from ..declare import *
from ..reduce.dims import finite_or_zero


def _value(x, t, e):
    peak = finite_or_zero(f.max(x + t))
    return peak + f.log(f.sum(f.exp(x + t - peak))) + e


def _gradient(x, t, e, y, dy):  # 0 for a tag that no sequence reaches: exp(x + t) could overflow there
    return f.where(f.absolute(y) < float("inf"), dy * f.exp(x + t + (e - y)), 0)


add_rules("crf_step", "yxte", {"y": _value, "dx": _gradient, "dt": _gradient, "de": lambda dy: dy}, numbers=("y", "e"))


@by_plain_dims
def _signature(x: Dim, t: Dim, e: Dim) -> Signature:
    """Return the signature of a step, whose columns are those of t: the scores of all tags before one tag."""
    tags, batch = t.rows, common_batch("crf_step", (x, t, e))
    if [of_rank(dim.dims, 2) for dim in (x, t, e)] != [(tags, 1), (tags, tags), (tags, 1)]:
        raise ShapeError(
            f"crf_step: alpha and e are vectors of n tags, and transitions are (n, n): {described((x, t, e))}"
        )
    strides = [(0, batch_stride(x)), (tags, batch_stride(t)), (1, batch_stride(e))]
    views = [View(SELF, stride=1), *column_views((tags, batch), strides)]
    return computed("crf_step", Dim.of((tags,), batch), (tags,), views, tags * batch)


@recorded(
    reference=lambda x, t, e: np.log(np.exp(x.ravel()[:, None] + t.reshape(len(x), -1)).sum(0)) + e.ravel(),
    samples="1 1x1 1; 3*2 3x3 3*2; 17 17x17*3 17; 5*2 5x5*2 5; 7x1 7x7 7",
)
def crf_step(alpha: Expression, transitions: Expression, e: Expression) -> Expression:
    """A step of a linear-chain conditional random field, y_j = e_j + log sum over i of exp(alpha_i + transitions_ij).

    alpha_i is the log of the sum, over all sequences of tags that end in tag i, of the exponentials of their scores.
    The result is the same for sequences with one more word. Scores of -infinity forbid a tag or a transition.

    Args:
        alpha: a vector (n,) for n tags.
        transitions: a matrix (n, n) of scores. Element ij is for tag j after tag i.
        e: the scores of the next word's tags, a vector (n,).

    Source: Lafferty, McCallum and Pereira, "Conditional random fields", 2001.

    >>> crf_step(inputVector([0, 0]), zeros((2, 2)), inputVector([1, 2])).npvalue().round(4)
    array([1.6931, 2.6931])
    """
    operands = (alpha, transitions, e)
    graph_of("crf_step", operands)
    return node("crf_step", _signature(*[operand.type for operand in operands]), operands)


__all__ = ["crf_step"]
