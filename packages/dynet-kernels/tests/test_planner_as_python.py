"""Unit tests of planner functions, run as ordinary Python without TVM, a compiler, or a graph."""

import ctypes
import subprocess
import sys

from dynet_kernels.plain import Words, popcount
from dynet_kernels.plan.tape import each_group, move_in_order


def words(*numbers):
    return Words((ctypes.c_int64 * len(numbers))(*numbers))


def test_a_counting_sort_is_stable():
    keys, counters, source, target = words(2, 0, 2, 1, 0), words(*[7] * 4), words(10, 11, 12, 13, 14), words(*[0] * 5)
    move_in_order(5, keys, 3, counters, [(source, target)])
    assert [*target.array] == [11, 14, 13, 10, 12]


def test_groups_of_adjacent_nodes():
    class Plan:
        def node(self, number):
            return number

    order = words(3, 5, 4, 6, 8)
    found = [(g.begin, g.count) for g in each_group(Plan(), order, 5, lambda a, b: a % 2 == b % 2)]
    assert found == [(0, 2), (2, 3)]


def test_64_bits():
    assert popcount(-1) == 64
    w = words(0)
    w[0] |= 1 << 63
    assert w[0] == -(1 << 63) and popcount(w[0]) == 1


def test_a_place_outside_is_an_error_and_not_a_crash():
    for place in (-1, 5):
        try:
            words(1, 2)[place]
        except IndexError:
            continue
        raise AssertionError


def test_no_tvm():
    code = "import sys, dynet_kernels.plan.forward, dynet_kernels.plan.tape; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
