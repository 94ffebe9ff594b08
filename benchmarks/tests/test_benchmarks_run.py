"""Every task runs under this interpreter's DyNet, and the command prints its table."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1]
TASKS = ("small", "xor", "tagger", "tagger_char", "treelstm", "parser", "rnnlm")
ROWS = [(task, row[0]) for task in TASKS for row in importlib.import_module(f"tasks.{task}").ROWS]


@pytest.mark.parametrize("task, name", ROWS)
def test_worker_answers(task, name):
    minibatch = next(row for row in importlib.import_module(f"tasks.{task}").ROWS if row[0] == name)[1][0]
    core = str(min(os.sched_getaffinity(0)))
    command = [sys.executable, str(BENCHMARKS / "worker.py"), task, name, str(minibatch), "1", core]
    result = subprocess.run(command, input="0.01\n0.01\n", capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    first, *turns = map(json.loads, result.stdout.splitlines())
    assert math.isfinite(first["loss"]) and first["loss"] > 0
    assert len(turns) == 2
    assert all(turn["sentences"] >= 1 and turn["seconds"] >= 0.01 for turn in turns)


def run(*arguments, **environment):
    command = [sys.executable, str(BENCHMARKS / "run.py"), *arguments]
    environment = {**os.environ, "DYNET_REFERENCE_PYTHON": "", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_table_without_a_reference():
    result = run("--tasks", "xor", "--rounds", "1", "--seconds", "0.01")
    assert result.returncode == 0, result.stderr
    assert "no comparison" in result.stderr
    _, head, *rows = result.stdout.splitlines()
    assert head.split()[:2] == ["task", "mb"]
    assert [row.split()[:2] for row in rows] == [["xor", "1"], ["xor", "64"]]


def test_a_competitor_that_fails_is_named(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 3\n")
    broken.chmod(0o755)
    result = run("--tasks", "small", "--seconds", "0.01", DYNET_REFERENCE_PYTHON=str(broken))
    assert result.returncode == 0, result.stderr
    assert "small at 1, DyNet autobatch: no such library" in result.stderr
    assert result.stdout.splitlines()[-1].split()[:4] == ["small", "1", "-", "-"]
