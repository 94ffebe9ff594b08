"""Fixtures that run CUDA kernels without a GPU. `nox -s cuda` runs these tests and reports how much was compared."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "benchmarks")]

import emulation  # noqa: E402

COUNTS = Counter(kernels=0, compared=0, samples=0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cuda)


def pytest_sessionfinish():
    """Save the counts for the nox session, which prints them at its end."""
    report = os.environ.get("DYNET_CUDA_REPORT")
    if report:
        import gpu_checks

        COUNTS["samples"] = len(gpu_checks.samples())
        Path(report).write_text(json.dumps(COUNTS))


@pytest.fixture(scope="session")
def counts():
    """Counts of compiled and compared items: kernels, compared, samples."""
    return COUNTS


@pytest.fixture(scope="session")
def emulated():
    """The emulated GPU, used by this process from now on."""
    if emulation.COMPILER is None:
        pytest.skip("there is no g++ on this machine")
    return emulation.install()
