"""Exceptions at every line and bytecode of the library, garbage collections that record, and failing allocations."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
VARIANTS = ["lines", "memory-errors", "bytecodes", "garbage"]
if importlib.util.find_spec("_testcapi"):  # not every Python has it
    VARIANTS.append("no-memory")


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[pytest.mark.thorough] * (name == "garbage")) for name in VARIANTS]
)
def test_the_graph_is_whole_after(variant):
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("every_line.py")), variant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=7200)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    totals = dict(item.split("=") for item in done.stdout.splitlines()[-1].split()[1:])
    assert int(totals["raised"]) > 0.2 * int(totals["trials"]) > 0, done.stdout  # the exceptions are raised
