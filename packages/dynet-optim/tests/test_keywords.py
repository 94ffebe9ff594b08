"""Trainers take the keywords of both the manual and DyNet 2.1, by position and by name."""

import itertools

import pytest

import dynet_optim
from dynet_core import ArgumentError, ParameterCollection

MANUAL = {
    "SimpleSGDTrainer": ("e0", "edecay"),
    "CyclicalSGDTrainer": ("e0_min", "e0_max", "step_size", "gamma", "edecay"),
    "MomentumSGDTrainer": ("e0", "mom", "edecay"),
    "AdagradTrainer": ("e0", "eps", "edecay"),
    "AdadeltaTrainer": ("eps", "rho", "edecay"),
    "RMSPropTrainer": ("e0", "eps", "rho", "edecay"),
    "AdamTrainer": ("alpha", "beta_1", "beta_2", "eps", "edecay"),
    "AmsgradTrainer": ("alpha", "beta_1", "beta_2", "eps", "edecay"),
}
"""The manual's keywords, in their order. (It lacks AmsgradTrainer, which DyNet 2.1 gives Adam's.)"""
IN_2_1 = {
    "SimpleSGDTrainer": ("learning_rate",),
    "CyclicalSGDTrainer": ("learning_rate_min", "learning_rate_max", "step_size", "gamma"),
    "MomentumSGDTrainer": ("learning_rate", "mom"),
    "AdagradTrainer": ("learning_rate", "eps"),
    "AdadeltaTrainer": ("eps", "rho"),
    "RMSPropTrainer": ("learning_rate", "eps", "rho"),
    "AdamTrainer": ("alpha", "beta_1", "beta_2", "eps"),
    "AmsgradTrainer": ("alpha", "beta_1", "beta_2", "eps"),
}
"""Those of DyNet 2.1, where they have the same places."""
ALIKE = {"learning_rate": ("e0", "alpha"), "learning_rate_min": ("e0_min",), "learning_rate_max": ("e0_max",)}
"""Names of one thing: every trainer with a rate takes both."""
CALLS = sorted(
    {
        (trainer, names[place], place)
        for table in (MANUAL, IN_2_1)
        for trainer, names in table.items()
        for place in range(len(names))
    }
    | {(trainer, "learning_rate", names.index("alpha")) for trainer, names in MANUAL.items() if "alpha" in names}
)


def settings(trainer):
    return {name: value for name, value in vars(trainer).items() if isinstance(value, float)}


def value_of(name):
    """A value within its range that is not a default."""
    return 0.05 if "max" in name else 7.0 if name == "step_size" else 0.0125


def made(trainer, *places, **names):
    return settings(getattr(dynet_optim, trainer)(ParameterCollection(), *places, **names))


@pytest.mark.parametrize(("trainer", "name", "place"), CALLS)
def test_a_keyword_sets_what_its_place_sets(trainer, name, place):
    before = [value_of(earlier) for earlier in MANUAL[trainer][:place]]
    named = dict(zip(MANUAL[trainer], before))
    value = value_of(name)
    assert made(trainer, *before, value) == made(trainer, **named, **{name: value})
    assert made(trainer, *before, value) != made(trainer, *before)


PAIRS = [
    (trainer, old, new)
    for trainer, names in MANUAL.items()
    for new, olds in ALIKE.items()
    for old in olds
    if old in names
]


@pytest.mark.parametrize(("trainer", "old", "new"), PAIRS)
def test_both_names_of_one_thing_are_refused(trainer, old, new):
    for values in itertools.product((0.0125, 0.05), repeat=2):
        with pytest.raises(ArgumentError, match=f"{trainer}: {old} and {new} mean the same thing: give one of them"):
            made(trainer, **dict(zip((old, new), values)))


def test_every_trainer_of_dynet_is_in_the_tables():
    assert MANUAL.keys() == IN_2_1.keys() <= {*dynet_optim.__all__}
    assert {trainer for trainer, *_ in PAIRS} == MANUAL.keys() - {"AdadeltaTrainer"}  # it has no rate in either


def test_set_learning_rate_takes_the_keyword_of_2_1():
    trainer = dynet_optim.AdamTrainer(ParameterCollection())
    trainer.set_learning_rate(value=0.5)
    assert trainer.learning_rate == 0.5
    trainer.set_learning_rate(learning_rate=0.25)
    assert trainer.learning_rate == 0.25
    for wrong in ({}, {"value": 1, "learning_rate": 1}, {"values": 1}):
        with pytest.raises(TypeError, match=r"^AdamTrainer\.set_learning_rate\(\)"):
            trainer.set_learning_rate(**wrong)
    with pytest.raises(TypeError, match=r"^AdamTrainer\.set_clip_threshold\(\): missing a required argument: 'thr'"):
        trainer.set_clip_threshold()
    with pytest.raises(TypeError, match=r"^AdamTrainer\.set_learning_rate\(\): takes 1 argument, .*, but 2 were given"):
        trainer.set_learning_rate(1, 2)
