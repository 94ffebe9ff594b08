"""Attention: weighted means of values, by how well their keys fit a query."""

from __future__ import annotations

from dynet_kernels.formula import LARGEST_FLOAT
from dynet_kernels.layout import OWN

from ..declare import *
from ..elementwise.arithmetic import cmult
from ..elementwise.functions import tanh
from ..input.inputs import input_op, inputTensor, ones
from ..loss.probability import _softmax_reference, masked, softmax
from ..matrix.products import NO_SUMMAND, gradient_of, matmul, value_of
from ..random.draws import checked_probability
from ..random.draws import dropout as dropped
from ..select.picking import pick_batch_elem
from ..shape.joining import concatenate_to_batch
from ..shape.layout import reshape


@by_sizes
def _signature(q: Dim, k: Dim, v: Dim, heads: int, is_masked: bool, drops: bool) -> Signature:
    """Return the signature of attention by dot products, whose columns are the queries of each head in turn.

    The value is followed in memory by the scores, the weights, with dropout the weights after it, and with a mask the
    scores before it. As one node, the heads are read where they are, in the rows of q, k and v, and nothing is copied.
    """
    (size, n), (height, m), columns = of_rank(q.dims, 2), (v.rows, k.columns), q.columns * heads
    d, e, floats = size // heads, height // heads, k.columns * columns
    count = 2 + drops + is_masked
    scratch = [View(SELF, height * n + place * floats, stride=m) for place in range(count)]
    noise = [View(3, stride=m)] * drops
    mask = [View(3 + drops, stride=m, period=n)] * is_masked
    views = [
        View(SELF, stride=height, period=n, outer=e),
        View(0, stride=size, period=n, outer=d),
        View(1, period=n, outer=d),
        View(2, period=n, outer=e),
        *scratch[2:2 + drops], *noise, scratch[1], scratch[0], *scratch[2 + drops:], *mask,
    ]  # fmt: skip
    y, queries, keys, values, used = range(5)
    weights = used + 2 * drops
    scores = weights + 1
    products = scores + is_masked
    masking = [("masked", (m,)), ("masked.dx", (m,))] if is_masked else []
    dropped = [("cmult", (m,)), ("cmult.dy", (m,))] if drops else []
    return Signature(
        Dim.of((height, n)),
        size=height * n + count * floats,
        columns=columns,
        views=views,
        forward=[
            Step("clear", (m,), first_view=products),
            Step("product.dx", (d, m, size, value_of(keys), value_of(products), value_of(queries), n, 0)),
            *[Step(*step, first_view=scores) for step in masking[:1]],
            Step("column_softmax", (m,), first_view=weights),
            *[Step(*step, first_view=used) for step in dropped[:1]],
            Step("product", (e, m, height, value_of(values), value_of(used), value_of(y), NO_SUMMAND, n, 0)),
        ],
        backward=[
            Step("product.dx", (e, m, height, value_of(values), gradient_of(used), gradient_of(y), n, 0), OWN),
            Step("product.dW", (e, m, height, gradient_of(values), value_of(used), gradient_of(y), n), 2),
            *[Step(*step, OWN, used) for step in dropped[1:]],
            Step("column_softmax.dx", (m,), OWN, weights),
            *[Step(*step, OWN, scores) for step in masking[1:]],
            Step(
                "product",
                (d, m, size, value_of(keys), gradient_of(products), *[gradient_of(queries)] * 2, n, 0),
                gradient_of=0,
            ),
            Step("product.dW", (d, m, size, gradient_of(keys), gradient_of(products), value_of(queries), n), 1),
        ],
    )


SIDE = 512  # of the largest table of `_triangle`, in which smaller ones are found


@functools.lru_cache(1)
def _triangle() -> np.ndarray:
    return np.tri(SIDE, dtype=bool).T


def _causal(m: int, n: int) -> np.ndarray:
    """Return a table (m, n) of which keys the last n of m queries may attend to: to their own, and to earlier ones."""
    return _triangle()[:m, m - n : m] if m <= SIDE else np.tri(n, m, m - n, dtype=bool).T


