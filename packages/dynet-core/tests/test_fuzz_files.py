"""Loads a few randomly damaged files; `nox -s fuzz` tries many more."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("fuzz_files.py")


def test_damaged_files():
    command = [sys.executable, "-W", "error", str(SCRIPT), "2000"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("2000 damaged files") == 5
