"""Parity of softmax builders, except full_logits of the factored one, where DyNet adds probabilities to logarithms."""

import numpy as np
import pytest


@pytest.mark.parametrize("layer", ["standard, bias", "standard, no bias", "factored, bias", "factored, no bias"])
def test_layer(layer, both, assert_close):
    results = both("softmax.py")
    ours, reference = results.ours[layer], results.reference[layer]
    assert_close(ours, reference, rtol=1e-4, atol=1e-5, path=layer)
    for tensor, expected in zip(ours["after updates"], reference["after updates"], strict=True):
        error = np.abs(np.subtract(tensor, expected)).max()
        assert error <= 2e-5 * np.abs(expected).max(), f"a parameter is off by {error} after updates"
