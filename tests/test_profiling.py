"""Profiles: their contents, and that profiling changes no results."""

import json
import subprocess
import sys

import numpy as np
import pytest

import dynet as dy


def train(steps=3):
    dy.reset_random_seed(1)
    model = dy.ParameterCollection()
    W, E = model.add_parameters((4, 3)), model.add_lookup_parameters((10, 3))
    trainer = dy.AdamTrainer(model)
    for step in range(steps):
        dy.renew_cg()
        loss = dy.squared_norm(dy.tanh(W * E[step]))
        loss.value()
        loss.backward()
        trainer.update()
    return W.as_array(), E.as_array()


def test_the_program_computes_the_same():
    plain = train()
    with dy.profile():
        profiled = train()
    for one, other in zip(plain, profiled):
        np.testing.assert_array_equal(one, other)


def test_kernels_and_phases_are_counted():
    with dy.profile() as times:
        train(3)
    for kernel in ("tanh", "tanh.dx", "product", "product.dW", "squared_norm", "gradient_norm"):
        assert times.kernels[kernel].calls >= 3, kernel
        assert times.kernels[kernel].columns >= 3
    assert times.kernels["tanh"].columns == 3
    assert times.phases["forward: plan"].calls == times.phases["backward: run"].calls == 3
    assert times.phases["update: run"].calls == 3
    assert all(line.seconds >= 0 for line in [*times.kernels.values(), *times.phases.values()])
    inside = sum(line.seconds for line in times.phases.values())
    assert inside >= sum(line.seconds for line in times.kernels.values())


def test_the_table_names_what_ran():
    with dy.profile() as times:
        train(2)
    header, python, *_ = str(times).splitlines()
    assert header.split() == ["phase", "calls", "ms", "%"]
    assert python.startswith("Python")
    assert any(line.split()[:3] == ["tanh", "2", "2"] for line in str(times).splitlines())


def test_nothing_is_timed_afterwards():
    with dy.profile() as times:
        train(1)
    calls = times.kernels["tanh"].calls
    train(1)
    assert times.kernels["tanh"].calls == calls


def test_an_error_inside_ends_the_profile():
    with pytest.raises(dy.ShapeError), dy.profile():
        dy.renew_cg()
        dy.inputVector([1, 2, 3]) + dy.inputVector([1, 2])
    with dy.profile():
        pass


def test_a_second_profile_is_refused():
    with dy.profile(), pytest.raises(dy.ArgumentError, match="another profile is running"), dy.profile():
        pass


def test_the_trace_is_what_chrome_reads(tmp_path):
    with dy.profile() as times:
        train(1)
    times.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"X"}
    assert {"tanh", "forward: run", "backward: plan"} <= {event["name"] for event in events}
    run = next(event for event in events if event["name"] == "forward: run")
    tanh = next(event for event in events if event["name"] == "tanh")
    assert run["ts"] <= tanh["ts"] <= tanh["ts"] + tanh["dur"] <= run["ts"] + run["dur"] + 1


def test_a_whole_program_is_profiled_by_a_flag(tmp_path):
    program = "import dynet as dy; print(dy.exp(dy.inputVector([0.0])).value())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "--dynet-profiling", "1"],
        capture_output=True, text=True, cwd=tmp_path, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1.0\n"
    assert any(line.split()[:2] == ["exp", "1"] for line in done.stderr.splitlines())
    assert json.loads((tmp_path / "dynet-trace.json").read_text())["traceEvents"]
