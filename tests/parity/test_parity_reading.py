"""Types and shapes of what reading an expression or a parameter gives."""


def test_values_come_back_alike(both, assert_close):
    results = both("reading.py")
    assert_close(results.ours, results.reference)
