"""FallingOrder, the kernel that sorts the largest values and their indices in descending order."""

import numpy as np
import pytest

from dynet_kernels import tuning_records
from dynet_kernels.families.selection import FallingOrder
from dynet_kernels.target import host_cpu
from dynet_kernels.tune import timing


@pytest.fixture(scope="module")
def compiled():
    return timing.CpuTimer(host_cpu(), tuning_records.for_cpu(host_cpu())).compiled({"falling_order": FallingOrder()})


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_the_largest_come_first_and_of_equals_the_first(compiled, size):
    x = np.random.default_rng(size).integers(-3, 3, (5, size)).astype(np.float32)
    found = np.arange(5 * size, dtype=np.float32).reshape(5, size)
    order = np.argsort(-x, 1, kind="stable")
    empty = np.zeros_like(x)
    expected = {0: np.take_along_axis(x, order, 1), 1: np.take_along_axis(found, order, 1)}
    work = timing.Workload("", "falling_order", [empty, empty, x, found], (size, 0, 1, 2, 3), expected)
    assert compiled.is_right(work)
