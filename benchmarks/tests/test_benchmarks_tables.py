"""The commands beside the main one print their tables, here without peers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1]


def lines_of(script, *arguments):
    peers = dict.fromkeys(("DYNET_REFERENCE_PYTHON", "TORCH_PYTHON", "JAX_PYTHON"), "")
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **peers})
    assert result.returncode == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]


def test_recording():
    _, head, *rows = lines_of("recording.py", "--tasks", "xor", "--rounds", "1", "--seconds", "0.01")
    assert head == ["task", "mb", "this", "project", "ratio"]
    assert [row[:2] for row in rows] == [["xor", "1"], ["xor", "64"]]
    assert all(float(row[2]) > 0 for row in rows)


def test_phases():
    _, head, row = lines_of("run.py", "--phases", "--tasks", "small", "--rounds", "1", "--seconds", "0.01")
    assert head[2:] == ["build", "plan", "forward", "backward", "update", "rest", "sum", "whole"]
    assert float(row[head.index("backward")]) == 0 and float(row[head.index("build")]) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is known on Linux alone")
def test_memory():
    _, _, row = lines_of("run.py", "--memory", "--tasks", "small")
    assert row[:2] == ["small", "1"] and float(row[2]) > 0


def test_growth():
    lines = lines_of("growth.py", "--sizes", "100", "--graphs", "100")
    assert [line[:2] for line in lines[2:4]] == [["chain", "100"], ["wide", "100"]]
    assert lines[4][:2] == ["fixed", "cost"]
    assert " ".join(lines[5]).startswith("MiB of this project after each 10 of 100 graphs: ")
    assert len(lines[5]) == 10 + 10
