"""Each trainer against its equations in float64."""

import numpy as np
import pytest
import trainer_reference as reference
from trainer_models import Model, set_gradient, without_gradients
from trainer_reference import Reference

from dynet_optim import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
)

CASES = {
    "SGD": (SimpleSGDTrainer, {}, reference.sgd(), 0, 0.1),
    "SGD, rate": (SimpleSGDTrainer, {"e0": 0.7}, reference.sgd(), 0, 0.7),
    "momentum": (MomentumSGDTrainer, {}, reference.momentum(), 1, 0.01),
    "momentum, 0.5": (MomentumSGDTrainer, {"e0": 0.1, "mom": 0.5}, reference.momentum(0.5), 1, 0.1),
    "Adagrad": (AdagradTrainer, {}, reference.adagrad(), 1, 0.1),
    "Adagrad, eps": (AdagradTrainer, {"e0": 0.3, "eps": 0.1}, reference.adagrad(0.1), 1, 0.3),
    "Adadelta": (AdadeltaTrainer, {}, reference.adadelta(), 2, 1.0),
    "Adadelta, rho": (AdadeltaTrainer, {"eps": 1e-3, "rho": 0.5}, reference.adadelta(1e-3, 0.5), 2, 1.0),
    "RMSProp": (RMSPropTrainer, {}, reference.rmsprop(), 1, 0.001),
    "RMSProp, rho": (RMSPropTrainer, {"e0": 0.1, "eps": 0.1, "rho": 0}, reference.rmsprop(0.1, 0), 1, 0.1),
    "Adam": (AdamTrainer, {}, reference.adam(), 2, 0.001),
    "Adam, betas": (
        AdamTrainer,
        {"alpha": 0.1, "beta_1": 0.5, "beta_2": 0.75, "eps": 1e-2},
        reference.adam(0.5, 0.75, 1e-2),
        2,
        0.1,
    ),
    "Adam, betas 0": (AdamTrainer, {"beta_1": 0, "beta_2": 0}, reference.adam(0, 0), 2, 0.001),
    "Amsgrad": (AmsgradTrainer, {}, reference.adam(largest=True), 3, 0.001),
    "Amsgrad, betas": (
        AmsgradTrainer,
        {"alpha": 0.1, "beta_2": 0.5},
        reference.adam(0.9, 0.5, largest=True),
        3,
        0.1,
    ),
}
SIZES = (1.0, 0.01, 3.0, 1e-6, 0.1, 1e3, 0.2)  # of gradients, update by update; some are clipped


def assert_equal_steps(model, trainer, expected, sizes=SIZES, s=1.0):
    start = model.values()
    for size in sizes:
        gradients, touched = model.draw_gradients(size)
        trainer.update(s) if s != 1.0 else trainer.update()
        expected.update(gradients, touched, s)
    for before, value, wanted in zip(start, model.values(), expected.values):
        assert value == pytest.approx(wanted, rel=2e-6, abs=2e-6 * max(np.abs(wanted - before).max(), 0.1))
    assert all(not gradient.any() for gradient in model.gradients())


@pytest.mark.parametrize("s", [1.0, 0.25, 30.0, -2.0])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_equations(case, dense, s):
    trainer_type, settings, rule, states, rate = CASES[case]
    model = Model()
    trainer = trainer_type(model.collection, **settings)
    trainer.set_sparse_updates(not dense)
    expected = Reference(rule, states, rate, model.values()[:7], model.values()[7:], dense=dense)
    assert_equal_steps(model, trainer, expected, s=s)
    assert 0 < expected.clips < len(SIZES)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 0.01, 100.0, float("inf")])
def test_clip_threshold(threshold, capsys):
    model = Model()
    trainer = SimpleSGDTrainer(model.collection)
    trainer.set_clip_threshold(threshold)
    values = model.values()
    expected = Reference(reference.sgd(), 0, 0.1, values[:7], values[7:], threshold=threshold)
    assert_equal_steps(model, trainer, expected, sizes=(1.0, 1e-3, 100.0))
    trainer.status()
    assert f"clips={expected.clips} " in capsys.readouterr().err


def test_fifty_updates_stay_together():
    model = Model()
    trainer = AdamTrainer(model.collection, alpha=0.01)
    values = model.values()
    expected = Reference(reference.adam(), 2, 0.01, values[:7], values[7:])
    assert_equal_steps(model, trainer, expected, sizes=(0.1,) * 50)


@without_gradients
@pytest.mark.parametrize(
    "trainer_type, settings",
    [
        (MomentumSGDTrainer, {}),
        (AdadeltaTrainer, {"rho": 0.9}),
        (RMSPropTrainer, {}),
        (AdamTrainer, {"beta_2": 0.9}),
        (AmsgradTrainer, {"beta_2": 0.9}),
    ],
)
def test_averages_of_gradients_that_are_zero_become_zero(trainer_type, settings):
    """They would come to a halt among the denormal numbers, where an update takes twenty times as long."""
    model = Model()
    trainer = trainer_type(model.collection, **settings)
    trainer.set_sparse_updates(False)
    model.draw_gradients(1.0)
    for _ in range(900):
        trainer.update()
    states = np.concatenate([state.array for kept in trainer._table.kept.values() for state in kept])
    smallest = np.finfo(np.float32).smallest_normal
    assert not ((states != 0) & (np.abs(states) < smallest)).any()
    if trainer_type in (MomentumSGDTrainer, RMSPropTrainer):
        assert not states.any()


def test_norm_of_a_large_model_is_accurate():
    model = Model(shapes=[(1 << 22,)], tables=[])
    set_gradient(model.parameters[0], np.full(1 << 22, 0.1))
    trainer = SimpleSGDTrainer(model.collection)
    norm = float(np.float32(0.1)) * 2**11
    assert trainer._prepared().squared_norm(0) == pytest.approx(norm**2, rel=1e-10)


def test_large_gradients_are_clipped_not_refused():
    model = Model(shapes=[(3,)], tables=[])
    start = model.values()[0]
    trainer = SimpleSGDTrainer(model.collection, 1.0)
    set_gradient(model.parameters[0], [3e38, 0, -3e38])
    trainer.update()
    step = 5 / np.sqrt(2)
    assert model.values()[0] - start == pytest.approx(np.array([-step, 0, step]), rel=1e-5)


@without_gradients
def test_whole_table_once():
    """A table whose gradient is not a matter of rows is updated whole, once."""
    model = Model(shapes=[], tables=[(6, 3)])
    (table,) = model.tables
    trainer = AdamTrainer(model.collection)
    gradient = model.normal((6, 3))
    before = table.as_array()
    table._storage.gradient.array[:] = gradient.ravel()
    table._dense_gradient = True
    trainer.update()
    assert not table._dense_gradient
    assert table.as_array() == pytest.approx(before - 0.001 * np.sign(gradient), abs=1e-6)
    before = table.as_array()
    trainer.update()
    assert np.array_equal(table.as_array(), before), "no row was used"
