"""Invalid settings and arguments of trainers raise clear errors."""

import re

import numpy as np
import pytest
from trainer_models import Model

from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    ParameterCollection,
)
from dynet_optim import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
)

# errors

BAD_SETTINGS = [
    (SimpleSGDTrainer, {"e0": -0.1}, "SGDTrainer: the learning rate must be a finite number, 0 or more"),
    (SimpleSGDTrainer, {"e0": float("nan")}, "got nan"),
    (SimpleSGDTrainer, {"learning_rate": float("inf")}, "got inf"),
    (SimpleSGDTrainer, {"e0": 1e39}, r"got 1e\+39"),
    (SimpleSGDTrainer, {"edecay": -1}, "SimpleSGDTrainer: edecay must be"),
    (MomentumSGDTrainer, {"mom": 1.0}, "MomentumSGDTrainer: mom must be at least 0 and less than 1, got 1.0"),
    (MomentumSGDTrainer, {"mom": -0.1}, "mom"),
    (AdagradTrainer, {"eps": 0}, "eps must be a positive number, got 0"),
    (AdagradTrainer, {"eps": 1e-50}, "eps must be a positive number, got 1e-50"),
    (AdadeltaTrainer, {"rho": 1}, "rho"),
    (AdadeltaTrainer, {"eps": float("nan")}, "eps"),
    (RMSPropTrainer, {"rho": float("nan")}, "rho"),
    (AdamTrainer, {"alpha": -1}, "AdamTrainer: the learning rate"),
    (AdamTrainer, {"beta_1": 1}, "beta_1"),
    (AdamTrainer, {"beta_2": 0.99999999999}, "beta_2 must be at least 0 and less than 1"),
    (AdamTrainer, {"eps": -1e-8}, "eps"),
    (CyclicalSGDTrainer, {"e0_min": 0.2}, "e0_min is 0.2, above e0_max, which is 0.1"),
    (CyclicalSGDTrainer, {"step_size": 0}, "step_size"),
    (CyclicalSGDTrainer, {"gamma": 0.0}, "gamma"),
    (CyclicalSGDTrainer, {"gamma": 1.5}, "gamma must be more than 0 and at most 1"),
]


@pytest.mark.parametrize("trainer_type, settings, message", BAD_SETTINGS)
def test_settings_out_of_range(trainer_type, settings, message):
    with pytest.raises(ArgumentError, match=message):
        trainer_type(ParameterCollection(), **settings)


@pytest.mark.parametrize("value", ["0.1", None, [0.1], 1j])
def test_settings_of_another_type(value):
    with pytest.raises(ArgumentTypeError, match="AdamTrainer: eps must be a number"):
        AdamTrainer(ParameterCollection(), eps=value)


@pytest.mark.parametrize("m", [None, 3, [], Model().parameters[0]])
def test_something_else_than_a_collection(m):
    with pytest.raises(ArgumentTypeError, match="AdamTrainer: expected a ParameterCollection, got"):
        AdamTrainer(m)


def test_arguments_out_of_range():
    model = Model()
    trainer = SimpleSGDTrainer(model.collection, edecay=1.0)
    before = model.values()
    model.draw_gradients()
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="update: s must be a finite number"):
            trainer.update(bad)
        with pytest.raises(ArgumentError, match="update_epoch: r must be a finite number"):
            trainer.update_epoch(bad)
        with pytest.raises(ArgumentError, match="learning_rate"):
            trainer.learning_rate = bad
    with pytest.raises(ArgumentError, match="leads back to epoch -2"):
        trainer.update_epoch(-2)
    with pytest.raises(ArgumentError, match="thr is nan"):
        trainer.set_clip_threshold(float("nan"))
    with pytest.raises(ArgumentTypeError, match="thr must be a number"):
        trainer.set_clip_threshold("5")
    trainer.learning_rate = 3e38
    trainer.set_clip_threshold(0)
    with pytest.raises(ArgumentError, match="too large"):
        trainer.update(100.0)
    assert all(np.array_equal(*pair) for pair in zip(before, model.values()))


@pytest.mark.parametrize("eps", ["1e-8", None, 1e300])
def test_what_a_rule_cannot_read_as_a_number(eps):
    model = Model()
    trainer, before = AdamTrainer(model.collection), model.values()
    model.draw_gradients()
    trainer._eps = eps
    with pytest.raises(ArgumentError, match=f"missing or too large: .*'eps': {re.escape(repr(eps))}"):
        trainer.update()
    assert all(np.array_equal(*pair) for pair in zip(before, model.values()))


class Quick(AdamTrainer):
    def __init__(self, model):
        self.model = model


class Words(ParameterCollection):
    def __init__(self):
        self.words = self.add_lookup_parameters((2, 3))


class Late(ParameterCollection):
    def __init__(self):
        self.size = 3


@pytest.mark.parametrize(
    "use, name",
    [
        (lambda m: Quick(m).update(), "Quick"),
        (lambda m: Quick(m).learning_rate, "Quick"),
        (lambda m: Words(), "Words"),
        (lambda m: Late().add_parameters(2), "Late"),
        (lambda m: Late().parameters_list(), "Late"),
    ],
)
def test_a_subclass_that_does_not_call_its_base_is_told(use, name):
    with pytest.raises(AttributeError, match=rf"{name}\.__init__ has not called super\(\)\.__init__"):
        use(ParameterCollection())
