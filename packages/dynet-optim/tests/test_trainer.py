"""Behavior that all trainers share: non-finite gradients, clipping, subsets, frozen and added parameters."""

import doctest
import gc
import importlib
import inspect
import pkgutil
import threading
import weakref

import numpy as np
import pytest
from trainer_models import Model, set_gradient, set_row_gradient, without_gradients

import dynet_optim
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    GradientError,
    OutOfRangeError,
    ParameterCollection,
    renew_cg,
)
from dynet_optim import (
    AdamTrainer,
    AmsgradTrainer,
    MomentumSGDTrainer,
    SimpleSGDTrainer,
    Trainer,
    registry,
)

TRAINERS = [trainer.kind for trainer in registry.TRAINERS.values()]


def test_all_names():
    classes = {value for value in vars(dynet_optim).values() if inspect.isclass(value)}
    assert {value.__name__ for value in classes} == set(dynet_optim.__all__)
    assert all(issubclass(value, Trainer) for value in classes if value.__name__.endswith("Trainer"))


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(dynet_optim.__path__)])
def test_examples(module):
    pytest.importorskip("dynet")
    pytest.importorskip("dynet_ops")
    assert doctest.testmod(importlib.import_module(f"dynet_optim.{module}")).failed == 0


# non-finite gradients


def state_of(trainer):
    return [block.array.copy() for blocks in trainer._table.state_blocks.values() for block in blocks]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threshold", [5.0, 0.0])
@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_not_finite(trainer_type, threshold, bad):
    model, clean = Model(), Model()
    trainer, other = trainer_type(model.collection), trainer_type(clean.collection)
    for each in (trainer, other):
        each.set_clip_threshold(threshold)
    for each, its_trainer in ((model, trainer), (clean, other)):
        each.draw_gradients(0.1)
        its_trainer.update()
    values, state, rate = model.values(), state_of(trainer), trainer.learning_rate

    model.draw_gradients(0.1)
    for parameter in model.parameters[2:4]:
        parameter._storage.gradient.array[-1] = bad
    with pytest.raises(GradientError, match=model.parameters[2].name() + " is not finite"):
        trainer.update()
    assert all(np.array_equal(*pair) for pair in zip(values, model.values()))
    assert all(np.array_equal(*pair) for pair in zip(state, state_of(trainer)))
    assert trainer.learning_rate == rate
    assert all(not gradient.any() for gradient in model.gradients())
    assert all(table._storage.touched_list.max() == 0 or table._storage.touched_list[0] == 0 for table in model.tables)

    clean.draw_gradients(0.1)  # the same values as the batch that went wrong; discard them
    for parameter in clean.parameters:
        set_gradient(parameter, np.zeros(parameter.shape()))
    other._table.clear(1)
    for each, its_trainer in ((model, trainer), (clean, other)):
        each.draw_gradients(0.1)
        its_trainer.update()
    assert all(np.array_equal(*pair) for pair in zip(clean.values(), model.values()))


@without_gradients
@pytest.mark.parametrize("sparse", [True, False])
def test_not_finite_in_a_table(sparse):
    model = Model()
    trainer = AdamTrainer(model.collection)
    trainer.set_sparse_updates(sparse)
    values = model.values()
    set_row_gradient(model.tables[1], 2, np.full(16, np.nan))
    with pytest.raises(GradientError, match=model.tables[1].name() + " is not finite"):
        trainer.update()
    assert all(np.array_equal(*pair) for pair in zip(values, model.values()))
    trainer.update()
    assert all(np.isfinite(value).all() for value in model.values())


# trained parameters


def test_rows_that_a_graph_used():
    collection = ParameterCollection()
    table = collection.lookup_parameters_from_numpy(np.ones((5, 1)))
    trainer = SimpleSGDTrainer(collection, 0.25)
    for _ in range(2):
        renew_cg()
        table.batch([3]).backward()
        trainer.update()
    assert table.as_array().ravel().tolist() == [1, 1, 1, 0.5, 1]


def test_parameters_not_updated_are_left_alone():
    model = Model(shapes=[(3,), (4,)], tables=[(5, 2), (6, 2)])
    trainer = SimpleSGDTrainer(model.collection, 1.0)
    frozen = model.parameters[0], model.tables[1]
    for parameter in frozen:
        parameter.set_updated(False)
    before = model.values()
    model.draw_gradients(0.01)
    set_gradient(frozen[0], [1e3, np.nan, 0])  # does not count in the norm either
    gradient = model.parameters[1].grad_as_array()
    trainer.update()
    after = model.values()
    assert np.array_equal(before[0], after[0]) and np.array_equal(before[3], after[3])
    assert after[1] == pytest.approx(before[1] - gradient, abs=1e-6)
    assert not np.array_equal(before[2], after[2])
    frozen[1].set_updated(True)
    trainer.update()
    assert not np.array_equal(after[3], model.values()[3]), "trained again"


