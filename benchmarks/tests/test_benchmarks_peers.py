"""Peers that start from this project's parameters compute the same losses."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynet as dy
from competitors import PYTHONS, TASKS, rows_of
from peers import initial
from worker import LIBRARIES, has_task, made

BENCHMARKS = Path(__file__).resolve().parents[1]
CASES = [
    (kind, row)
    for kind in ("torch", "pyg", "jax", "mlx")
    for row in rows_of(TASKS)
    if has_task(kind, row.task) and row.task != "small"
]
LOSSES = """
import json, sys
from worker import made
steps = made(None, json.loads(sys.argv[1]))
print(json.dumps([steps.infer(), steps.train(), steps.train()] if steps else None))
"""


def interpreter(kind: str) -> str:
    """Return an interpreter that has this library; skip the test if there is none."""
    python = os.environ.get(PYTHONS[kind])
    if not python and importlib.util.find_spec(LIBRARIES.get(kind, kind).partition(".")[0]):
        python = sys.executable
    if not python:
        pytest.skip(f"no {kind} here, and {PYTHONS[kind]} names no interpreter that has it")
    return python


@pytest.mark.parametrize("kind, row", CASES, ids=str)
def test_losses_agree(kind, row, tmp_path):
    python = interpreter(kind)
    order = {"kind": "dynet", "task": row.task, "row": row.name, "minibatch": min(row.minibatch, 10), "seed": 1}
    ours = made(dy, order)
    values = str(tmp_path / "initial.npz")
    initial.save(values, ours.parameters)
    order |= {"kind": kind, "initial": values}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [python, "-c", LOSSES, json.dumps(order)],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    theirs = json.loads(result.stdout)
    if theirs is None:
        pytest.skip(f"left out in {kind}")
    inferred, *trained = theirs
    assert inferred == pytest.approx(ours.infer(), rel=1e-4)
    assert trained[0] == pytest.approx(ours.train(), rel=1e-4)
    # DyNet scales large gradients down, but the size of Adam's first step does not depend on it.
    assert trained[1] == pytest.approx(ours.train(), rel=1e-3)


def test_values_keep_their_order(tmp_path):
    model = dy.ParameterCollection()
    words, W = model.add_lookup_parameters((5, 3)), model.add_parameters((2, 3))
    lstm = dy.VanillaLSTMBuilder(1, 3, 4, model)
    path = str(tmp_path / "initial.npz")
    initial.save(path, model)
    values = initial.load(path)
    assert (values.lookup(5, 3) == words.as_array()).all()
    assert (values.parameter(2, 3) == W.as_array()).all()
    Wx, Wh, b = values.lstm(3, 4)
    expected = [parameter.as_array() for parameter in lstm.get_parameters()[0]]
    assert (Wx == expected[0]).all() and (Wh == expected[1]).all()
    assert b.tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_a_shape_that_differs_is_named():
    values = initial.Given([initial.Drawn(1).parameter(2, 3)], [])
    with pytest.raises(ValueError, match=r"\(2, 3\), not \(3, 2\)"):
        values.parameter(3, 2)
