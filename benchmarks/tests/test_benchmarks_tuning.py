"""What competes in the tuning benchmark answers, and agrees with the others about what there is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tuning.py"


@pytest.mark.parametrize(
    "kind, case, other",
    [
        ("kernel", "512x512x1", "softmax 64x1000"),
        ("blas", "512x512x1", "softmax 64x1000"),
        ("op", "softmax 64x1000 and backward", "512x512x1"),
    ],
)
def test_a_competitor_answers(kind, case, other):
    core = str(min(os.sched_getaffinity(0)))
    lines = "".join(json.dumps([name, 0.01]) + "\n" for name in (case, other, case))
    command = [sys.executable, str(SCRIPT), "work", kind, core]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    first, missing, second = map(json.loads, done.stdout.splitlines())
    assert first > 0 and second > 0 and missing is None
