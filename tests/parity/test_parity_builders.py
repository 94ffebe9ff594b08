"""Every builder: names, initial values, states, gradients, and parameters after 50 updates."""

import pytest

BUILDERS = [
    "simple",
    "GRU",
    "vanilla LSTM",
    "no forget bias",
    "layer normalisation",
    "compact LSTM",
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
            assert_close(results.ours[name], reference, rtol=1e-4, atol=1e-5, path=name)


def test_nothing_is_forgotten(both):
    names = {f"{builder}, {setting}" for builder in BUILDERS for setting in SETTINGS}
    names -= {f"{builder}, from vectors" for builder in ("no forget bias", "layer normalisation")}
    assert both("builders.py").reference.keys() == names
