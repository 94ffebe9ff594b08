"""The marker `few`: of a test's cases, `nox -s tests` and `nox -s mpi` run each n-th, `nox -s thorough` the others."""

import collections

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest selects tests by their markers
def pytest_collection_modifyitems(items):
    seen = collections.Counter()
    for item in items:
        if marker := item.get_closest_marker("few"):
            test = item.path, item.originalname
            if seen[test] % marker.kwargs["each"]:
                item.add_marker(pytest.mark.thorough)
            seen[test] += 1
