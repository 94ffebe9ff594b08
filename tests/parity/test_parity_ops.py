"""Parity of the basic ops: shape, value and gradients of the operands."""

import pytest
from op_cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_op(name, both, assert_close):
    results = both("ops.py")
    assert "error" not in results.reference[name], results.reference[name]
    ours, reference = results.ours[name], results.reference[name]
    if CASES[name].defect:
        assert "error" not in ours, ours
        with pytest.raises(AssertionError):
            assert_close(ours, reference, rtol=1e-4, atol=1e-5)
    else:
        assert_close(ours, reference, rtol=1e-4, atol=1e-5)
