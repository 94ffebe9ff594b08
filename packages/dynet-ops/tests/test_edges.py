"""Ops on zeros, infinities, NaN, denormals and large scores, against IEEE 754 and numpy."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.op import OPS

TINY = np.float32(1e-45)  # the smallest denormal
EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, TINY, -TINY, 1e-39, -1e-39, 1e-30, -1e-30]
    + [3.4e38, -3.4e38, 88.7, -88.7, 89.0, -89.0, -103.0, -104.5, 1.0, -1.0, 0.5, -0.5, 2.5, -1.5, 1e6, -1e6, 9.02],
    np.float32,
)
UNARY = [op for op in OPS.values() if op.elementwise and len(op.samples[0].shapes) == 1]
of_unary_ops = pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
PRODUCTS_OF_DENORMALS = {"silu": 1e-42}  # x times a logistic with few digits left


@of_unary_ops
@pytest.mark.parametrize("size", [1, 20, 37])
def test_edges_pass_through_unary_ops(op, size):
    """Each edge value in full vectors, in their remainder, and alone."""
    edges = EDGES[~(np.isfinite(EDGES) & (np.abs(EDGES) > op.limit))]
    for start in range(len(edges)):
        x = np.resize(np.roll(edges, -start), size)
        renew_cg()
        actual = op.record(dy.inputVector(x), **op.samples[0].attributes).npvalue()
        with np.errstate(all="ignore"):
            expected = op.reference(x.astype(np.float64), **op.samples[0].attributes).astype(np.float32)
        atol = PRODUCTS_OF_DENORMALS.get(op.name, float(TINY))
        hint = "an op that divides denormal numbers needs a row in PRODUCTS_OF_DENORMALS"
        np.testing.assert_allclose(actual, expected, rtol=op.tolerance, atol=atol, err_msg=hint)
        zeros = (expected == 0) & (op.name != "rectify")  # the maximum of 0 and -0 may be either
        np.testing.assert_array_equal(np.signbit(actual[zeros]), np.signbit(expected[zeros]))


@of_unary_ops
@pytest.mark.parametrize("reach", [1e-3, 1.0, 10.0, 80.0, 1e5, 1e8])
def test_unary_ops_are_right_everywhere(op, reach):
    """Many values of both signs; a result computed alone is as accurate as one computed in a vector."""
    x = np.random.default_rng(7).uniform(-reach, reach, 5000).astype(np.float32)
    if op.name == "lgamma":
        x = np.abs(x)  # arguments near a zero of lgamma between two negative integers: see below
    with np.errstate(all="ignore"):
        expected = op.reference(x.astype(np.float64), **op.samples[0].attributes)
        known = np.isfinite(expected.astype(np.float32)) & (np.abs(expected) > 1e-37)
    actual = op.record(dy.inputVector(x), **op.samples[0].attributes).npvalue()
    np.testing.assert_allclose(actual[known], expected[known], rtol=op.tolerance)


def test_lgamma_of_negative_numbers():
    x = np.random.default_rng(8).uniform(-20, 0, 5000).astype(np.float32)
    expected = OPS["lgamma"].reference(x.astype(np.float64))
    np.testing.assert_allclose(dy.lgamma(dy.inputVector(x)).npvalue(), expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("name", [op.name for op in UNARY if op.limit < np.inf])
def test_angles_beyond_the_limit_count_as_zero(name):
    op = OPS[name]
    x = dy.inputVector([2.0**27 + 16, -(2.0**27) - 16, 1e20, -3.4e38])
    np.testing.assert_array_equal(op.record(x).npvalue(), [float(op.reference(np.array(0.0)))] * 4)
    at_the_limit = np.array([2.0**27, -(2.0**27), 2.0**27 - 8, 1e8, 12345678.0])
    np.testing.assert_allclose(op.record(dy.inputVector(at_the_limit)).npvalue(), op.reference(at_the_limit), rtol=2e-6)


def test_exact_limits():
    assert dy.log(dy.inputVector([0.0, -0.0])).value() == [-np.inf, -np.inf]
    assert np.isnan(dy.log(dy.inputVector([-1.0, -np.inf])).npvalue()).all()
    assert np.isnan(dy.sqrt(dy.inputVector([-1.0])).npvalue()).all()
    assert dy.exp(dy.inputVector([-np.inf, 1000.0, -1000.0])).value() == [0.0, np.inf, 0.0]
    assert dy.tanh(dy.inputVector([np.inf, -np.inf, 50.0, -9.02])).value() == [1.0, -1.0, 1.0, -1.0]
    assert np.abs(dy.tanh(dy.inputVector(np.linspace(-10, 10, 2001))).npvalue()).max() == 1
    assert dy.erf(dy.inputVector([np.inf, -np.inf, 4.5])).value() == [1.0, -1.0, 1.0]
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
    """A score of -inf has probability 0 in a softmax, and gets no gradient."""
    x = dy.inputVector([1.0, -np.inf, 1.0])
    assert dy.softmax(x).value() == [0.5, 0.0, 0.5]
    assert dy.log_softmax(x).value()[1] == -np.inf
    dy.pickneglogsoftmax(x, 0).backward(full=True)
    assert x.gradient().tolist() == [-0.5, 0.0, 0.5]


def test_nan_of_one_node_stays_there():
    """Memory that held a NaN does not affect what is computed there next."""
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


@pytest.mark.parametrize("restrict", [[0], [0, 2], [1], [0, 1, 2]])
def test_what_a_restricted_softmax_leaves_out_has_no_gradient(restrict):
    renew_cg()
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5])
    x = dy.inputVector(values)
    loss = dy.dot_product(dy.log_softmax(x, restrict), dy.inputVector(weights))
    loss.value()
    loss.backward(full=True)
    inside = np.isin(range(3), restrict)
    p = np.where(inside, np.exp(values), 0)
    expected = np.where(inside, weights - p / p.sum() * weights[inside].sum(), 0)
    np.testing.assert_allclose(x.gradient(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("left_out", [np.inf, -np.inf, np.nan, 3e38])
def test_what_a_restricted_softmax_leaves_out_may_be_anything(left_out):
    p = Model().parameters_from_numpy([left_out, 1.0, 2.0])
    renew_cg()
    y = dy.log_softmax(p, [1, 2])
    loss = -dy.pick(y, 2)
    assert loss.value() == pytest.approx(np.log1p(np.exp(-1)))
    assert y.npvalue()[0] == -np.inf
    loss.backward()
    share = 1 / (1 + np.exp(1))
    np.testing.assert_allclose(p.grad_as_array(), [0, share, -share], rtol=1e-6)


@pytest.mark.parametrize(
    "scores",
    [
        [-1e4, 1, 2],
        [-1e9, 1, 2],
        [-3e38, 1, 2],
        [-np.inf, 1, 2],
        [1e6, 1e6 + 1, 1e6 + 2],
        [-1e6, -1e6 + 1, -1e6 - 2],
        [3e38, 1, -3e38],
        [1, 1, 1],
    ],
)
def test_the_gradient_of_a_choice_that_is_far_below_the_best(scores):
    """Scores of -inf or -1e9 exclude choices, but here the right choice is an excluded one."""
    x = np.float32(scores).astype(np.float64)
    share = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    for pick in range(3):
        expected = share - (np.arange(3) == pick)
        others = share - (np.arange(3) == (pick + 1) % 3)
        p = Model().parameters_from_numpy(scores)
        renew_cg()
        loss = dy.pickneglogsoftmax(p, pick)
        loss.value()
        loss.backward()
        np.testing.assert_allclose(p.grad_as_array(), expected, rtol=1e-5, atol=1e-6)
        p.scale_gradient(0)
        renew_cg()
        batch = dy.concatenate_to_batch([p, dy.nobackprop(p), p * 1.0])
        dy.sum_batches(dy.pickneglogsoftmax_batch(batch, [pick, 0, (pick + 1) % 3])).backward()
        np.testing.assert_allclose(p.grad_as_array(), expected + others, rtol=1e-5, atol=1e-6)


def test_losses_of_choices_have_gradients_of_their_own():
    """A loss node also stores data for its gradient, which must not enter its value, its gradient or sums."""
    p = Model().parameters_from_numpy(np.arange(6.0).reshape(3, 2))
    renew_cg()
    losses = dy.pickneglogsoftmax_batch(dy.reshape(p, (3,), batch_size=2), [0, 2])
    weighted = dy.cmult(losses, dy.inputTensor([[1.0, -3.0]], batched=True))
    loss = dy.sum_batches(weighted) + dy.sum_batches(dy.reshape(losses, (1, 1), batch_size=2))
    value = losses.npvalue()
    assert value.shape == (1, 2) and loss.value() == pytest.approx(float(value.ravel() @ [2, -2]), rel=1e-6)
    loss.backward(full=True)
    np.testing.assert_array_equal(losses.gradient(), [[2.0, -2.0]])
    x = np.arange(6.0).reshape(3, 2)
    share = np.exp(x) / np.exp(x).sum(0)
    np.testing.assert_allclose(p.grad_as_array(), [2, -2] * (share - [[1, 0], [0, 0], [0, 1]]), rtol=1e-5)