def test_parameters_added_later_are_trained():
    collection = ParameterCollection()
    first = collection.add_parameters(3, init=1.0)
    trainer = MomentumSGDTrainer(collection, 0.5)
    set_gradient(first, [1, 1, 1])
    trainer.update()
    second = collection.add_subcollection("part").add_parameters(2, init=1.0)
    set_gradient(second, [1, 1])
    trainer.update()
    assert first.as_array() == pytest.approx(np.full(3, 1 - 0.5 - 0.45), abs=1e-6), "the momentum was kept"
    assert second.as_array().tolist() == [0.5, 0.5]


def test_subcollection_alone():
    collection = ParameterCollection()
    outside = collection.add_parameters(1, init=1.0)
    part = collection.add_subcollection("part")
    inside = part.add_parameters(1, init=1.0)
    for parameter in (inside, outside):
        set_gradient(parameter, [1])
    SimpleSGDTrainer(part, 0.5).update()
    assert (inside.value(), outside.value()) == (0.5, 1.0)


@without_gradients
def test_nothing_to_train():
    for trainer_type in TRAINERS:
        trainer_type(ParameterCollection()).update()


def test_many_touched_rows():
    """More rows than the initial lists of addresses hold."""
    collection = ParameterCollection()
    table = collection.lookup_parameters_from_numpy(np.ones((3000, 2)))
    trainer = AmsgradTrainer(collection, 0.5)
    for row in range(0, 3000, 2):
        set_row_gradient(table, row, [1, -1])
    trainer.update()
    assert table.as_array()[::2] == pytest.approx(np.tile([0.5, 1.5], (1500, 1)), abs=1e-5)
    assert (table.as_array()[1::2] == 1).all()


def test_subset():
    model = Model(shapes=[(3,), (4,)], tables=[(5, 2), (6, 2)])
    trainer = SimpleSGDTrainer(model.collection, 1.0)
    before = model.values()
    gradients, _ = model.draw_gradients(0.1)
    trainer.update_subset([1], [0], 0.5)
    after = model.values()
    for k, changed in enumerate([False, True, True, False]):
        step = 0.5 * gradients[k] if changed else 0
        assert after[k] == pytest.approx(before[k] - step, abs=1e-6)
        assert np.array_equal(model.gradients()[k], np.zeros_like(gradients[k]) if changed else gradients[k])
    trainer.update()
    assert model.values()[3] == pytest.approx(before[3] - gradients[3], abs=1e-6)


def test_subset_is_clipped_by_the_whole_norm():
    model = Model(shapes=[(1,), (1,)], tables=[])
    trainer = SimpleSGDTrainer(model.collection, 1.0)
    before = model.values()
    set_gradient(model.parameters[0], [6])
    set_gradient(model.parameters[1], [8])
    trainer.update_subset([0], [])
    assert model.values()[0] == pytest.approx(before[0] - 3, abs=1e-5)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([2], []), OutOfRangeError, r"updated_params: 2 is out of range, the collection has 2"),
        (([-1], []), OutOfRangeError, r"updated_params: -1 is out of range"),
        (([], [1]), OutOfRangeError, r"updated_lookups: 1 is out of range, the collection has 1"),
        ((3, []), ArgumentTypeError, r"updated_params: expected a list of ints, got int 3"),
        (([0.5], []), ArgumentError, r"updated_params: a place must be a whole number, not 0.5"),
    ],
)
def test_subset_errors(arguments, error, message):
    trainer = SimpleSGDTrainer(Model(shapes=[(1,), (1,)], tables=[(2, 1)]).collection)
    with pytest.raises(error, match=message):
        trainer.update_subset(*arguments)


def test_trainer_keeps_its_parameters_alive():
    collection = ParameterCollection()
    alive = weakref.ref(collection)
    parameter = collection.add_parameters(2, init=1.0)
    trainer = SimpleSGDTrainer(collection)
    del collection
    gc.collect()
    assert alive() is not None
    set_gradient(parameter, [1, 1])
    trainer.update()
    assert parameter.as_array() == pytest.approx([0.9, 0.9])


def test_two_threads():
    results = {}

    def train(name, rate):
        model = Model(seed=3)
        trainer = AdamTrainer(model.collection, rate)
        for _ in range(200):
            model.draw_gradients()
            trainer.update()
        results[name] = model.values()

    threads = [threading.Thread(target=train, args=(k, 0.01 * (1 + k % 2))) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(*pair) for pair in zip(results[0], results[2]))
    assert all(np.array_equal(*pair) for pair in zip(results[1], results[3]))


@pytest.mark.parametrize("share", [0.5, 1 - 1e-5, 1 - 1e-7, 1.0, 1 + 1e-7, 1 + 1e-5, 2.0, 1e30])
def test_gradients_are_clipped_exactly_beyond_the_threshold(share):
    """Also where the squared norm is too close to the squared threshold to tell them apart."""
    model = ParameterCollection()
    w = model.parameters_from_numpy([0.0, 0.0])
    trainer = SimpleSGDTrainer(model, 1.0)
    threshold = 5.0 / share  # the norm will be 5
    trainer.set_clip_threshold(threshold)
    set_gradient(w, [3.0, 4.0])
    trainer.update()
    clipped = 5.0 > threshold
    assert trainer._counts.recent_clips == int(clipped)
    np.testing.assert_allclose(w.as_array(), np.array([-3.0, -4.0]) * (threshold / 5 if clipped else 1), rtol=1e-6)
