"""Schedules of the learning rate."""

import math
import pickle

import numpy as np
import pytest
from trainer_models import Model, set_gradient, without_gradients

from dynet_core import ArgumentError, ArgumentTypeError, FileFormatError, ParameterCollection
from dynet_optim import (
    AdamTrainer,
    CosineSchedule,
    CyclicalSGDTrainer,
    DataParallel,
    ExponentialSchedule,
    PlateauSchedule,
    SimpleSGDTrainer,
    WarmUpSchedule,
)
from dynet_optim.base import model_files

FORMULAS = [
    (WarmUpSchedule(4), lambda t: min((t + 1) / 5, 1)),
    (CosineSchedule(10), lambda t: (1 + np.cos(np.pi * min(t, 10) / 10)) / 2),
    (CosineSchedule(7, lowest=0.25), lambda t: 0.25 + 0.75 * (1 + np.cos(np.pi * min(t, 7) / 7)) / 2),
    (ExponentialSchedule(0.9), lambda t: 0.9**t),
    (ExponentialSchedule(0.5, steps=8), lambda t: 0.5 ** (t / 8)),
    (WarmUpSchedule(3, ExponentialSchedule(0.5)), lambda t: (t + 1) / 4 if t < 3 else 0.5 ** (t - 3)),
    (WarmUpSchedule(2, WarmUpSchedule(1, lambda t: t)), lambda t: [1 / 3, 2 / 3, 0.5, *range(20)][t]),
    (lambda t: t // 3, lambda t: t // 3),
]  # fmt: skip


def sgd(rate=0.5, **options):
    """A trainer, and a function that does an update and returns the rate that it used."""
    model = ParameterCollection()
    w = model.add_parameters(1, init=0.0)
    trainer = SimpleSGDTrainer(model, rate, **options)

    def step(update=lambda: trainer.update()):
        w.set_value([0.0])
        set_gradient(w, [1.0])
        update()
        return -w.as_array().item()

    return trainer, step


@pytest.mark.parametrize("schedule, formula", FORMULAS)
def test_each_update_uses_the_rate_of_the_formula(schedule, formula):
    trainer, step = sgd()
    trainer.set_schedule(schedule)
    for t in range(15):
        assert trainer.learning_rate == pytest.approx(0.5 * formula(t), abs=1e-12)
        assert step() == pytest.approx(0.5 * formula(t), abs=1e-7)


def test_a_subset_and_several_processes_follow_the_schedule_too():
    trainer, step = sgd()
    trainer.set_schedule(lambda t: 0.5**t)
    parallel = DataParallel(trainer)
    updates = [lambda: trainer.update_subset([0], []), parallel.update, lambda: trainer.update(2.0)]
    assert [step(update) for update in updates] == [0.5, 0.25, 0.25]


def test_epochs_divide_the_scheduled_rate():
    trainer, step = sgd(edecay=1.0)
    trainer.set_schedule(lambda t: 0.5**t)
    step()
    trainer.update_epoch()
    assert (trainer.learning_rate, step(), step()) == (0.125, 0.125, 0.0625)


def test_restart_keeps_the_initial_rate_and_the_step():
    trainer, step = sgd(edecay=1.0)
    trainer.set_schedule(lambda t: 0.5**t)
    step()
    trainer.update_epoch()
    trainer.restart()
    assert trainer.learning_rate == 0.125
    trainer.update_epoch()
    assert trainer.learning_rate == 0.0625
    with pytest.raises(ArgumentError, match="a schedule sets learning_rate"):
        trainer.restart(0.1)
    assert trainer.learning_rate == 0.0625


def test_without_its_schedule_a_trainer_has_the_initial_rate():
    trainer, step = sgd()
    trainer.set_schedule(lambda t: 0.5**t)
    step()
    trainer.set_schedule(None)
    assert step() == trainer.learning_rate == 0.5
    trainer.learning_rate = 0.25
    trainer.set_schedule(lambda t: t)
    assert step() == 0.5


def test_what_is_shown_is_the_rate_of_the_next_update(capsys):
    trainer, step = sgd()
    trainer.set_schedule(lambda t: 0.5**t)
    step()
    assert "learning rate 0.25, 1 update" in repr(trainer)
    trainer.status()
    assert capsys.readouterr().err == "[lr=0.25 clips=0 updates=1] "


@pytest.mark.parametrize("lower_is_better", [True, False])
def test_a_plateau(lower_is_better):
    sign = 1 if lower_is_better else -1
    plateau = PlateauSchedule(0.5, patience=2, lower_is_better=lower_is_better, min_change=0.5)
    reports = [
        (5, True, 1), (4, True, 1), (3.75, False, 1), (3.25, True, 1), (3.25, False, 1), (9, False, 0.5),
        (3, False, 0.5), (2.5, True, 0.5), (3, False, 0.5), (3, False, 0.25), (3, False, 0.25), (3, False, 0.125),
    ]  # fmt: skip
    for score, is_best, factor in reports:
        assert (plateau.report(sign * score), plateau(100)) == (is_best, factor)


def test_a_plateau_lowers_the_rate_of_the_next_update():
    trainer, step = sgd()
    plateau = PlateauSchedule(0.5, patience=1)
    trainer.set_schedule(WarmUpSchedule(1, plateau))
    plateau.report(1)
    assert [step(), step()] == [0.25, 0.5]
    plateau.report(1)
    assert [trainer.learning_rate, step()] == [0.25, 0.25]


@pytest.mark.parametrize("suffix", ["", ".safetensors"])
def test_a_saved_trainer_resumes_its_schedule(suffix, tmp_path):
    def begun():
        trainer, step = sgd(edecay=0.5)
        plateau = PlateauSchedule(0.3, patience=2, lower_is_better=False)
        trainer.set_schedule(WarmUpSchedule(5, plateau))
        return trainer, step, plateau

    def rates(step, plateau, begin, end):
        return [(plateau.report(-(t % 4) / 3), step()) for t in range(begin, end)]

    trainer, step, plateau = begun()
    rates(step, plateau, 0, 8)
    trainer.update_epoch()
    trainer.save(tmp_path / f"trainer{suffix}")
    other, other_step, other_plateau = begun()
    other.populate(tmp_path / f"trainer{suffix}")
    assert other.learning_rate == trainer.learning_rate
    assert rates(other_step, other_plateau, 8, 20) == rates(step, plateau, 8, 20)


def test_a_plateau_before_its_first_report_is_saved(tmp_path):
    trainer, _ = sgd()
    trainer.set_schedule(PlateauSchedule())
    trainer.save(tmp_path / "trainer")
    other, _ = sgd()
    plateau = PlateauSchedule(lower_is_better=False)
    other.set_schedule(plateau)
    other.populate(tmp_path / "trainer")
    assert plateau.report(-1e30)


SCHEDULES = {
    "none": None,
    "a function": lambda t: 0.5,
    "a plateau": PlateauSchedule(),
    "then a plateau": WarmUpSchedule(3, PlateauSchedule()),
}


@pytest.mark.parametrize("saved", SCHEDULES)
@pytest.mark.parametrize("loading", SCHEDULES)
def test_a_schedule_that_is_not_set_again_is_noticed(saved, loading, tmp_path):
    trainer, step = sgd(0.25)
    trainer.set_schedule(SCHEDULES[saved])
    step()
    trainer.save(tmp_path / "trainer")
    other, _ = sgd(0.5)
    other.set_schedule(SCHEDULES[loading])
    before = other._saved_numbers()
    if saved == loading or "none" not in (saved, loading) and "a function" not in (saved, loading):
        other.populate(tmp_path / "trainer")
        assert (other._updates, other._rate0) == (1, 0.25)
        return
    with pytest.raises(FileFormatError, match="the schedules differ; call set_schedule before populate if the saved"):
        other.populate(tmp_path / "trainer")
    assert other._saved_numbers() == before


@pytest.mark.parametrize(
    "place, number", [(0, np.nan), (0, -np.inf), (3, -1.0), (3, 0.5), (6, -1.0), (6, np.inf), (6, np.nan)]
)
def test_a_damaged_schedule_changes_nothing(place, number, tmp_path):
    trainer, step = sgd()
    plateau = PlateauSchedule()
    trainer.set_schedule(plateau)
    plateau.report(3.0)
    stored = trainer._tensors()
    assert stored[1].name == "/schedule"
    stored[1].values[place] = number
    model_files.save(stored, tmp_path / "trainer")
    plateau.report(2.0)
    step()
    before = [*plateau._state], trainer._saved_numbers()
    with pytest.raises(FileFormatError):
        trainer.populate(tmp_path / "trainer")
    assert ([*plateau._state], trainer._saved_numbers()) == before


def test_a_checkpoint_of_several_processes_has_the_schedule(tmp_path):
    trainers = [sgd()[0], sgd()[0]]
    plateaus = [PlateauSchedule(0.5, patience=1), PlateauSchedule(0.5, patience=1)]
    for trainer, plateau in zip(trainers, plateaus):
        trainer.set_schedule(plateau)
    plateaus[0].report(1)
    plateaus[0].report(2)
    DataParallel(trainers[0]).save(tmp_path / "checkpoint")
    DataParallel(trainers[1]).populate(tmp_path / "checkpoint")
    assert trainers[1].learning_rate == 0.25


def test_copies_follow_the_schedule():
    model = Model()
    trainer = AdamTrainer(model.collection)
    trainer.set_schedule(WarmUpSchedule(10, PlateauSchedule()))
    model.draw_gradients()
    trainer.update()
    other, other_model = pickle.loads(pickle.dumps((trainer, model)))
    for each, its_trainer in ((model, trainer), (other_model, other)):
        each.draw_gradients()
        its_trainer.update()
    assert all(np.array_equal(*values) for values in zip(model.values(), other_model.values()))


@pytest.mark.parametrize("factor", [-0.1, math.nan, math.inf, None, "1"])
def test_factors_that_are_refused_change_nothing(factor):
    trainer, step = sgd()
    trainer.set_schedule(lambda t: 0.5)
    with pytest.raises((ArgumentError, ArgumentTypeError), match=r"the schedule's factor after 0 updates must be"):
        trainer.set_schedule(lambda t: factor)
    assert step() == 0.25
    trainer.set_schedule(lambda t: 1.0 if t < 2 else factor)
    step()
    before = trainer._saved_numbers()
    for use in (step, lambda: step(lambda: trainer.update_subset([0], [])), lambda: trainer.learning_rate,
                lambda: step(DataParallel(trainer).update), trainer.update_epoch):  # fmt: skip
        with pytest.raises((ArgumentError, ArgumentTypeError), match=r"the schedule's factor after 2 updates must be"):
            use()
    assert trainer._saved_numbers() == before
    trainer.set_schedule(None)
    assert step() == 0.5


def test_an_error_of_a_schedule_is_the_users():
    trainer, _ = sgd()
    with pytest.raises(ZeroDivisionError):
        trainer.set_schedule(lambda t: 1 / t)
    assert trainer.learning_rate == 0.5


def test_a_rate_that_a_schedule_sets_cannot_be_set():
    trainer, step = sgd()
    trainer.set_schedule(lambda t: 0.5)
    for change in (trainer.set_learning_rate, lambda rate: setattr(trainer, "learning_rate", rate)):
        with pytest.raises(ArgumentError, match=r"a schedule sets learning_rate; set_schedule\(None\) removes it"):
            change(0.1)
    assert step() == 0.25


@without_gradients
def test_a_trainer_with_a_schedule_of_its_own_takes_no_other():
    trainer = CyclicalSGDTrainer(ParameterCollection(), 0.25, 0.75, step_size=2)
    with pytest.raises(ArgumentError, match="CyclicalSGDTrainer.set_schedule: this trainer has a schedule of its own"):
        trainer.set_schedule(CosineSchedule(10))
    trainer.update()
    trainer.update()
    assert trainer.learning_rate == 0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sgd()[0].set_schedule(0.5), ArgumentTypeError, "set_schedule: a schedule is a function of the number"),
        (lambda: WarmUpSchedule(3, then=0.5), ArgumentTypeError, "WarmUpSchedule: then: a schedule is a function"),
        (lambda: WarmUpSchedule(0), ArgumentError, "WarmUpSchedule: steps must be at least 1, got 0"),
        (lambda: WarmUpSchedule("3"), ArgumentTypeError, "WarmUpSchedule: steps must be an int"),
        (lambda: CosineSchedule(-1), ArgumentError, "CosineSchedule: steps must be at least 1, got -1"),
        (lambda: CosineSchedule(5, 1.5), ArgumentError, r"CosineSchedule: lowest must be in \[0, 1\], got 1.5"),
        (lambda: ExponentialSchedule(0), ArgumentError, "ExponentialSchedule: factor must be more than 0 and at most"),
        (lambda: ExponentialSchedule(1.1), ArgumentError, "ExponentialSchedule: factor must be more than 0"),
        (lambda: ExponentialSchedule(0.5, 0), ArgumentError, "ExponentialSchedule: steps must be at least 1"),
        (lambda: PlateauSchedule(2), ArgumentError, "PlateauSchedule: factor must be more than 0"),
        (lambda: PlateauSchedule(patience=0), ArgumentError, "PlateauSchedule: patience must be at least 1, got 0"),
        (lambda: PlateauSchedule(min_change=-1), ArgumentError, "PlateauSchedule: min_change must be a finite"),
        (lambda: PlateauSchedule(lower_is_better="max"), ArgumentTypeError, "lower_is_better must be True or False"),
        (lambda: PlateauSchedule().report(math.nan), ArgumentError, "PlateauSchedule.report: score must be a finite"),
        (lambda: PlateauSchedule().report(None), ArgumentTypeError, "PlateauSchedule.report: score must be a number"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_score_that_is_refused_does_not_count():
    plateau = PlateauSchedule(0.5, patience=1)
    plateau.report(1)
    with pytest.raises(ArgumentError):
        plateau.report(math.inf)
    assert plateau(0) == 1
