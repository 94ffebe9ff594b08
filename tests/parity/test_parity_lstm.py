"""Parity of the LSTM builders: states, outputs and all gradients."""

import pytest

SCENARIOS = [
    "one layer",
    "three layers",
    "batched",
    "initial state, one layer",
    "initial state, two layers",
    "transduce",
    "transduce, two layers",
    "transduce, batched",
    "transduce backwards",
    "branches",
    "states set",
    "batch after single",
    "two sequences",
    "BiRNN",
    "BiRNN, two layers",
    "BiRNN, states",
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_states_and_gradients(scenario, both, assert_close):
    results = both("lstm.py")
    assert_close(results.ours[scenario], results.reference[scenario], rtol=1e-4, atol=1e-5)


def test_no_scenario_is_forgotten(both):
    assert both("lstm.py").reference.keys() == set(SCENARIOS)
