"""Each competitor of the tuning benchmark answers, and one that fails is named."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuning

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
    answers(kind, case, other)


@pytest.mark.slow
def test_metaschedule_answers():
    for needed in ("xgboost", "scipy", "psutil", "cloudpickle"):
        if not importlib.util.find_spec(needed):
            pytest.skip(f"the package {needed} is not installed")
    answers("metaschedule", "512x512x1", "512x512x2", TRIALS="2")


def test_a_competitor_that_fails_is_named_with_its_last_words():
    competitor = tuning.Competitor("MetaSchedule", "metaschedule", {"TRIALS": "many"})
    competitor.start(min(os.sched_getaffinity(0)))
    try:
        with pytest.raises(SystemExit, match="(?s)MetaSchedule ended while it ran 512x512x1:.*'many'"):
            competitor.rate("512x512x1", 0.01)
    finally:
        competitor.stop()


def answers(kind, case, other, **environment):
    core = str(min(os.sched_getaffinity(0)))
    lines = "".join(json.dumps([name, 0.01]) + "\n" for name in (case, other, case))
    command = [sys.executable, str(SCRIPT), "work", kind, core]
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    first, missing, second = map(json.loads, done.stdout.splitlines())
    assert first > 0 and second > 0 and missing is None
