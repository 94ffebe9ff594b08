"""The other commands print their tables; here without peers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from competitors import PYTHONS

BENCHMARKS = Path(__file__).resolve().parents[1]
TWENTY = ["20 tanh of 1 read", "20 tanh of 128 read"]


def lines_of(script, *arguments):
    peers = dict.fromkeys(PYTHONS.values(), "")
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **peers})
    assert result.returncode == 0, result.stderr
    return [line.replace(",", "").split() for line in result.stdout.splitlines()]  # 1,000 ns is a number, too


def test_recording():
    _, head, *rows = lines_of("recording.py", "--tasks", "xor", "--rounds", "1", "--seconds", "0.01")
    assert " ".join(head) == "task this project ratio program this project less ratio"
    assert [row[:3] for row in rows] == [["xor", "at", "1"], ["xor", "at", "64"]]
    for *_, whole, no_ratio, program, rest, _ in rows:
        assert no_ratio == "-" and float(rest) == pytest.approx(float(whole) - float(program), abs=0.02)


def test_recording_of_single_ops():
    _, _, (name, whole, rest, ratio) = lines_of("recording.py", "--ops", "E[i]", "--rounds", "1", "--seconds", "0.01")
    assert name == "E[i]" and float(whole) > float(rest) > 0 and ratio == "-"


@pytest.mark.thorough
def test_recording_of_small_graphs():
    _, _, *rows = lines_of("recording.py", "--small", "--rounds", "1", "--seconds", "0.01")
    names = [" ".join(row[:-2]) for row in rows]
    assert names == ["3 nothing held", "3 input held", "3 all held", *TWENTY, "xor"]
    assert all(float(row[-2]) > 0 for row in rows)


def test_versus_itself():
    few = ("--rounds", "1", "--most", "1", "--turns", "2", "--seconds", "0.01")
    _, _, row = lines_of("versus.py", str(BENCHMARKS.parent), "xor at 64", *few)
    name, ratio, low, high, pairs = " ".join(row[:3]), float(row[3]), row[4], row[6], row[7]
    assert (name, low, high, pairs) == ("xor at 64", "0.000", "inf", "1") and ratio > 0


def test_phases():
    _, head, row = lines_of("run.py", "--phases", "--tasks", "small", "--rounds", "1", "--seconds", "0.01")
    assert head[2:] == ["build", "plan", "forward", "backward", "update", "rest", "sum", "whole"]
    assert float(row[head.index("backward")]) == 0 and float(row[head.index("build")]) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is known on Linux alone")
def test_memory():
    _, _, row = lines_of("run.py", "--memory", "--tasks", "small")
    assert row[:2] == ["small", "1"] and float(row[2]) > 0


@pytest.mark.thorough
def test_growth():
    lines = lines_of("growth.py", "--sizes", "100", "--graphs", "100")
    assert [line[:2] for line in lines[2:4]] == [["chain", "100"], ["wide", "100"]]
    assert lines[4][:2] == ["fixed", "cost"]
    assert " ".join(lines[5]).startswith("MiB of this project after each 10 of 100 graphs: ")
    assert len(lines[5]) == 10 + 10
