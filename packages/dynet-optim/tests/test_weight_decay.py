"""Weight decay: each update multiplies the parameters that it may change by 1 - lam."""

import numpy as np
import pytest
from trainer_models import Model, without_gradients

import dynet_optim
from dynet_core import ArgumentError, ArgumentTypeError, GradientError, ParameterCollection, config
from dynet_optim import SimpleSGDTrainer, registry

TRAINERS = list(registry.TRAINERS)
DECAY = 0.1


def pair(trainer: str):
    """Two equal models with their trainers."""
    models = Model(), Model()
    return [(model, getattr(dynet_optim, trainer)(model.collection)) for model in models]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_an_update_is_that_without_decay_and_then_shrinks(trainer):
    (plain, one), (decaying, other) = pair(trainer)
    decaying.collection.set_weight_decay(DECAY)
    for _ in range(3):
        for p, q in zip(plain.collection._all_parameters(), decaying.collection._all_parameters()):
            q._storage.values.array[:] = p._storage.values.array
        plain.draw_gradients()
        decaying.draw_gradients()
        one.update()
        other.update()
        for expected, found in zip(plain.values(), decaying.values()):
            np.testing.assert_allclose(found, expected * np.float32(1 - DECAY), rtol=3e-7)
        assert not any(gradient.any() for gradient in decaying.gradients())


@without_gradients
def test_rows_that_were_not_used_shrink_too():
    collection = ParameterCollection()
    table = collection.lookup_parameters_from_numpy(np.ones((5, 3)))
    collection.set_weight_decay(0.5)
    SimpleSGDTrainer(collection).update()
    assert (table.as_array() == 0.5).all()


@without_gradients
def test_parameters_that_are_not_updated_keep_their_values():
    collection = ParameterCollection()
    frozen, trained = collection.add_parameters(2, init=1.0), collection.add_parameters(2, init=1.0)
    table = collection.lookup_parameters_from_numpy(np.ones((2, 2)))
    frozen.set_updated(False)
    table.set_updated(False)
    collection.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(collection)
    trainer.update()
    assert frozen.value() == [1, 1] and (table.as_array() == 1).all()
    assert trained.value() == [0.5, 0.5]
    frozen.set_updated(True)
    trainer.update()
    assert (frozen.value(), trained.value()) == ([0.5, 0.5], [0.25, 0.25])


@without_gradients
def test_a_subset_shrinks_alone():
    collection = ParameterCollection()
    first, second = collection.add_parameters(2, init=1.0), collection.add_parameters(2, init=1.0)
    table = collection.lookup_parameters_from_numpy(np.ones((2, 2)))
    collection.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(collection)
    trainer.update_subset([1], [])
    assert (first.value(), second.value()) == ([1, 1], [0.5, 0.5])
    trainer.update_subset([], [0])
    assert (table.as_array() == 0.5).all()
    trainer.update()
    assert (first.value(), second.value()) == ([0.5, 0.5], [0.25, 0.25])
    assert (table.as_array() == 0.25).all()


@without_gradients
def test_a_subcollection_trained_by_itself_goes_by_its_own():
    collection = ParameterCollection()
    part = collection.add_subcollection()
    outer, inner = collection.add_parameters(1, init=1.0), part.add_parameters(1, init=1.0)
    part.set_weight_decay(0.5)
    SimpleSGDTrainer(part).update()
    assert (outer.value(), inner.value()) == (1.0, 0.5)
    SimpleSGDTrainer(collection).update()
    assert (outer.value(), inner.value()) == (1.0, 0.5)


@without_gradients
def test_parameters_added_later_shrink():
    collection = ParameterCollection()
    collection.add_parameters(1, init=1.0)
    collection.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(collection)
    trainer.update()
    later = collection.add_parameters(1, init=1.0)
    trainer.update()
    assert later.value() == 0.5


@without_gradients
def test_a_small_decay_is_not_lost_in_rounding():
    collection = ParameterCollection()
    p = collection.add_parameters(1000, init="uniform")
    before = np.abs(p.as_array().astype(float)).sum()
    collection.set_weight_decay(1e-6)
    trainer = SimpleSGDTrainer(collection)
    for _ in range(1000):
        trainer.update()
    lost = 1 - np.abs(p.as_array().astype(float)).sum() / before
    assert lost == pytest.approx(1 - (1 - 1e-6) ** 1000, rel=0.02)


def test_gradients_that_are_not_finite_change_nothing():
    model = Model()
    model.collection.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(model.collection)
    before = model.values()
    model.draw_gradients(float("inf"))
    with pytest.raises(GradientError):
        trainer.update()
    assert all(np.array_equal(*values) for values in zip(before, model.values()))


@without_gradients
def test_the_decay_of_the_process_is_that_of_new_collections(monkeypatch):
    monkeypatch.setattr(config.PARAMS, "weight_decay", 0.25)
    collection = ParameterCollection()
    assert collection.get_weight_decay() == collection.add_subcollection().get_weight_decay() == 0.25
    p = collection.add_parameters(1, init=1.0)
    SimpleSGDTrainer(collection).update()
    assert p.value() == 0.75


@without_gradients
def test_files_hold_what_the_graph_computes_with_and_are_taken_as_they_are(tmp_path):
    collection = ParameterCollection()
    p = collection.add_parameters(2, init=1.0)
    collection.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(collection)
    trainer.update()
    collection.save(tmp_path / "model")
    trainer.update()
    assert p.value() == p.as_array().tolist() == [0.25, 0.25]
    collection.populate(tmp_path / "model")
    assert p.value() == p.as_array().tolist() == [0.5, 0.5]


@pytest.mark.parametrize("lam", [-0.1, 1.0, 2, float("nan"), float("inf")])
def test_a_decay_out_of_range(lam):
    collection = ParameterCollection()
    with pytest.raises(ArgumentError, match="set_weight_decay"):
        collection.set_weight_decay(lam)
    assert collection.get_weight_decay() == 0


@pytest.mark.parametrize("lam", ["0.1", None, [0.1], 1j])
def test_a_decay_that_is_no_number(lam):
    with pytest.raises(ArgumentTypeError, match="set_weight_decay"):
        ParameterCollection().set_weight_decay(lam)
