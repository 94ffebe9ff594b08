"""Values that have left their graph."""


def test_tensors(both, assert_close):
    results = both("tensors.py")
    assert_close(results.ours, results.reference)
