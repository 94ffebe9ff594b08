"""The examples of CONTRIBUTING.md, run as they stand there, in a process of their own: they add ops."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_examples_of_contributing():
    command = [sys.executable, "-m", "doctest", "CONTRIBUTING.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
