"""A pytest plugin for `nox -s emulated`: products round their factors to bfloat16, and comparisons allow for that.

Programs that tests start in processes of their own compute in float32.
"""

import numpy as np
import pytest

from dynet_core.compute import device
from dynet_kernels.families.products import precision
from dynet_ops import testing

ROUNDING = 0.1  # the allowed error, relative to the largest number. Exact checks are in test_bfloat16.py

EXCLUDED = {
    "test_bfloat16.py": "it chooses the precision",
    "test_int8.py": "it chooses the precision",
    "test_show_plan.py::test_gradients_of_matrices_come_last": "the plan names products after their precision",
    "test_profiling.py::test_kernels_and_phases_are_counted": "so does the profile",
    "test_repeated_words.py": "so does the profile",
    "test_table.py::test_check_op_says_what_is_wrong": "the error that is to be found is smaller than ROUNDING",
    "test_table.py::test_an_element_that_runs_apart_is_caught": "the error that is to be found is smaller",
    "test_table.py::test_a_wrong_": "the error that is to be found is smaller",
    "test_tuner.py::test_nothing_is_tuned_if_the_defaults_are_wrong": "the error that is to be found is smaller",
    "test_tuner.py::test_what_computes_wrongly_is_refused_however_fast": "the error that is to be found is smaller",
}


def pytest_collection_modifyitems(config, items):
    def is_excluded(item):
        return any(f"/{name}" in item.nodeid for name in EXCLUDED)

    config.hook.pytest_deselected(items=[item for item in items if is_excluded(item)])
    items[:] = [item for item in items if not is_excluded(item)]


def pytest_sessionstart():
    testing.ROUNDING = ROUNDING
    assert_allclose, allclose, approx = np.testing.assert_allclose, np.allclose, pytest.approx

    def tolerances(expected, rtol, atol):
        numbers = np.asarray(expected)
        if numbers.dtype.kind != "f":
            return {"rtol": rtol, "atol": atol}
        largest = np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0)
        return {"rtol": max(rtol, ROUNDING), "atol": max(atol, ROUNDING * float(largest))}

    def loose_assert(actual, desired, rtol=1e-7, atol=0, **options):
        assert_allclose(actual, desired, **tolerances(desired, rtol, atol), **options)

    np.testing.assert_allclose = loose_assert
    np.allclose = lambda a, b, rtol=1e-5, atol=1e-8, **options: allclose(a, b, **tolerances(b, rtol, atol), **options)
    pytest.approx = lambda expected, rel=0.0, abs=0.0, **options: approx(
        expected, rel=max(rel or 0.0, ROUNDING), abs=max(abs or 0.0, ROUNDING), **options
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    if device.gpu_in_use() is None and device._factors == precision.FLOAT32:
        device.round_factors(bf16="emulate")
