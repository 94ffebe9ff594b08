"""Adam's steps are accurate for gradients of any size, also where a CPU refines estimates of roots and quotients."""

import warnings

import numpy as np
import pytest

import dynet_core as dy
from dynet_core.errors import DynetWarning
from dynet_optim import AdamTrainer, AmsgradTrainer

SIZES = [*10.0 ** np.arange(-30, 39), 2e20, 5.7e20, 5.83e20, 5.84e20, 3.4e38]
GRADIENTS = np.array([0.0, *SIZES, *(-size for size in SIZES)], np.float32)


@pytest.mark.parametrize("trainer", [AdamTrainer, AmsgradTrainer])
@pytest.mark.parametrize("eps", [1e-8, 1e-3, 1e-20])
def test_the_first_step(trainer, eps):
    model = dy.ParameterCollection()
    p = model.parameters_from_numpy(np.zeros(len(GRADIENTS)))
    p._storage.set_gradient(GRADIENTS)
    optimizer = trainer(model, alpha=0.5, eps=eps)
    optimizer.set_clip_threshold(0)
    optimizer.update()
    one, beta_1, beta_2 = np.float32(1), np.float32(0.9), np.float32(0.999)
    with np.errstate(over="ignore"):  # the square of a large gradient is infinite, so the step is 0
        m, v = GRADIENTS * (one - beta_1), GRADIENTS * GRADIENTS * (one - beta_2)
    rate = 0.5 * np.sqrt(1 - float(beta_2)) / (1 - float(beta_1))
    expected = -rate * m.astype(np.float64) / (np.sqrt(v.astype(np.float64)) + eps)
    usual = (v == 0) | (v > 1e-36)  # squares that are denormal keep few digits
    np.testing.assert_allclose(p.as_array()[usual], expected[usual], rtol=2e-6, atol=1e-37)
    assert np.isfinite(p.as_array()).all()


@pytest.mark.parametrize("trainer", [AdamTrainer, AmsgradTrainer])
def test_nothing_changes_without_gradients_however_small_eps_is(trainer):
    model = dy.ParameterCollection()
    p = model.parameters_from_numpy(np.ones(20))
    optimizer = trainer(model, eps=1e-40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DynetWarning)  # there are no gradients
        optimizer.update()
    assert p.as_array().tolist() == [1.0] * 20
