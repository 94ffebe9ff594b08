"""Parity of Tensor objects, which hold values read from a graph."""


def test_tensors(both, assert_close):
    results = both("tensors.py")
    assert_close(results.ours, results.reference)