def _allowed(name: str, mask: Any, m: int, n: int, causal: bool = False) -> np.ndarray | None:
    """Return a table (m, n) of which key each query may attend to; None for all."""
    allowed = None
    if mask is not None:
        table = real_array(f"{name}: mask", mask, uneven=ShapeError)
        if table.shape != (m, n):
            raise ShapeError(f"{name}: the mask must be ({m}, {n}), for {m} keys and {n} queries, not {table.shape}")
        if not np.isin(table, (0, 1)).all():
            raise ArgumentTypeError(f"{name}: the mask must be a table of True and False")
        allowed = table > 0
    if checked_flag(name, "causal", causal):
        if n > m:
            raise ShapeError(f"{name}: causal attention of {n} queries needs at least as many keys, not {m}")
        if n > 1:
            allowed = _causal(m, n) if allowed is None else allowed & _causal(m, n)
    return None if allowed is None or allowed.all() else allowed


def _shapes(name: str, operands: Sequence[Expression]) -> list[tuple[int, ...]]:
    """Return the sizes of q, k and v, which must be matrices or vectors."""
    graph_of(name, operands)
    dims = [x.type for x in operands]
    shapes = [of_rank(dim.dims, 2) for dim in dims]
    if any(len(shape) > 2 for shape in shapes) or shapes[0][0] != shapes[1][0] or shapes[1][1] != shapes[2][1]:
        raise ShapeError(f"{name}: q (d, n), k (d, m) and v (e, m) do not fit: {described(dims)}")
    return shapes


def _columns_without_keys(y: Expression, allowed: np.ndarray | None) -> Expression:
    """Set the columns of queries that may attend to no key to 0."""
    if allowed is None or allowed.any(0).all():
        return y
    return cmult(y, inputTensor(allowed.any(0, keepdims=True)))


def _attention_reference(q, k, v, heads=1, causal=False):
    q, k, v = (np.reshape(x, (heads, -1, with_rank(x, 2).shape[1])) for x in (q, k, v))
    scores = np.swapaxes(k, 1, 2) @ q / np.sqrt(k.shape[1])
    if causal:
        scores = np.where(_causal(*scores.shape[1:]), scores, -np.inf)
    y = v @ _softmax_reference(scores, 1)
    return y.reshape(-1, y.shape[2])


