"""Zeros, infinities, NaN, denormals and large scores go through ops as IEEE 754 and numpy say."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.op import OPS

TINY = np.float32(1e-45)  # the smallest denormal
EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, TINY, -TINY, 1e-39, -1e-39, 1e-30, -1e-30]
    + [3.4e38, -3.4e38, 88.7, -88.7, 89.0, -103.0, -104.5, 1.0, -1.0],
    np.float32,
)
UNARY = [
    "abs", "cube", "exp", "log", "logistic", "negative", "rectify", "softsign", "sqrt", "square", "tanh",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("size", [1, 20, 37])
def test_edges_pass_through_unary_ops(name, size):
    """Each edge in full vectors, in their rest, and alone."""
    op = OPS[name]
    for start in range(len(EDGES)):
        x = np.resize(np.roll(EDGES, -start), size)
        renew_cg()
        actual = op.record(dy.inputVector(x)).npvalue()
        with np.errstate(all="ignore"):
            expected = op.reference(x.astype(np.float64)).astype(np.float32)
        np.testing.assert_allclose(actual, expected, rtol=op.tolerance, atol=float(TINY))
        zeros = (expected == 0) & (name != "rectify")  # the larger of 0 and -0 is either
        np.testing.assert_array_equal(np.signbit(actual[zeros]), np.signbit(expected[zeros]))


def test_exact_limits():
    assert dy.log(dy.inputVector([0.0, -0.0])).value() == [-np.inf, -np.inf]
    assert np.isnan(dy.log(dy.inputVector([-1.0, -np.inf])).npvalue()).all()
    assert np.isnan(dy.sqrt(dy.inputVector([-1.0])).npvalue()).all()
    assert dy.exp(dy.inputVector([-np.inf, 1000.0, -1000.0])).value() == [0.0, np.inf, 0.0]
    assert dy.tanh(dy.inputVector([np.inf, -np.inf, 50.0])).value() == pytest.approx([1.0, -1.0, 1.0], abs=3e-7)
    assert dy.logistic(dy.inputVector([np.inf, -np.inf, 200.0])).value() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (lambda x: x + dy.inputVector([1, 1, -np.inf]), [np.inf, np.nan, np.nan]),
        (lambda x: x * 0.0, [np.nan, np.nan, np.nan]),
        (lambda x: 1 / x, [0.0, np.nan, 0.0]),
        (lambda x: x / dy.inputVector([0, 0, 0]), [np.inf, np.nan, np.inf]),
        (lambda x: dy.cdiv(dy.inputVector([1, -1, 0]), dy.inputVector([0, 0, 0])), [np.inf, -np.inf, np.nan]),
    ],
)
def test_arithmetic(record, expected):
    x = dy.inputVector([np.inf, np.nan, np.inf])
    np.testing.assert_array_equal(record(x).npvalue(), np.array(expected, np.float32))


@pytest.mark.parametrize("size", [1, 2, 16, 21, 40])
def test_a_nan_is_the_largest_and_the_smallest(size):
    for place in range(size):
        x = np.arange(size, dtype=np.float32)
        x[place] = np.nan
        renew_cg()
        assert np.isnan(dy.max_dim(dy.inputVector(x)).value())
        assert np.isnan(dy.min_dim(dy.inputVector(x)).value())


def test_extremes_of_infinities():
    x = dy.inputTensor(np.array([[np.inf, -np.inf, 1.0], [-np.inf, -np.inf, np.inf]]))
    assert dy.max_dim(x).value() == [np.inf, -np.inf, np.inf]
    assert dy.min_dim(x).value() == [-np.inf, -np.inf, 1.0]


def test_the_first_of_equals_gets_the_gradient():
    for pick in (dy.max_dim, dy.min_dim):
        renew_cg()
        x = dy.inputVector([2.0] * 35)
        pick(x).backward(full=True)
        assert x.gradient().tolist() == [1.0] + [0.0] * 34


# Large scores ------------------------------------------------------------------------------------------------

SCORES = [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [1e4, 1e4 - 1, -1e4], [-1e4, 0.0, 1e-3]]


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("repeats", [1, 7])
def test_softmax_of_large_scores(scores, repeats):
    scores = np.tile(np.array(scores, np.float32), repeats)
    x = dy.inputVector(scores)
    shifted = scores.astype(np.float64) - scores.max()
    expected = shifted - np.log(np.exp(shifted).sum())
    np.testing.assert_allclose(dy.softmax(x).npvalue(), np.exp(expected), rtol=1e-5, atol=1e-7)
    logs = dy.log_softmax(x)
    np.testing.assert_allclose(logs.npvalue(), expected, rtol=2e-6, atol=2e-6)
    for right in range(3):
        loss = dy.pickneglogsoftmax(x, right)
        assert loss.value() == pytest.approx(-expected[right], rel=2e-6, abs=2e-6)
    total = dy.sum_elems(logs) + dy.sum_elems(dy.softmax(x)) + dy.pickneglogsoftmax(x, 0)
    total.backward(full=True)
    assert np.isfinite(x.gradient()).all()


def test_the_gradient_of_a_loss_of_large_scores():
    x = dy.inputVector([1e4, -1e4, 0.0])
    dy.pickneglogsoftmax(x, 1).backward(full=True)
    assert x.gradient().tolist() == [1.0, -1.0, 0.0]


def test_losses_of_a_batch_do_not_meet():
    x = dy.inputTensor(np.array([[1e4, 0.0, np.nan], [-1e4, 0.0, 1.0]]), batched=True)
    losses = dy.pickneglogsoftmax_batch(x, [1, 0, 0]).npvalue()[0]
    assert losses[:2] == pytest.approx([2e4, np.log(2)])
    assert np.isnan(losses[2])


def test_excluded_scores():
    """A score of -inf has no part in a softmax, and gets no gradient."""
    x = dy.inputVector([1.0, -np.inf, 1.0])
    assert dy.softmax(x).value() == [0.5, 0.0, 0.5]
    assert dy.log_softmax(x).value()[1] == -np.inf
    dy.pickneglogsoftmax(x, 0).backward(full=True)
    assert x.gradient().tolist() == [-0.5, 0.0, 0.5]


def test_nan_of_one_node_stays_there():
    """Memory that held a NaN is no part of what is computed there next."""
    W = np.ones((3, 3))
    for _ in range(2):
        renew_cg()
        assert np.isnan((dy.inputTensor(W * np.nan) * dy.inputVector([1, 2, 3])).npvalue()).all()
        renew_cg()
        x = dy.inputVector([1, 2, 3])
        y = dy.inputTensor(W) * x
        assert y.value() == [6.0, 6.0, 6.0]
        dy.sum_elems(y).backward(full=True)
        assert x.gradient().tolist() == [3.0, 3.0, 3.0]
