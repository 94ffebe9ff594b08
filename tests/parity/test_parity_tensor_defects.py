"""Calls of inputs, selection, convolution, contraction and linear algebra that DyNet 2.1 gets wrong or refuses.

The tests of dynet-ops check that the results here are right.
"""

import numpy as np
import pytest

DEFECTS = {
    "kmax_pooling": "equal numbers crowd out larger ones that stand behind them",
    "filter1d_narrow": "all batch elements but the first are forgotten",
    "conv2d": "batched filters: all but the first are forgotten",
    "contract3d_1d": "the result is added to what its memory held",
    "inverse": "no batches",
    "logdet": "no batches",
    "trace_of_product": "no batches",
    "contract3d_1d_1d": "no batches",
    "to_device": "the result is what its memory held",
    "floor": "its gradient is that of either mode, by chance",
    "ceil": "its gradient is that of either mode, by chance",
    "round": "its gradient is that of either mode, by chance",
    "matInput": "deprecated: an error",
    "inputMatrix": "deprecated: an error",
    "softsign": "no matrices",
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_not_repeated(name, both):
    results = both("tensor_defects.py")
    mine, theirs = results.ours[name], results.reference[name]
    assert "error" not in mine, mine
    if "error" not in theirs:
        same = np.shape(theirs["value"]) == np.shape(mine["value"]) and np.allclose(
            theirs["value"], mine["value"], rtol=1e-4, atol=1e-4
        )
        assert not same, f"DyNet is right too: {DEFECTS[name]} no longer"
