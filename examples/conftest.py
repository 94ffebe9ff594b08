"""What the tests of the examples share."""

import subprocess
import sys
from importlib import metadata

import pytest


@pytest.fixture
def treebank():
    """The test needs the sentences that the examples learn from, and the package that reads them."""
    for package in ("turkish-treebanks", "conllu"):
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"the package {package} is not installed")


@pytest.fixture
def output_of(request):
    """Runs the example that the test belongs to; the lines it prints."""

    def run(*arguments):
        command = [sys.executable, str(request.path.parents[1] / "train.py"), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return run
