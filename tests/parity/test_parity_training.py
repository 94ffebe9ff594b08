"""Training: the tagger's losses and the trainers' updates."""

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


@pytest.mark.parametrize(
    "trainer",
    [
        "sgd",
        "sgd, rate given",
        "sgd, rate set",
        "sgd, clipped",
        "sgd, not clipped",
        "sgd, dense",
        "adam",
        "adam, settings given",
        "adam, rate set",
        "adam, clipped",
        "adam, dense",
    ],
)
def test_updates(trainer, both, assert_close):
    results = both("trainers.py")
    assert_close(results.ours[trainer], results.reference[trainer], rtol=1e-4, atol=1e-5)
