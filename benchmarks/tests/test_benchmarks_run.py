"""Every task runs under this interpreter's DyNet, and the command prints its table."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dynet as dy
from competitors import OURS, PYTHONS, TASKS, core, measure, rows_of
from split import PARTS
from tasks import rnnlm
from worker import made

BENCHMARKS = Path(__file__).resolve().parents[1]
ROWS = {row.name: row for row in reversed(rows_of(TASKS))}  # each with its smallest minibatch


def work(row, requests, **more):
    """Return the answers of `worker.py` to some requests."""
    order = {"kind": "dynet", "task": row.task, "row": row.name, "minibatch": row.minibatch, "seed": 1, **more}
    command = [sys.executable, str(BENCHMARKS / "worker.py"), json.dumps({**order, "core": core()})]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    result = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


FIRST = {row.task: row for row in reversed(ROWS.values())}  # of each task, the first row


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[pytest.mark.thorough] * (row is not FIRST[row.task]), id=str(row))
        for row in ROWS.values()
    ],
)
def test_worker_answers(row):
    first, timed, counted = work(row, [{"seconds": 0.01}, {"steps": 3}])
    assert math.isfinite(first["loss"]) and first["loss"] > 0
    assert timed["sentences"] >= 1 and timed["seconds"] >= 0.01
    assert counted["sentences"] == 3 and counted["memory"] is None or counted["memory"] > 0


def test_worker_only_infers_or_builds():
    trained, inferred, built = ([first["loss"], turn] for first, turn in (
        work(ROWS["xor"], [{"steps": 5}], work=kind) for kind in ("train", "infer", "build")
    ))  # fmt: skip
    assert inferred[0] == trained[0] and built[0] is None
    assert inferred[1]["sentences"] == built[1]["sentences"] == 5


@pytest.mark.few(each=2)
@pytest.mark.parametrize("row", ROWS.values(), ids=str)
def test_inference_has_the_loss_of_training(row):
    order = {"kind": "dynet", "task": row.task, "row": row.name, "minibatch": row.minibatch, "seed": 1}
    inferred, trained = made(dy, order), made(dy, order)
    assert inferred.infer() == pytest.approx(trained.train(), rel=1e-6)
    assert inferred.infer() > 0  # on another minibatch


def test_phases_add_up():
    _, *turns = work(ROWS["treelstm 128"], [{"steps": 1}, {"seconds": 0.1}], work="phases")
    for turn in turns:  # the first one has the times of its one step only
        assert list(turn["parts"]) == list(PARTS)
        assert all(seconds > 0 for seconds in turn["parts"].values())
        assert sum(turn["parts"].values()) <= turn["seconds"]
    assert sum(turns[1]["parts"].values()) > turns[1]["seconds"] / 2


def test_turns_of_a_row_take_so_many_steps_if_it_says_so():
    row = replace(ROWS["xor"], steps=6)
    (worker,) = measure(row, [OURS], 2, 0.01)
    assert [turn["sentences"] for turn in worker.turns] == [6, 6]
    (worker,) = measure(row, [OURS], 1, 0.01, ["build"])
    assert worker.turns[0]["sentences"] > 6
    assert {row.minibatch: row.steps for row in rows_of(["rnnlm"])} == rnnlm.STEPS


def run(*arguments, **environment):
    command = [sys.executable, str(BENCHMARKS / "run.py"), *arguments]
    peers = dict.fromkeys(PYTHONS.values(), "")
    environment = {**os.environ, **peers, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_table_without_a_reference():
    result = run("--tasks", "xor", "--rounds", "1", "--seconds", "0.01")
    assert result.returncode == 0, result.stderr
    assert "no comparison" in result.stderr
    _, head, *rows = result.stdout.splitlines()
    assert head.split()[:2] == ["task", "mb"]
    assert [row.split()[:2] for row in rows] == [["xor", "1"], ["xor", "64"]]


def test_table_of_inference():
    result = run("--inference", "--tasks", "xor", "--rounds", "1", "--seconds", "0.01")
    assert result.returncode == 0, result.stderr
    title, _, *rows = result.stdout.splitlines()
    assert "; infer; " in title
    assert [row.split()[:2] for row in rows] == [["xor", "1"], ["xor", "64"]]
    assert all(float(row.split()[2].replace(",", "")) > 0 for row in rows)


@pytest.mark.parametrize("other", ["--quick", "--record", "--phases", "--memory"])
def test_inference_goes_with_no_option_that_measures_training(other):
    result = run("--inference", other)
    assert result.returncode == 2 and other in result.stderr


def test_a_competitor_that_fails_is_named(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 3\n")
    broken.chmod(0o755)
    result = run("--tasks", "small", "--seconds", "0.01", DYNET_REFERENCE_PYTHON=str(broken))
    assert result.returncode == 0, result.stderr
    assert "small at 1, DyNet autobatch: no such library, exit code 3\n" in result.stderr
    assert result.stdout.splitlines()[-1].split()[:4] == ["small", "1", "-", "-"]
