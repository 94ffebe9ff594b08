"""Parity of the types and shapes returned by reading an expression or a parameter."""


def test_values_come_back_alike(both, assert_close):
    results = both("reading.py")
    assert_close(results.ours, results.reference)
