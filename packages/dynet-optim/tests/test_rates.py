"""Learning rates: initial values, schedules, and changes made by programs."""

import sys

import numpy as np
import pytest
from trainer_models import Model, set_gradient, without_gradients

from dynet_core import (
    ArgumentError,
    ParameterCollection,
)
from dynet_optim import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
)

# rates


def test_defaults():
    expected = {
        AdadeltaTrainer: 1.0, AdagradTrainer: 0.1, AdamTrainer: 0.001, AmsgradTrainer: 0.001,
        CyclicalSGDTrainer: 0.01, MomentumSGDTrainer: 0.01, RMSPropTrainer: 0.001, SimpleSGDTrainer: 0.1,
    }  # fmt: skip
    assert {kind: kind(ParameterCollection()).learning_rate for kind in expected} == expected


@without_gradients
def test_both_names_of_cyclical_rates():
    m = ParameterCollection()
    for names in (("e0_min", "e0_max"), ("learning_rate_min", "learning_rate_max")):
        trainer = CyclicalSGDTrainer(m, **dict(zip(names, (0.1, 0.3))), step_size=1)
        trainer.update()
        trainer.update()
        assert trainer.learning_rate == pytest.approx(0.3)
    with pytest.raises(ArgumentError, match="e0_min and learning_rate_min"):
        CyclicalSGDTrainer(m, e0_min=0.1, learning_rate_min=0.1)


def test_rate_falls_with_epochs():
    trainer = SimpleSGDTrainer(ParameterCollection(), 0.5, edecay=0.25)
    trainer.update_epoch()
    assert trainer.learning_rate == pytest.approx(0.5 / 1.25)
    trainer.update_epoch(3)
    assert trainer.learning_rate == pytest.approx(0.5 / 2)
    trainer.learning_rate = 0.1
    trainer.update_epoch(4)
    assert trainer.learning_rate == pytest.approx(0.1 * 2 / 3)
    trainer.set_learning_rate(0.7)
    assert trainer.learning_rate == 0.7


def test_rate_that_is_set_is_used():
    collection = ParameterCollection()
    parameter = collection.add_parameters(1, init=1.0)
    trainer = SimpleSGDTrainer(collection)
    trainer.learning_rate = np.float32(0.5)
    set_gradient(parameter, [1])
    trainer.update()
    assert parameter.value() == 0.5


def test_adadelta_goes_by_its_rate():
    steps = []
    for rate in (None, 1.0, 0.25):
        collection = ParameterCollection()
        parameter = collection.add_parameters(1, init=1.0)
        trainer = AdadeltaTrainer(collection)
        if rate is not None:
            trainer.learning_rate = rate
        set_gradient(parameter, [1])
        trainer.update()
        steps.append(1 - parameter.value())
    assert steps[0] == steps[1] > 0
    assert steps[2] == pytest.approx(steps[0] / 4, rel=1e-4)


@without_gradients
def test_cyclical_rate_follows_the_manual():
    low, high, step_size, gamma = 0.1, 0.5, 4, 0.9
    trainer = CyclicalSGDTrainer(ParameterCollection(), low, high, step_size, gamma)
    assert trainer.learning_rate == low
    for it in range(20):
        trainer.update()
        cycle = np.floor(1 + it / (2 * step_size))
        x = abs(it / step_size - 2 * cycle + 1)
        assert trainer.learning_rate == pytest.approx(low + (high - low) * max(0, 1 - x) * gamma**it)


def test_cyclical_rate_moves_parameters():
    collection = ParameterCollection()
    parameter = collection.add_parameters(1, init=0.0)
    trainer = CyclicalSGDTrainer(collection, 0.25, 0.75, step_size=2, edecay=1.0)
    used = []
    for _ in range(5):
        before = parameter.value()
        set_gradient(parameter, [1])
        trainer.update()
        used.append(before - parameter.value())
    assert used == [0.25, 0.25, 0.5, 0.75, 0.5], "as in DyNet, the first two updates go by the lowest rate"
    trainer.update_epoch()
    assert trainer.learning_rate == 0.125


def test_restart():
    collection = ParameterCollection()
    parameter = collection.add_parameters(1, init=1.0)
    trainer = MomentumSGDTrainer(collection, 0.5, edecay=1.0)

    def step():
        before = parameter.value()
        set_gradient(parameter, [1])
        trainer.update()
        return before - parameter.value()

    assert [step(), step()] == pytest.approx([0.5, 0.95], abs=1e-6)
    trainer.update_epoch()
    trainer.restart()
    assert step() == pytest.approx(0.25), "the momentum is forgotten, the rate is not"
    trainer.update_epoch()
    assert trainer.learning_rate == pytest.approx(0.125)
    trainer.restart(0.1)
    assert step() == pytest.approx(0.1)


def test_status(capsys):
    model = Model()
    trainer = SimpleSGDTrainer(model.collection)
    for size in (1e-3, 1e3, 1e3):
        model.draw_gradients(size)
        trainer.update()
    trainer.status()
    trainer.status()
    printed = capsys.readouterr()
    assert printed.err == "[lr=0.1 clips=2 updates=3] [lr=0.1 clips=0 updates=0] "
    assert printed.out == ""


class Written:
    """A user-defined stream without `flush`."""

    said = ""

    def write(self, text):
        self.said += text


class Gone:
    def write(self, text):
        raise OSError("input/output error")

    flush = write


def test_status_where_stderr_is_a_stream_of_the_program(monkeypatch):
    trainer = SimpleSGDTrainer(ParameterCollection())
    for stream in (Written(), Gone(), object(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        trainer.status()
        assert getattr(stream, "said", "[lr=").startswith("[lr=")


def test_clip_threshold_is_readable():
    trainer = SimpleSGDTrainer(ParameterCollection())
    assert trainer.get_clip_threshold() == 5.0
    trainer.set_clip_threshold(0.25)
    assert trainer.get_clip_threshold() == 0.25
    trainer.set_clip_threshold(-1)
    assert trainer.get_clip_threshold() == 0.0
