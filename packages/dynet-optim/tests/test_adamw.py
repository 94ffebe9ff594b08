"""AdamW: its distance from exact arithmetic, and the parameters that do not decay."""

import copy
import pickle
import re

import numpy as np
import pytest
from trainer_models import Model, set_gradient, set_row_gradient, without_gradients

from dynet_core import ArgumentError, ArgumentTypeError, GradientError, ParameterCollection
from dynet_optim import AdamWTrainer, DataParallel
from dynet_optim.registry import TRAINERS

REFERENCE = TRAINERS["AdamWTrainer"].reference

# The largest distance of torch 2.13's AdamW (float32, on a CPU) from REFERENCE after the 200 updates of the next test.
TORCH_DISTANCES = [
    ({"alpha": 1e-3, "weight_decay": 0.01}, 1.81e-5),
    ({"alpha": 1e-2, "weight_decay": 0.1}, 8.08e-6),
    ({"alpha": 0.1, "weight_decay": 0.5, "beta_1": 0.5, "beta_2": 0.75, "eps": 1e-2}, 2.73e-7),
    ({"alpha": 1e-3, "weight_decay": 0.01, "beta_2": 0.98, "eps": 1e-6}, 1.87e-5),
]


@pytest.mark.parametrize(("settings", "distance_of_torch"), TORCH_DISTANCES)
def test_it_is_at_most_twice_as_far_from_exact_arithmetic_as_torch(settings, distance_of_torch):
    random = np.random.default_rng(0)
    start = random.standard_normal(1000).astype(np.float32)
    model = ParameterCollection()
    w = model.parameters_from_numpy(start)
    trainer = AdamWTrainer(model, **settings)
    trainer.set_clip_threshold(0)
    others = {name: value for name, value in settings.items() if name != "alpha"}
    p, states = start.astype(np.float64), [np.zeros(1000), np.zeros(1000)]
    for t in range(1, 201):
        gradient = random.standard_normal(1000).astype(np.float32)
        set_gradient(w, gradient)
        trainer.update()
        REFERENCE(p, gradient.astype(np.float64), states, settings["alpha"], t, **others)
    assert np.abs(w.as_array() - p).max() <= 2 * distance_of_torch


CHOICES = {
    "all decay": ({}, lambda model: []),
    "some": ({}, lambda model: [model.parameters[2], model.tables[1]]),
    "no vectors": ({"decay_vectors": False}, lambda model: []),
    "no vectors, and some": ({"decay_vectors": False}, lambda model: [model.parameters[2], model.tables[1]]),
}


def made(choice, model, **options):
    """A trainer, and for each parameter whether it decays."""
    settings, exempt_of = CHOICES[choice]
    exempt = exempt_of(model)
    trainer = AdamWTrainer(model.collection, 0.1, weight_decay=0.5, no_decay=exempt, **settings, **options)
    everything = [*model.parameters, *model.tables]
    is_exempt = [any(p is other for other in exempt) for p in everything]
    is_free_vector = [p in model.parameters and len(p.shape()) == 1 and "no vec" in choice for p in everything]
    return trainer, [not (a or b) for a, b in zip(is_exempt, is_free_vector)]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
def test_parameters_that_do_not_decay(choice, dense):
    model = Model()
    trainer, decays = made(choice, model)
    trainer.set_sparse_updates(not dense)
    expected = [value.astype(np.float64) for value in model.values()]
    states = [[np.zeros_like(value), np.zeros_like(value)] for value in expected]
    for t in range(1, 4):
        gradients, touched = model.draw_gradients(0.01)
        rows = [slice(None)] * 7 + [slice(None) if dense else sorted(used) for used in touched]
        for p, g, kept, used, decay in zip(expected, gradients, states, rows, decays):
            part, parts = p[used], [state[used] for state in kept]
            REFERENCE(part, g[used].astype(np.float64), parts, 0.1, t, weight_decay=0.5 * decay)
            p[used] = part
            for state, changed in zip(kept, parts):
                state[used] = changed
        trainer.update()
    for value, wanted in zip(model.values(), expected):
        np.testing.assert_allclose(value, wanted, rtol=2e-6, atol=1e-6)


