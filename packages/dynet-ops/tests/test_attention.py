"""What the table of ops does not say of attention: masks, and refused arguments."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.errors import ArgumentTypeError, ShapeError

MASK = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1]], bool)  # the second of 3 queries sees none of 4 keys


def inputs(*heads):
    renew_cg()
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(*size, *heads)) for size in ((5, 3), (5, 4), (2, 4))]
    return arrays, [dy.inputTensor(array) for array in arrays]


@pytest.mark.parametrize("heads", [(), (3,)])
@pytest.mark.parametrize("mask", [MASK, MASK | [0, 1, 0]])
def test_masks(mask, heads):
    arrays, operands = inputs(*heads)
    y = dy.dot_product_attention(*operands, mask=mask)
    q, k, v = [array.reshape(*array.shape[:2], -1) for array in arrays]
    e = np.exp(np.einsum("dmh,dnh->mnh", k, q) / np.sqrt(5)) * mask[..., None]
    expected = np.einsum("emh,mnh->enh", v, e / np.maximum(e.sum(0), 1e-30))
    np.testing.assert_allclose(y.npvalue().reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    dy.squared_norm(y).backward(full=True)
    dq = operands[0].gradient().reshape(q.shape)
    assert np.isfinite(dq).all() and dq[:, 1].any() == mask[:, 1].any()


@pytest.mark.parametrize("causal", [False, True])
def test_a_changed_mask_is_read_anew(causal):
    mask = np.ones((4, 3), bool)
    values = []
    for k in range(4):
        mask[0] = k % 2
        values.append(dy.dot_product_attention(*inputs()[1], mask=mask, causal=causal).npvalue())
    assert (values[0] == values[2]).all() and (values[1] == values[3]).all() and (values[0] != values[1]).any()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda q, k, v: dy.dot_product_attention(q, v, k), ShapeError, r"do not fit: \(5, 3\), \(2, 4\)"),
        (lambda q, k, v: dy.dot_product_attention(q, k, q), ShapeError, "do not fit"),
        (lambda q, k, v: dy.dot_product_attention(k, q, q, causal=True), ShapeError, "4 queries needs at least"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, MASK.T), ShapeError, r"must be \(4, 3\), for 4 keys"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, MASK * 2), ArgumentTypeError, "table of True and False"),
        (lambda q, k, v: dy.dot_product_attention(q, k, v, causal=2), ArgumentTypeError, "causal must be True or"),  # type: ignore[arg-type]
    ],
)
def test_refused_calls(call, error, match):
    with pytest.raises(error, match=f"^dot_product_attention: .*{match}"):
        call(*inputs()[1])
