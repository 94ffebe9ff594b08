"""Signals at random moments: values are right or the library's own exceptions are raised, and no process dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIGNALS = "20000" if os.environ.get("DYNET_STRESS") == "all" else "1000"


@pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
def test_a_program_goes_on_after_signals():
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("signals.py")), SIGNALS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    report = done.stdout + done.stderr[-6000:]
    counts = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
    assert counts["delivered"] >= int(SIGNALS), report
    assert (counts["wrong"], counts["foreign"], counts["deaths"]) == (0, 0, 0), report
    assert counts["ours"] * 20 <= counts["delivered"], report  # refusing everything is not a solution
    assert done.returncode == 0, report
