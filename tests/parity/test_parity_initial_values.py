"""Parity of initial values: the same seed gives the same values."""

import pytest

SEEDINGS = {
    "seed on the command line": ["--dynet-seed", "3"],
    "seed with =": ["--dynet-seed=4"],
    "seed by reset_random_seed": ["reset"],
}


@pytest.fixture(params=SEEDINGS.values(), ids=SEEDINGS.keys())
def results(request, both):
    return both("initial_values.py", *request.param)


def test_values(results, assert_close):
    assert_close(results.ours, results.reference, rtol=1e-6, atol=1e-6)


def test_the_seed_matters(both):
    seedings = [both("initial_values.py", *flags).ours["default, matrix"] for flags in SEEDINGS.values()]
    assert seedings[0] != seedings[1] != seedings[2] != seedings[0]
