"""When one rank fails, all end with a message and a return code, and the last checkpoint loads."""

import pytest

import dynet as dy

MOMENTS = (
    "before the start", "at the start", "before the first update", "in backward", "before an update",
    "in an update, before the exchange", "in an exchange", "in an update, after the exchange", "in total", "in save",
    "after a save", "in populate", "at the end",
)  # fmt: skip
IN_EXCHANGES = {"at the start", "in an update, before the exchange", "in an exchange", "in save", "in populate"}
FEW = ("before the start", "in backward", "in an exchange", "in save")
"""The moments at which `nox -s mpi` lets a rank fail in each way; `nox -s thorough` takes the others."""
EACH = [pytest.param(moment, marks=[pytest.mark.thorough] * (moment not in FEW)) for moment in MOMENTS]
LONGEST = 10
"""Seconds from the fault to the end."""


def moment_reached(file):
    """Return the time at which `faults.py` failed, as a string, which is empty if it has not failed yet."""
    reached = file.with_name(f"{file.name}.moment")
    return reached.exists() and reached.read_text()


def checked_end(done, moment, file, limit=LONGEST):
    assert done.code != 0
    assert done.time - float(moment_reached(file)) < limit, done.err
    if MOMENTS.index(moment) < 3:
        assert not file.exists()
        return
    model = dy.ParameterCollection()
    model.add_lookup_parameters((9, 4)), model.add_parameters((3, 4))
    late = moment in ("in populate", "at the end")
    assert dy.DataParallel(dy.AdamTrainer(model)).populate(file) == {"done": 4 if late else 2}


def failing_rank(moment):
    return 0 if moment == "in save" else 1  # rank 0 writes


@pytest.mark.parametrize("moment", EACH)
def test_an_exception_ends_all_with_its_traceback(run, tmp_path, moment):
    done = run(2, "faults.py", "exception", moment, failing_rank(moment), tmp_path / "checkpoint")
    checked_end(done, moment, tmp_path / "checkpoint")
    assert "Traceback (most recent call last):" in done.err
    assert f"ValueError: failed {moment}\n" in done.err
    assert "ends all ranks, because of this exception" in done.err


@pytest.mark.parametrize("moment", EACH)
def test_a_killed_rank_ends_all(run, tmp_path, moment):
    done = run(2, "faults.py", "kill", moment, failing_rank(moment), tmp_path / "checkpoint")
    checked_end(done, moment, tmp_path / "checkpoint")


@pytest.mark.parametrize("moment", EACH[1:-1])
def test_a_rank_that_stops_early_ends_all(run, tmp_path, moment):
    done = run(2, "faults.py", "exit", moment, failing_rank(moment), tmp_path / "checkpoint")
    checked_end(done, moment, tmp_path / "checkpoint")
    if moment in IN_EXCHANGES:
        assert "SystemExit: 0\n" in done.err
        assert "ends all ranks, because of this exception in the middle of an exchange" in done.err
    else:
        assert "ParallelError: DataParallel." in done.err
        assert "and goes on, but rank 1 has ended after" in done.err


def test_a_rank_that_stops_before_it_connects_is_not_waited_for(run, tmp_path):
    moment, file = "before the start", tmp_path / "checkpoint"
    done = run(2, "faults.py", "exit", moment, 1, file, DYNET_MPI_SECONDS="3")
    checked_end(done, moment, file, 3 + LONGEST)
    assert "Timeout (0:00:03)!" in done.err
    assert "in world" in done.err


def test_ctrl_c_ends_all(run, tmp_path):
    file = tmp_path / "checkpoint"
    done = run(2, "faults.py", "wait", "after a save", 1, file, interrupt=lambda: moment_reached(file))
    checked_end(done, "after a save", file)