@recorded(
    reference=lambda *arguments, **options: with_rank(_attention_reference(*arguments, **options), 2),
    samples="5x3 5x4 2x4; 5x3*2 5x4*2 2x4; 4x3*2 4x5*2 6x5*2 heads=2; 5x3 5x3 2x3 causal=True; "
    "12x2 12x5 9x5 heads=3 causal=True; 4x1 4x3 8x3 heads=4",
)
def dot_product_attention(
    q: Expression,
    k: Expression,
    v: Expression,
    mask: Any = None,
    causal: bool = False,
    heads: Index = 1,
    dropout: Number = 0.0,
) -> Expression:
    """Attention by scaled dot products, y = v softmax(k^T q / sqrt(d)), with the softmax over the keys.

    With several heads, the first of them reads the first d / heads rows of q and k and the first e / heads rows of v,
    and computes the same rows of y; and so on. d is then the size of a head.

    Args:
        q: queries, a matrix (d, n) with a column for each.
        k, v: keys (d, m) and values (e, m).
        mask: booleans (m, n): whether a query (column) may attend to a key (row). A query that may attend to no key
            gets 0.
        causal: query i may attend only to the first m - n + i + 1 keys, so the last query to all.
        heads: the number of heads, a divisor of d and of e.
        dropout: the probability of dropping a weight of the softmax, in [0, 1).

    Returns:
        A matrix (e, n).

    Raises:
        ShapeError: the shapes do not fit, or with `causal`, there are more queries than keys.
        ArgumentTypeError: the mask has other values than True and False.

    Source: Vaswani and others, "Attention is all you need", 2017.

    >>> q, k = inputTensor([[9, 0], [0, 9]]), inputTensor([[9, 0], [0, 9]])
    >>> dot_product_attention(q, k, inputTensor([[1, 2]])).npvalue().round(4)
    array([[1., 2.]])
    """
    name = "dot_product_attention"
    (d, n), (_, m), (e, _) = _shapes(name, (q, k, v))
    heads, rate = checked_size(name, "heads", heads), checked_probability(name, dropout)
    if d % heads or e % heads:
        raise ShapeError(f"{name}: {heads} heads do not divide {d} rows of q and k and {e} rows of v")
    allowed = _allowed(name, mask, m, n, causal)
    batch = common_batch(name, [q.type, k.type, v.type])
    barrier = [] if allowed is None else [inputTensor(np.where(allowed, 0, -LARGEST_FLOAT))]
    q = q * (1 / math.sqrt(max(d // heads, 1)))
    results = []
    for element in range(batch):  # a matrix of each head and batch element would have to be copied
        operands = [x if x.type.batch == 1 else pick_batch_elem(x, element) for x in (q, k, v)]
        signature = _signature(*[x.type.plain for x in operands], heads, bool(barrier), rate > 0)
        noise = [dropped(ones((m, n * heads)), rate)] if rate else []
        results.append(node(name, signature, (*operands, *noise, *barrier)))
    return _columns_without_keys(results[0] if batch == 1 else concatenate_to_batch(results), allowed)


def _additive_reference(q, k, v, w):
    q, k, v = (with_rank(x, 2) for x in (q, k, v))
    scores = np.einsum("d,dmn->mn", w.ravel(), np.tanh(k[:, :, None] + q[:, None]))
    return v @ _softmax_reference(scores)


@recorded(reference=_additive_reference, samples="5x3 5x4 2x4 5; 5 5x4*2 2x4*2 5; 3x2*2 3x1 1 3x1; 7x1 7x9 3x9*3 7*3")
def additive_attention(q: Expression, k: Expression, v: Expression, w: Expression, mask: Any = None) -> Expression:
    """Attention whose scores are computed by a small network, y = v softmax(s) with s_ij = w . tanh(k_i + q_j).

    Usually, q and k are the products of matrices with the states of a decoder and an encoder, and v are the states of
    the encoder. The keys are multiplied once for all steps of the decoder.

    Args:
        q: queries, a matrix (d, n) with a column for each, or a vector (d,).
        k, v: keys (d, m) and values (e, m).
        w: a vector (d,).
        mask: as in `dot_product_attention`.

    Returns:
        A matrix (e, n).

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentTypeError: the mask has other values than True and False.

    Source: Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", 2015.

    >>> additive_attention(inputVector([9]), inputTensor([[-9, 9]]), inputTensor([[1, 2]]), inputVector([20])).npvalue()
    array([[2.]])
    """
    name = "additive_attention"
    (d, n), (_, m), _ = _shapes(name, (q, k, v))
    graph_of(name, (q, w))
    if of_rank(w.type.dims, 1) != (d,):
        raise ShapeError(f"{name}: w must be a vector ({d},), not {w.type!r}")
    common_batch(name, [x.type for x in (q, k, v, w)])
    allowed = _allowed(name, mask, m, n)
    hidden = reshape(tanh(reshape(k, (d, m)) + reshape(q, (d, 1, n))), (d, m * n))
    scores = reshape(matmul(reshape(w, (1, d)), hidden), (m, n))
    if allowed is not None:
        scores = masked(scores, inputTensor(np.where(allowed, 0, -LARGEST_FLOAT)))
    return _columns_without_keys(matmul(reshape(v, (v.type.rows, m)), softmax(scores)), allowed)


@functools.lru_cache(64)
def _sinusoids(dim: int, n: int, start: int) -> np.ndarray:
    rows = np.arange(dim)[:, None]
    angles = np.arange(start, start + n) / 10000.0 ** (rows // 2 * 2 / max(dim, 1))
    return np.where(rows % 2, np.cos(angles), np.sin(angles))


@input_op(
    lambda dim, n, start: _sinusoids(dim, n, start)[..., None],
    "dim=4 n=3 start=0; dim=17 n=9 start=50; dim=1 n=1 start=0; dim=64 n=33 start=2",
)
def sinusoidal_positions(dim: Index, n: Index, start: Index = 0) -> Expression:
    """Vectors that encode the positions of a sequence, to be added to the words' vectors.

    Rows 2i and 2i + 1 of position p are sin(p / 10000^(2i / dim)) and cos(p / 10000^(2i / dim)).

    Args:
        dim: the size of a vector.
        n: the length of the sequence.
        start: the position of the first vector.

    Returns:
        A matrix (dim, n).

    Source: Vaswani and others, "Attention is all you need", 2017.

    >>> sinusoidal_positions(2, 3).npvalue().round(4)
    array([[ 0.    ,  0.8415,  0.9093],
           [ 1.    ,  0.5403, -0.4161]])
    """
    name = "sinusoidal_positions"
    size, count = checked_dims(name, (whole(name, "dim", dim), whole(name, "n", n)))
    return inputTensor(_sinusoids(size, count, checked_count(name, "start", start, most=2**53)))


__all__ = ["additive_attention", "dot_product_attention", "sinusoidal_positions"]
