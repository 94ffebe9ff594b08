"""Puts this folder on the import path, and adds the option --op."""

import sys
from pathlib import Path

import pytest

from dynet_core import ParameterCollection, renew_cg
from dynet_core.graph import current

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def small_engine():
    """Replace an engine that an earlier test has enlarged: compiled code leaves large ones to Python."""
    if current().engine.must_tidy:
        renew_cg()
        current()._replace_engine()


@pytest.fixture(autouse=True)
def runs_uncompiled(request):
    """Give each test of uncompiled functions a graph, and check that the functions named by `uncompiled.of` ran."""
    if not request.path.name.startswith("test_recorder_uncompiled"):
        yield
        return
    import uncompiled

    renew_cg()
    uncompiled.ran.clear()
    yield
    assert set(getattr(request.function, "of", ())) <= uncompiled.ran
    renew_cg()


@pytest.fixture(scope="module")
def model():
    """A collection with a vector, a matrix and a lookup table."""
    found = ParameterCollection()
    return found, found.add_parameters(3), found.add_parameters((4, 3)), found.add_lookup_parameters((5, 3))


def pytest_addoption(parser):
    explained = "run test_table.py for this op only; to collect its tests for all ops takes seconds"
    parser.addoption("--op", metavar="NAME", help=explained)


def pytest_configure(config):
    name = config.getoption("--op", default=None)
    if name is None:
        return
    import tested_ops

    try:
        tested_ops.only(name)
    except ValueError as problem:
        raise pytest.UsageError(f"--op: {problem}") from None
