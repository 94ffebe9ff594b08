"""Fixtures for the tests of the examples."""

import importlib.util
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest


@pytest.fixture
def treebank():
    """Skip the test if the package with the example's sentences, or the package that reads them, is not installed."""
    for package in ("turkish-treebanks", "conllu"):
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"the package {package} is not installed")


@pytest.fixture
def output_of(request):
    """Return a function that runs the example of this test with some arguments, and returns the lines it prints."""

    def run(*arguments):
        command = [sys.executable, str(request.path.parents[1] / "train.py"), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return run


@pytest.fixture
def ranks_of(request):
    """Return a function that runs the example of this test in several processes, and returns the lines it prints.

    Skip the test if mpi4py or mpiexec is not there.
    """
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if not (mpiexec and importlib.util.find_spec("mpi4py")):
        pytest.skip("there is no mpi4py or no mpiexec")

    def run(ranks, *arguments):
        script = str(request.path.parents[1] / "train.py")
        command = [mpiexec, "-n", str(ranks), sys.executable, script, "--mpi", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return run
