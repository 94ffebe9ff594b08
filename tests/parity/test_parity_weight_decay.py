"""Parity of weight decay: the graph's values after each update, and the saved values."""

import pytest

TRAINERS = [
    "SimpleSGDTrainer",
    "MomentumSGDTrainer",
    "AdagradTrainer",
    "AdadeltaTrainer",
    "RMSPropTrainer",
    "AdamTrainer",
    "AmsgradTrainer",
]


@pytest.fixture(scope="module")
def results(both, tmp_path_factory):
    return both("weight_decay.py", str(tmp_path_factory.mktemp("decay") / "model"), *TRAINERS)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_values_under_weight_decay(trainer, results, assert_close):
    ours, reference = results.ours[trainer], results.reference[trainer]
    assert_close(ours, reference, rtol=1e-4, atol=2e-6)
