"""The recorded errors are still DyNet 2.1's; tests/test_original_refusals.py makes the same calls in this library."""

from original_refusals import REFUSALS


def test_recorded_refusals_are_the_original_s(run):
    assert run("reference", "refusals.py") == REFUSALS
