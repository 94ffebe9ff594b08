"""Ranks that share minibatches train like one process, for all trainers and options."""

import numpy as np
import pytest
from mpi_cases import cases

EVERY = 5
"""Four ranks on two cores take long: every fifth case is enough. All trainers and options are among them."""


@pytest.fixture(scope="module")
def parameters(run, tmp_path_factory):
    """The parameters that this many ranks end with, by case; each run is done once."""
    folder, known = tmp_path_factory.mktemp("parameters"), {}

    def of(ranks, every=1, again=False):
        key = ranks, every, again
        if key not in known:
            file = folder / f"{ranks}-{every}-{again}.npz"
            done = run(ranks, "mpi_cases.py", file, every)
            assert done.code == 0, done.err
            known[key] = dict(np.load(file))
        return known[key]

    return of


@pytest.mark.parametrize(("ranks", "every"), [(2, 1), (4, EVERY)])
def test_ranks_train_as_one_process(parameters, ranks, every):
    alone, together = parameters(1), parameters(ranks, every)
    left_out = elements = 0
    wrong = []
    for name in [name for name in together if not name.endswith("/small")]:
        small = alone[f"{name}/small"]
        difference = np.abs(together[name] - alone[name]) / np.abs(alone[name]).max()
        if (difference[~small] > 1e-5).any():
            wrong.append((name, difference.max()))
        left_out, elements = left_out + small.sum(), elements + small.size
    assert not wrong
    assert left_out <= 1e-3 * elements
    assert elements > 1000


def test_every_trainer_and_option_is_among_the_cases_of_four_ranks():
    def options(some):
        return {(place, value) for case in some for place, value in enumerate(case[1:])}

    everything = list(cases())
    assert options(everything[::EVERY]) == options(everything)


def test_options_change_parameters(parameters):
    """If they did not, the comparison would prove nothing.

    Some trainers do the same without sparse updates, and clipping makes a sum as small as a mean.
    """
    alone = parameters(1)
    for name in {name.split("/")[0] for name in alone}:
        words = set(name.split())
        for option in words & ({"clipped", "decay"} if "clipped" in words else {"decay", "average"}):
            without = " ".join(word for word in name.split() if word != option)
            pairs = [(alone[f"{name}/{number}"], alone[f"{without}/{number}"]) for number in range(6)]
            assert all(np.isfinite(values).all() for values, _ in pairs)
            assert any((values != others).any() for values, others in pairs), (name, option)


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.thorough)])
def test_runs_are_equal_to_the_last_bit(parameters, ranks):
    first, second = parameters(ranks, EVERY), parameters(ranks, EVERY, again=True)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert len(first) == len(second) > 100
