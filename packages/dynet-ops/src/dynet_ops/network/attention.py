"""Attention: weighted means of values, by how well their keys fit a query."""

from __future__ import annotations

from ..declare import *
from ..elementwise.arithmetic import where
from ..input.inputs import inputTensor, zeros
from ..loss.probability import masked, softmax
from ..matrix.products import matmul
from ..shape.layout import transpose


def _reference(q, k, v, causal=False):
    q, k, v = (np.moveaxis(with_rank(x, 3), 2, 0) for x in (q, k, v))
    scores = np.swapaxes(k, 1, 2) @ q / np.sqrt(k.shape[1])
    if causal:
        scores = np.where(
            np.tri(scores.shape[2], scores.shape[1], scores.shape[1] - scores.shape[2]).T > 0, scores, -np.inf
        )
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return np.moveaxis(v @ (weights / weights.sum(1, keepdims=True)), 0, 2)


@recorded(
    reference=lambda q, k, v, causal=False: with_rank(_reference(q, k, v, causal), max(q.ndim, 1)),
    samples="5x3 5x4 2x4; 5x3*2 5x4*2 2x4; 4x3x2*2 4x5x2*2 3x5x2*2; 5x3 5x3 2x3 causal=True; "
    "4x2x3 4x5x3 4x5x3 causal=True",
)
def dot_product_attention(
    q: Expression, k: Expression, v: Expression, mask: Any = None, causal: bool = False
) -> Expression:
    """Attention by scaled dot products, y = v softmax(k^T q / sqrt(d)), with the softmax over the keys.

    Args:
        q: queries, (d, n) or, for h heads, (d, n, h).
        k, v: keys (d, m) and values (e, m), with the same further dimension.
        mask: booleans (m, n): whether a query (column) may attend to a key (row). A query that may attend to no key
            gets 0.
        causal: query i may attend only to the first m - n + i + 1 keys, so the last query to all.

    Returns:
        The dimensions (e, n) or (e, n, h).

    Raises:
        ShapeError: the shapes do not fit, or with `causal`, there are more queries than keys.
        ArgumentTypeError: the mask has other values than True and False.

    Source: Vaswani and others, "Attention is all you need", 2017.

    >>> q, k = inputTensor([[9, 0], [0, 9]]), inputTensor([[9, 0], [0, 9]])
    >>> dot_product_attention(q, k, inputTensor([[1, 2]])).npvalue().round(4)
    array([[1., 2.]])
    """
    name, operands = "dot_product_attention", (q, k, v)
    graph_of(name, operands)
    dims = [x.type for x in operands]
    (d, n, *h), (size, m, *k_h), (_, v_m, *v_h) = [of_rank(dim.dims, 3) for dim in dims]
    common_batch(name, dims)
    if (size, k_h, v_m, v_h) != (d, h, m, h):
        raise ShapeError(f"{name}: q (d, n, h), k (d, m, h) and v (e, m, h) do not fit: {described(dims)}")
    allowed = np.ones((m, n), bool)
    if mask is not None:
        table = real_array(f"{name}: mask", mask, uneven=ShapeError)
        if table.shape != (m, n):
            raise ShapeError(f"{name}: the mask must be ({m}, {n}), for {m} keys and {n} queries, not {table.shape}")
        if not np.isin(table, (0, 1)).all():
            raise ArgumentTypeError(f"{name}: the mask must be a table of True and False")
        allowed &= table > 0
    if checked_flag(name, "causal", causal):
        if n > m:
            raise ShapeError(f"{name}: causal attention of {n} queries needs at least as many keys, not {m}")
        allowed &= np.tri(n, m, m - n, dtype=bool).T
    scores = matmul(transpose(k, (1, 0, *range(2, len(k.type.dims)))), q * (1 / math.sqrt(max(d, 1))))
    if allowed.all():
        return matmul(v, softmax(scores))
    weights = softmax(masked(scores, inputTensor(np.where(allowed, 0, -1e30))))
    if not allowed.any(0).all():
        weights = where(inputTensor(allowed), weights, zeros(1))
    return matmul(v, weights)


__all__ = ["dot_product_attention"]
