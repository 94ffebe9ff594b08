"""What the table of ops does not say of attention: masks, dropout, and refused arguments."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg, reset_random_seed
from dynet_core.errors import ArgumentError, ArgumentTypeError, ShapeError

MASK = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1]], bool)  # the second of 3 queries sees none of 4 keys
W = [1, -2, 0.5, 3, -1, 2]


def inputs(batch=1):
    renew_cg()
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(*size, batch)) for size in ((6, 3), (6, 4), (2, 4))]
    return arrays, [dy.inputTensor(array, batched=True) for array in arrays]


def expected(arrays, mask, heads=None):
    """Attention of each batch element in numpy; additive if there are no `heads`."""
    results = []
    for b in range(arrays[0].shape[-1]):
        q, k, v = [array[..., b] for array in arrays]
        if heads:
            q, k, v = [np.reshape(x, (heads, -1, x.shape[1])) for x in (q, k, v)]
            scores = np.swapaxes(k, 1, 2) @ q / np.sqrt(k.shape[1])
        else:
            scores = np.einsum("d,dmn->mn", W, np.tanh(k[:, :, None] + q[:, None]))
        e = np.exp(scores) * mask
        results.append((v @ (e / np.maximum(e.sum(-2, keepdims=True), 1e-30))).reshape(2, 3))
    return np.stack(results, -1)


def attention(heads, operands, mask):
    if heads:
        return dy.dot_product_attention(*operands, mask=mask, heads=heads)
    return dy.additive_attention(*operands, dy.inputVector(W), mask=mask)


@pytest.mark.parametrize("heads", [1, 2, None])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("mask", [MASK, MASK | [0, 1, 0], MASK | True])
def test_masks(mask, heads, batch):
    arrays, operands = inputs(batch)
    y = attention(heads, operands, mask)
    np.testing.assert_allclose(y.npvalue().reshape(2, 3, batch), expected(arrays, mask, heads), rtol=1e-5, atol=1e-6)
    dy.squared_norm(dy.sum_batches(y)).backward(full=True)
    for k, keys in enumerate([mask.any(0), mask.any(1), mask.any(1)]):
        gradient = operands[k].gradient().reshape(*arrays[k].shape)
        assert np.isfinite(gradient).all() and (gradient.any((0, 2)) == keys).all()


@pytest.mark.parametrize("heads", [1, 2, None])
@pytest.mark.parametrize("number", [1e33, -1e33, np.inf, np.nan])
def test_keys_that_are_masked_have_no_influence(number, heads):
    mask = MASK | [0, 1, 0]
    arrays, operands = inputs()
    y = attention(heads, operands, mask & [[1], [1], [1], [0]])
    dy.squared_norm(y).backward(full=True)
    gradients = [x.gradient() for x in operands]
    keys = arrays[1].copy()
    keys[:, 3] = number
    others = [operands[0], dy.inputTensor(keys[..., 0]), operands[2]]
    z = attention(heads, others, mask & [[1], [1], [1], [0]])
    np.testing.assert_array_equal(z.npvalue(), y.npvalue())
    if np.isfinite(number):
        dy.squared_norm(z).backward(full=True)
        for x, gradient in zip(others, gradients):
            np.testing.assert_array_equal(x.gradient(), gradient)


def test_allowed_keys_win_against_masked_ones_however_small_their_scores():
    q, k, v = dy.inputTensor([[1.0]]), dy.inputTensor([[-1e33, -1e33, 0]]), dy.inputTensor([[1, 2, 9]])
    assert dy.dot_product_attention(q, k, v, [[1], [1], [0]]).npvalue().ravel() == 1.5


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("masks", [{}, {"mask": MASK | [0, 1, 0]}, {"causal": True}])
def test_dropout_drops_weights(masks, heads):
    _, (q, k, _) = inputs()
    v = dy.inputTensor(np.concatenate([np.eye(4)] * heads))  # so the results of each head are the weights
    reset_random_seed(1)
    dropped = dy.dot_product_attention(q, k, v, heads=heads, dropout=0.5, **masks)
    weights = dy.dot_product_attention(q, k, v, heads=heads, **masks)
    factors = np.divide(dropped.npvalue(), weights.npvalue(), where=weights.npvalue() > 0, out=np.zeros((4 * heads, 3)))
    assert {*factors.round(5).ravel()} == {0, 2}
    r = dy.inputTensor(np.random.default_rng(1).normal(size=factors.shape))
    gradients = []
    for y in dropped, dy.cmult(weights, dy.inputTensor(factors)):
        dy.dot_product(y, r).backward(full=True)
        gradients.append([x.gradient().copy() for x in (q, k)])
    for one, other in zip(*gradients):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_a_changed_mask_is_read_anew(causal):
    mask = np.ones((4, 3), bool)
    values = []
    for k in range(4):
        mask[0] = k % 2
        values.append(dy.dot_product_attention(*inputs()[1], mask=mask, causal=causal).npvalue())
    assert (values[0] == values[2]).all() and (values[1] == values[3]).all() and (values[0] != values[1]).any()


def test_queries_keys_and_values_may_be_one():
    x = inputs()[1][0]
    copies = [x + 0.0 for _ in range(3)]
    gradients = []
    for operands in ([x] * 3, copies):
        dy.squared_norm(dy.dot_product_attention(*operands, heads=3)).backward(full=True)
        gradients.append(x.gradient().copy())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda q, k, v: dy.dot_product_attention(q, v, k), ShapeError, r"do not fit: \(6, 3\), \(2, 4\)"),
        (lambda q, k, v: dy.dot_product_attention(q, k, q), ShapeError, "do not fit"),
        (lambda q, k, v: dy.dot_product_attention(dy.zeros((6, 3, 2)), k, v), ShapeError, "do not fit"),
        (lambda q, k, v: dy.dot_product_attention(k, q, q, causal=True), ShapeError, "4 queries needs at least"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, MASK.T), ShapeError, r"must be \(4, 3\), for 4 keys"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, MASK * 2), ArgumentTypeError, "table of True and False"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, causal=2), ArgumentTypeError, "causal must be True or"),  # type: ignore[arg-type]
        (lambda q, k, v: dy.dot_product_attention(q, k, v, heads=4), ShapeError, "4 heads do not divide 6 rows of q"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, heads=3), ShapeError, "and 2 rows of v"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, heads=0), ArgumentError, "heads must be at least 1"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, dropout=1.0), ArgumentError, r"must be in \[0, 1\), got 1"),
        (lambda q, k, v: dy.additive_attention(q, k, v, k), ShapeError, r"w must be a vector \(6,\), not \(6, 4\)"),
        (lambda q, k, v: dy.additive_attention(q, v, v, k), ShapeError, "do not fit"),
        (lambda q, k, v: dy.additive_attention(q, k, v, dy.ones(6), MASK.T), ShapeError, r"must be \(4, 3\)"),
    ],
)
def test_refused_calls(call, error, match):
    with pytest.raises(error, match=f"^(dot_product|additive)_attention: .*{match}"):
        call(*inputs()[1])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: dy.sinusoidal_positions(4, 2, -1), ArgumentError, "start must be at least 0, got -1"),
        (lambda: dy.sinusoidal_positions(-4, 2), ArgumentError, r"must be at least 1, got \(-4, 2\)"),
        (lambda: dy.sinusoidal_positions(4, 2, -1), ArgumentError, "start must be at least 0, got -1"),
        (lambda: dy.sinusoidal_positions(4, 2, 10**30), ArgumentError, "start must be at most"),
        (lambda: dy.sinusoidal_positions(4, 2.5), ArgumentError, "n must be a whole number, not 2.5"),  # type: ignore[arg-type]
    ],
)
def test_refused_positions(call, error, match):
    with pytest.raises(error, match=f"^sinusoidal_positions: .*{match}"):
        call()


@pytest.mark.parametrize("n", [1, 2, 600])
@pytest.mark.parametrize("m", [600, 1025])
def test_causal_attention_to_many_keys(m, n):
    k, v = dy.inputTensor(np.zeros((1, m))), dy.inputTensor(np.arange(m)[None])
    y = dy.dot_product_attention(dy.zeros((1, n)), k, v, causal=True).npvalue().ravel()
    np.testing.assert_allclose(y, np.arange(m - n, m) / 2, rtol=1e-5)


def test_memory_of_a_query_with_many_keys():
    """Its table would have 200,000^2 numbers if it were square."""
    k = dy.inputTensor(np.zeros((1, 200_000)))
    for n in (1, 2):
        assert not dy.dot_product_attention(dy.zeros((1, n)), k, k, causal=True).npvalue().any()
