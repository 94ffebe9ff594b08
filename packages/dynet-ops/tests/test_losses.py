"""Losses where rounding is hard: probabilities near 0 and 1, infinite scores."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg


def with_gradients(loss, *operands):
    """The value of a loss of vectors, and its gradients."""
    renew_cg()
    xs = [dy.inputVector(operand) for operand in operands]
    z = loss(*xs)
    z.backward(full=True)
    return [z.npvalue(), *[x.gradient() for x in xs]]


def test_a_log_loss_is_precise_near_its_bounds():
    for x in np.concatenate([10.0 ** np.arange(-30, 0), np.linspace(0.01, 0.99, 99)]).astype(np.float32):
        exact = np.float64(x)
        z, dx, dt = with_gradients(dy.binary_log_loss, [x], [0])
        assert z == pytest.approx(-np.log1p(-exact), rel=3e-7)
        assert dx == pytest.approx(1 / (1 - exact), rel=3e-7)
        assert dt == pytest.approx(np.log1p(-exact) - np.log(exact), rel=3e-7, abs=1e-7)


def test_a_log_loss_ignores_the_logarithm_that_has_no_weight():
    above, below = np.nextafter(np.float32(1), np.float32(2)), np.float32(-1e-7)
    for x, truth, loss, slope in [
        (above, 1, -np.log(np.float64(above)), -1 / np.float64(above)),
        (below, 0, -np.log1p(-np.float64(below)), 1 / (1 - np.float64(below))),
        (0, 0, 0, 1),
        (1, 1, 0, -1),
    ]:
        z, dx, _ = with_gradients(dy.binary_log_loss, [x], [truth])
        assert z == pytest.approx(loss, rel=1e-6) and np.signbit(z) == (loss < 0)
        assert dx == pytest.approx(slope, rel=1e-6)
    for x, truth in [(above, 0), (below, 1), (np.nan, 0), (np.nan, 1), (0.5, np.nan)]:
        assert np.isnan(with_gradients(dy.binary_log_loss, [x], [truth])[0]).all()


def test_a_log_loss_at_its_bounds_is_finite():
    most = -np.log(1.17549435e-38)
    for x, truth, slope in [(0, 1, -1 / 1.17549435e-38), (1e-42, 1, -1 / 1.17549435e-38), (1, 0, 2.0**24)]:
        z, dx, dt = with_gradients(dy.binary_log_loss, [x], [truth])
        assert z == pytest.approx(96.7 if x == 1e-42 else most, rel=1e-3) and dx == pytest.approx(slope)
        assert dt == pytest.approx(-most if x == 1 else z)


@pytest.mark.parametrize("score", [-1000, -110, -104, -103, -95, -89, -88, -87, -10, 0, 10, 16, 17, 20, 100])
def test_the_log_loss_of_a_logistic_has_the_gradient_of_the_scores(score):
    def loss(a, y):
        return dy.binary_log_loss(dy.logistic(a), y)

    for_one, for_zero = (with_gradients(loss, [score], [y])[1] for y in (1, 0))
    true = np.exp(-np.logaddexp(0.0, -score))
    assert for_one == pytest.approx(true - 1, rel=1e-5)
    if score < 10:
        assert for_zero == pytest.approx(true, rel=1e-5, abs=1.2e-38)
    else:  # 1 - logistic(a) has few digits, or none
        assert 0 <= for_zero <= 1.0001


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize(
    ("scores", "loss", "slopes"),
    [
        ([np.inf, 0, 1], 0, [0, 0, 0]),
        ([-np.inf, 0, 1], np.inf, [-2, 1, 1]),
        ([0, -np.inf, 1], 2, [-1, 0, 1]),
        ([0, np.inf, 1], np.inf, [-2, 1, 1]),
        ([np.inf, np.inf, 1], 1, [0, 0, 0]),
        ([np.nan, 0, 1], np.nan, [0, 0, 0]),
        ([np.inf, np.nan, 1], np.nan, [0, 0, 0]),
    ],
)
def test_hinge_losses_of_infinite_scores(scores, loss, slopes, size):
    x = np.array([*scores, *[-np.inf] * (size - len(scores))])
    z, dx = with_gradients(lambda x: dy.hinge(x, 0), x)
    assert z.tolist() == pytest.approx([loss], nan_ok=True)
    assert dx.tolist() == [*slopes, *[0] * (size - len(scores))]
    columns = np.stack([x, x], axis=1)
    for several in (
        dy.hinge_batch(dy.inputTensor(columns, batched=True), [0, 0]),
        dy.hinge_dim(dy.inputTensor(columns), [0, 0]),
        dy.hinge_dim(dy.inputTensor(columns.T), [0, 0], 1),
    ):
        assert several.npvalue().ravel().tolist() == pytest.approx([loss, loss], nan_ok=True)