def test_a_subset_and_frozen_parameters():
    model = Model()
    trainer, _ = made("no vectors, and some", model)
    model.parameters[3].set_updated(False)
    before = model.values()
    model.draw_gradients()
    trainer.update_subset([2, 3, 5], [1])
    changed = [not np.array_equal(*values) for values in zip(before, model.values())]
    assert [index for index, is_changed in enumerate(changed) if is_changed] == [2, 5, 8]
    trainer.update()
    changed = [not np.array_equal(*values) for values in zip(before, model.values())]
    assert [index for index, is_changed in enumerate(changed) if not is_changed] == [3]


@without_gradients
def test_parameters_added_later_decay_by_the_same_choice():
    model = ParameterCollection()
    trainer = AdamWTrainer(model, 0.5, weight_decay=0.5, decay_vectors=False)
    trainer.update()
    matrix, vector = model.add_parameters((1, 2), init=1.0), model.add_parameters(2, init=1.0)
    trainer.update()
    assert (matrix.as_array().tolist(), vector.as_array().tolist()) == ([[0.75, 0.75]], [1, 1])


@without_gradients
def test_rows_that_are_not_used_decay_only_without_sparse_updates():
    model = ParameterCollection()
    table = model.lookup_parameters_from_numpy(np.ones((3, 1)))
    trainer = AdamWTrainer(model, 0.5, weight_decay=0.5)
    set_row_gradient(table, 1, [0.0])
    trainer.update()
    assert table.as_array().ravel().tolist() == [1, 0.75, 1]
    trainer.set_sparse_updates(False)
    trainer.update()
    assert table.as_array().ravel().tolist() == [0.75, 0.5625, 0.75]


@without_gradients
def test_the_decay_of_the_collection_comes_on_top():
    model = ParameterCollection()
    w = model.add_parameters(1, init=1.0)
    model.set_weight_decay(0.5)
    AdamWTrainer(model, 0.5, weight_decay=0.5).update()
    assert w.value() == 0.375


def test_gradients_that_are_not_finite_change_nothing():
    model = Model()
    trainer, _ = made("some", model)
    before = model.values()
    model.draw_gradients(float("inf"))
    with pytest.raises(GradientError):
        trainer.update()
    assert all(np.array_equal(*values) for values in zip(before, model.values()))


def test_one_rank_updates_as_the_trainer_does():
    models = Model(), Model()
    for model, wrap in zip(models, (lambda trainer: trainer, DataParallel)):
        trainer = wrap(made("no vectors, and some", model)[0])
        model.draw_gradients()
        trainer.update()
        trainer.restart()
        model.draw_gradients()
        trainer.update()
    assert all(np.array_equal(*values) for values in zip(*(model.values() for model in models)))


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_a_copy_has_the_same_parameters_that_do_not_decay(copied):
    model = Model()
    trainer, _ = made("no vectors, and some", model)
    model.draw_gradients()
    trainer.update()
    other, other_model = copied((trainer, model))
    for each, its_trainer in ((model, trainer), (other_model, other)):
        for _ in range(2):
            each.draw_gradients()
            its_trainer.update()
    assert all(np.array_equal(*values) for values in zip(model.values(), other_model.values()))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weight_decay": -0.1}, ArgumentError, "weight_decay must be a finite number, 0 or more, got -0.1"),
        ({"weight_decay": "0.1"}, ArgumentTypeError, "weight_decay must be a number"),
        ({"decay_vectors": 2}, ArgumentTypeError, "decay_vectors must be True or False, not 2"),
        ({"no_decay": 3}, ArgumentTypeError, "no_decay: expected a list of parameters, got int 3"),
        ({"no_decay": ["bias"]}, ArgumentError, "no_decay: 'bias' is not a parameter of <ParameterCollection /: "),
        ({"no_decay": Model().parameters[:1]}, ArgumentError, "no_decay: .*/_0.* is not a parameter of"),
        ({"alpha": 0.1, "learning_rate": 0.1}, ArgumentError, "alpha and learning_rate mean the same thing"),
    ],
)
def test_arguments_that_are_refused(settings, error, message):
    with pytest.raises(error, match=f"^AdamWTrainer: {message}") as caught:
        AdamWTrainer(Model().collection, **settings)
    assert re.search(r"test_adamw", str(caught.traceback[0].path))
