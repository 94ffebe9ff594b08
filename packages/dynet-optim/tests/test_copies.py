"""Trainers can be pickled and copied, and training continues from the copy."""

import copy
import pickle

import numpy as np
import pytest

import dynet_core as dy
import dynet_optim
from dynet_optim import registry

TRAINERS = list(registry.TRAINERS)


def step(model, number):
    """Set gradients that are determined by a number."""
    generator = np.random.default_rng(number)
    for p in model._all_parameters():
        rows = np.zeros(p._storage.values.floats, np.float32)
        rows[: rows.size // 2] = generator.standard_normal(rows.size // 2)
        p._storage.set_gradient(rows)


def trained(trainer, model, begin, end):
    for number in range(begin, end):
        step(model, number)
        trainer.update()
        trainer.update_epoch(0.5)
    return [p.as_array().tolist() for p in model._all_parameters()] + [trainer.learning_rate]


def begun(name):
    model = dy.ParameterCollection()
    model.add_parameters((3, 2), init=1)
    model.add_lookup_parameters((4, 2), init=1)
    model.set_weight_decay(0.01)
    trainer = getattr(dynet_optim, name)(model, edecay=0.1)
    trainer.set_clip_threshold(1.5)
    trained(trainer, model, 0, 5)
    return trainer, model


WAYS = {
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
    "deepcopy": copy.deepcopy,
    "the trainer alone": lambda pair: (found := pickle.loads(pickle.dumps(pair[0])), found._collection),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TRAINERS)
def test_a_copy_with_its_model_goes_on_alike(name, way):
    trainer, model = begun(name)
    other, copied = WAYS[way]((trainer, model))
    assert type(other) is type(trainer) and other._collection is copied is not model
    there = trained(other, copied, 5, 12)
    assert trained(trainer, model, 5, 12) == there


@pytest.mark.parametrize("name", TRAINERS)
def test_a_shallow_copy_trains_the_same_collection_with_a_memory_of_its_own(name):
    trainer, model = begun(name)
    other = copy.copy(trainer)
    assert other._collection is model
    before = [p.as_array() for p in model._all_parameters()]
    there = trained(other, model, 5, 12)
    for p, values in zip(model._all_parameters(), before):
        p.set_value(values)
    assert trained(trainer, model, 5, 12) == there


def test_a_trainer_says_what_it_trains():
    model = dy.ParameterCollection()
    trainer = dynet_optim.AdamTrainer(model, alpha=0.01)
    assert repr(trainer) == "<AdamTrainer of /: 0 parameters, 0 numbers; learning rate 0.01, 0 updates>"
    model.add_parameters((3, 2))
    model.add_lookup_parameters((100, 20)).set_updated(False)
    trained(trainer, model, 0, 1)
    assert repr(trainer) == (
        "<AdamTrainer of /: 1 parameter, 1 lookup parameter, 2,006 numbers, 1 frozen; learning rate 0.01, 1 update>"
    )


class Slotted(dynet_optim.SimpleSGDTrainer):
    __slots__ = ("__hidden", "steps", "unset")

    def hide(self, value):
        self.__hidden = value

    def hidden(self):
        return self.__hidden


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_the_slots_of_a_subclass(copied):
    trainer = Slotted(dy.ParameterCollection(), 0.5)
    trainer.steps, trainer.more = [3], 4
    trainer.hide(5)
    other = copied(trainer)
    assert (other.steps, other.more, other.hidden(), other.learning_rate) == ([3], 4, 5, 0.5)
    assert not hasattr(other, "unset") and vars(other).keys() == vars(trainer).keys()


def test_pickles_of_trainers_without_slots_can_be_read():
    trainer = dynet_optim.SimpleSGDTrainer(dy.ParameterCollection(), 0.5)
    other = object.__new__(dynet_optim.SimpleSGDTrainer)
    other.__setstate__(trainer.__getstate__()[:2])
    assert other.learning_rate == 0.5


def test_pickles_of_trainers_that_counted_by_themselves_can_be_read():
    trainer, _ = begun("AdamTrainer")
    settings, kept, _ = trainer.__getstate__()
    del settings["_counts"]
    other = object.__new__(dynet_optim.AdamTrainer)
    other.__setstate__(({**settings, "_updates": 5, "_recent_updates": 5, "_recent_clips": 0}, kept))
    assert (other._updates, repr(other)) == (5, repr(trainer))
