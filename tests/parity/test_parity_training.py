"""Parity of training: the tagger's losses and the trainers' updates."""

import numpy as np
import pytest


def test_tagger_by_sgd(both):
    results = both("tagger_training.py", "sgd", "20")
    ours, reference = results.ours["losses"], results.reference["losses"]
    assert ours[0] == pytest.approx(reference[0], rel=1e-6, abs=1e-4)
    assert ours == pytest.approx(reference, rel=1e-3)
    assert reference[-1] < 0.97 * reference[0], "the reference itself does not learn"


def test_tagger_by_adam(both):
    results = both("tagger_training.py", "adam", "20")
    ours, reference = results.ours["losses"], results.reference["losses"]
    assert ours == pytest.approx(reference, rel=1e-3)


TRAINERS = [
    *["sgd", "sgd, rate given", "sgd, rate set", "sgd, clipped", "sgd, not clipped", "sgd, dense"],
    *["cyclical", "cyclical, settings given"],
    *[f"{name}{kind}" for name in ("momentum", "adagrad", "adadelta", "rmsprop", "amsgrad", "adam")
      for kind in ("", ", settings given", ", dense")],
    *["adam, rate set", "adam, clipped"],
]  # fmt: skip


@pytest.mark.parametrize("trainer", TRAINERS)
def test_updates(trainer, both, assert_close):
    """The first updates and the fiftieth, each parameter to 2e-5 of its largest value."""
    results = both("trainers.py")
    ours, reference = results.ours[trainer], results.reference[trainer]
    assert len(reference["values"]) == 5
    for update, (mine, theirs) in enumerate(zip(ours.pop("values"), reference.pop("values"), strict=True)):
        for tensor, expected in zip(mine, theirs, strict=True):
            error = np.abs(np.subtract(tensor, expected)).max()
            assert error <= 2e-5 * np.abs(expected).max(), f"update {update}: a parameter is off by {error}"
    assert_close(ours, reference, rtol=1e-4, atol=1e-5)


def test_no_trainer_is_forgotten(both):
    assert both("trainers.py").reference.keys() == set(TRAINERS)
