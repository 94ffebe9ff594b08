"""tests/lines.py, the script that counts lines."""

from lines import counts_of, table

SOURCE = '''"""A module."""

import os  # the system


def f(x):
    """One.

    Two.
    """
    # three
    text = """no
    docstring"""
    return x, text, os
'''


def test_counts():
    assert counts_of(SOURCE) == (14, 5, 6, 17)


def test_packages_add_up():
    counted = table()
    assert [sum(column) for column in zip(*counted.values())] == [2 * count for count in counted["together"]]
    assert counted["dynet-core"][1] > 1000
