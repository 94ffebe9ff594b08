"""`DataParallel` without MPI: one process, and checkpoints. tests/mpi covers several ranks."""

import copy
import pickle

import numpy as np
import pytest
from trainer_models import Model

from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetWarning, FileFormatError
from dynet_core.random import noise
from dynet_optim import AdamTrainer, DataParallel, MomentumSGDTrainer, SimpleSGDTrainer
from dynet_optim.registry import TRAINERS


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Run as a single process, whatever launched the tests."""
    monkeypatch.setattr("dynet_optim.parallel.meeting", lambda: None)


@pytest.mark.parametrize("kind", TRAINERS)
def test_one_process_trains_as_the_trainer_does(kind):
    models = Model(), Model()
    trainers = [TRAINERS[kind].kind(model.collection) for model in models]
    parallel = DataParallel(trainers[1])
    for scale in (1.0, 1.0, 0.5):
        for model in models:
            model.draw_gradients()
        trainers[0].update(scale)
        parallel.update(scale)
    for one, other in zip(models[0].values(), models[1].values()):
        np.testing.assert_array_equal(one, other)


def test_other_members_are_the_trainers():
    trainer = SimpleSGDTrainer(Model().collection, 0.5)
    parallel = DataParallel(trainer)
    assert (parallel.rank, parallel.size, parallel.trainer) == (0, 1, trainer)
    parallel.learning_rate = 0.25
    parallel.set_clip_threshold(7)
    assert (trainer.learning_rate, parallel.learning_rate, trainer.get_clip_threshold()) == (0.25, 0.25, 7)
    assert repr(parallel).startswith("<DataParallel: rank 0 of 1; <SimpleSGDTrainer")
    parallel._something = 3
    assert not hasattr(trainer, "_something")
    with pytest.raises(AttributeError, match="use trainer.update()"):
        parallel.step()
    with pytest.raises(AttributeError, match="DataParallel has no attribute '_nothing'"):
        parallel._nothing  # noqa: B018
    with pytest.raises(AttributeError, match=r"use set_updated\(False\)"):
        parallel.update_subset([0], [])
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ArgumentTypeError, match="cannot be copied"):
            copied(parallel)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr", "AdamTrainer has no attribute 'lr': use trainer.learning_rate"),
        ("weight_decay", "use set_weight_decay of the collection"),
        ("learing_rate", "no attribute 'learing_rate'"),
        ("rank", "rank"),
        ("size", "size"),
        ("trainer", "trainer"),
    ],
)
def test_attributes_that_nobody_reads_are_not_set(name, hint):
    parallel = DataParallel(AdamTrainer(Model().collection))
    with pytest.raises(AttributeError, match=hint):
        setattr(parallel, name, 3)
    assert (parallel.rank, parallel.size) == (0, 1)


def test_subclasses_have_attributes_of_their_own():
    class Logged(DataParallel):
        pass

    parallel = Logged(AdamTrainer(Model().collection))
    parallel.log = [1]
    assert parallel.log == [1]
    assert not hasattr(parallel.trainer, "log")


def test_warnings_are_about_the_users_line():
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    with pytest.warns(DynetWarning, match="no trained parameter") as caught:
        parallel.update()
        parallel.update()
    assert [warning.filename for warning in caught] == [__file__]


def test_one_process_has_all():
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    assert parallel.share([1, 2, 3]) == [1, 2, 3]
    assert parallel.total(2) == 2.0
    assert parallel.compare() is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"trainer": 3}, ArgumentTypeError, "expected a trainer, got int"),
        ({"average": "yes"}, ArgumentTypeError, "average"),
        ({"compare_every": -1}, ArgumentError, "compare_every is -1"),
        ({"compare_every": 1.5}, ArgumentError, "whole number"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        DataParallel(**{"trainer": SimpleSGDTrainer(Model().collection), **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"s": "x"}, ArgumentTypeError, "DataParallel.update: s must be a number"),
        ({"s": np.inf}, ArgumentError, "s must be a finite number"),
        ({"s": 3e37, "examples": 1}, ArgumentError, r"learning rate 100.0 times s, 3e\+37, is too large"),
        ({"examples": 1.5}, ArgumentError, "whole number"),
        ({"examples": -1}, ArgumentError, "examples is -1"),
        ({}, ArgumentError, "needs the number of this rank's examples"),
    ],
)
def test_wrong_arguments_of_update_change_nothing(arguments, error, message):
    model = Model()
    model.draw_gradients()
    before, gradients = model.values(), model.gradients()
    parallel = DataParallel(SimpleSGDTrainer(model.collection, 100.0), average=True)
    with pytest.raises(error, match=message):
        parallel.update(**arguments)
    for known, found in zip([*before, *gradients], [*model.values(), *model.gradients()]):
        np.testing.assert_array_equal(known, found)


# Checkpoints.


def trained(kind, updates, checkpoint=None, at=3):
    """Train with dropout. With a checkpoint, resume from it after `at` updates."""
    model = Model(seed=2)
    parallel = DataParallel(TRAINERS[kind].kind(model.collection))
    first = 0
    noise.reset(4)
    if checkpoint:
        noise.reset(5)
        first = parallel.populate(checkpoint)["done"]
        assert first == at
    for number in range(first, updates):
        model.random = np.random.default_rng(number)
        model.draw_gradients(1 + noise.next_key()[0])  # draws as dropout does
        parallel.update()
    return model, parallel


@pytest.mark.parametrize("ending", ["", ".safetensors"])
@pytest.mark.parametrize("kind", TRAINERS)
def test_training_goes_on_as_if_it_had_not_been_interrupted(kind, ending, tmp_path):
    file = tmp_path / f"checkpoint{ending}"
    _, parallel = trained(kind, 3)
    parallel.save(file, {"done": 3, "long": 2**53, "back": -7})
    whole, _ = trained(kind, 6)
    resumed, _ = trained(kind, 6, file)
    for one, other in zip(whole.values(), resumed.values()):
        np.testing.assert_array_equal(one, other)
    assert parallel.populate(file) == {"done": 3, "long": 2**53, "back": -7}


@pytest.mark.parametrize("threshold", [np.inf, 1e40, 1e-50, 0.1])
def test_checkpoints_keep_all_numbers(threshold, tmp_path):
    parallel = DataParallel(AdamTrainer(Model().collection))
    parallel.set_clip_threshold(threshold)
    parallel.update_epoch(-1)
    numbers = parallel.trainer._saved_numbers()
    parallel.save(tmp_path / "checkpoint")
    other = DataParallel(AdamTrainer(Model().collection))
    other.populate(tmp_path / "checkpoint")
    assert other.trainer._saved_numbers() == numbers


@pytest.mark.parametrize(
    ("position", "error"),
    [
        ({"a b": 1}, ArgumentError),
        ({3: 1}, ArgumentError),
        ({"a": 1.5}, ArgumentError),
        ({"a": "1"}, ArgumentTypeError),
        ({"a": 2**53 + 1}, ArgumentError),
        ([3], ArgumentTypeError),
    ],
)
def test_positions_are_names_and_whole_numbers(position, error, tmp_path):
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    with pytest.raises(error, match="save: position"):
        parallel.save(tmp_path / "checkpoint", position)
    assert not list(tmp_path.iterdir())


def test_damaged_checkpoints_change_nothing(tmp_path):
    small = {"shapes": [(2,)], "tables": [(3, 2)]}
    model = Model(**small)
    parallel = DataParallel(MomentumSGDTrainer(model.collection))
    model.draw_gradients()
    parallel.update()
    file = tmp_path / "checkpoint"
    parallel.save(file, {"done": 1})
    text = file.read_text()
    lines = text.splitlines(keepends=True)
    damaged = [text[:end] for end in range(0, len(text) - 1, 7)]
    damaged += ["".join(lines[:n] + lines[n + 2 :]) for n in range(0, len(lines), 2)]
    damaged += [text.replace(name, "/other") for name in ("/digest", "/ranks", "/parameters", "/MomentumSGDTrainer")]
    damaged += [
        "".join([*lines[:n], lines[n].replace("+0", "+1", 1).replace("0", "nan", 1)]) for n in range(len(lines))
    ]
    other = Model(**small, seed=3)
    loaded = DataParallel(MomentumSGDTrainer(other.collection, 0.5))
    other.draw_gradients()
    loaded.update()
    noise.reset(8)

    def state():
        kept = [block.array.tobytes() for states in loaded.trainer._table.state_blocks_in_order() for block in states]
        return [v.tobytes() for v in other.values()], kept, loaded.trainer._saved_numbers(), noise.state()

    before = state()
    for damage in damaged:
        file.write_text(damage)
        with pytest.raises(FileFormatError):
            loaded.populate(file)
        assert state() == before, damage
    file.write_text(text)
    assert loaded.populate(file) == {"done": 1}


@pytest.mark.parametrize(
    ("shapes", "kind"), [([(2,), (2,)], AdamTrainer), ([(3,)], AdamTrainer), ([(2,)], MomentumSGDTrainer)]
)
def test_checkpoints_of_other_models_are_refused(shapes, kind, tmp_path):
    DataParallel(AdamTrainer(Model([(2,)], []).collection)).save(tmp_path / "checkpoint")
    with pytest.raises(FileFormatError):
        DataParallel(kind(Model(shapes, []).collection)).populate(tmp_path / "checkpoint")
