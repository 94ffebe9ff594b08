"""Parity of every builder: names, initial values, states, gradients, and parameters after 50 updates."""

import numpy as np
import pytest

BUILDERS = [
    "simple",
    "GRU",
    "vanilla LSTM",
    "no forget bias",
    "layer normalisation",
    "compact LSTM",
    "sparse LSTM",
    "coupled LSTM",
    "fast LSTM",
]
SETTINGS = [
    "1 layers, batch 1",
    "3 layers, batch 1",
    "1 layers, batch 2",
    "2 layers, batch 2",
    "from vectors",
]


@pytest.mark.parametrize("builder", BUILDERS)
def test_builder(builder, both, assert_close):
    results = both("builders.py")
    for name, reference in results.reference.items():
        if name.startswith(builder + ", "):
            ours = results.ours[name]
            assert_close(ours, reference, rtol=1e-4, atol=1e-5, path=name)
            for tensor, expected in zip(ours.get("after updates", []), reference.get("after updates", []), strict=True):
                error = np.abs(np.subtract(tensor, expected)).max()
                assert error <= 2e-5 * np.abs(expected).max(), f"{name}: a parameter is off by {error} after updates"


def test_nothing_is_forgotten(both):
    names = {f"{builder}, {setting}" for builder in BUILDERS for setting in SETTINGS}
    names -= {f"{builder}, from vectors" for builder in ("no forget bias", "layer normalisation")}
    assert both("builders.py").reference.keys() == names
