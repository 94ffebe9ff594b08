"""Startup of parallel training: how ranks connect through MPI, and errors if they cannot. MPI is a fake."""

import os
import subprocess
import sys
import types

import pytest

from dynet_core.errors import ParallelError
from dynet_optim import ranks


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, 2),
        ({"SLURM_STEP_NUM_TASKS": "8", "PMI_SIZE": "8"}, 8),
        ({"PMI_SIZE": "many"}, 1),
    ],
)
def test_launchers_say_how_many_they_start(environment, number):
    assert ranks.started_process_count(environment) == number


@pytest.fixture
def launched(monkeypatch):
    for name in (*ranks.SIZE_VARIABLES, ranks.PID_ENV):
        monkeypatch.delenv(name, raising=False)

    def set_number(number):
        monkeypatch.setenv("PMI_SIZE", str(number))

    return set_number


def test_without_mpi4py_one_process_is_alone(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    assert ranks.world() is None
    launched(4)
    with pytest.raises(ParallelError, match=r'4 processes were started, but mpi4py cannot be used .*optim\[mpi\]"'):
        ranks.world()


def test_an_mpi_library_that_is_missing_is_named(launched, monkeypatch):
    def no_library():
        raise RuntimeError("cannot load MPI library\nlibmpi.so.12: cannot open")

    monkeypatch.setattr(ranks, "mpi", no_library)
    assert ranks.world() is None
    launched(2)
    with pytest.raises(ParallelError, match=r"\(cannot load MPI library\); it finds no MPI library. pip install mpich"):
        ranks.world()


def fake_mpi4py(monkeypatch, size, initialized=True, finalized=False):
    comm = types.SimpleNamespace(size=size, Dup=lambda: "a communicator of its own")
    MPI = types.SimpleNamespace(
        COMM_WORLD=comm if initialized and not finalized else None,
        Get_library_version=lambda: "Some MPI 1.0\n and more",
        Is_initialized=lambda: initialized,
        Is_finalized=lambda: finalized,
    )
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=MPI))
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", MPI)


def test_the_launcher_of_another_mpi_is_noticed(launched, monkeypatch):
    fake_mpi4py(monkeypatch, 1)
    assert ranks.world() is None
    launched(2)
    with pytest.raises(
        ParallelError, match="2 processes .* finds itself alone: mpi4py uses Some MPI 1.0, and the laun"
    ):
        ranks.world()
    fake_mpi4py(monkeypatch, 2)
    assert ranks.world() == "a communicator of its own"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"initialized": False}, r"rc.initialize is False; call MPI.Init\(\)"),
        ({"finalized": True}, r"MPI.Finalize\(\) was"),
    ],
)
def test_mpi_must_be_running(launched, monkeypatch, state, message):
    fake_mpi4py(monkeypatch, 2, **state)
    assert ranks.world() is None
    launched(2)
    with pytest.raises(ParallelError, match=message):
        ranks.world()


def test_children_of_ranks_are_no_ranks(launched, monkeypatch):
    """They do not even import MPI."""
    monkeypatch.setattr(ranks, "mpi", lambda: 1 / 0)
    monkeypatch.setenv(ranks.PID_ENV, "1")
    assert ranks.world() is None
    launched(2)
    with pytest.raises(ParallelError, match=r"is a child of process 1, .* use the trainer itself here"):
        ranks.world()


@pytest.mark.parametrize("seconds", ["abc", "-1", "nan", "inf", ""])
def test_seconds_are_a_number(launched, monkeypatch, seconds):
    fake_mpi4py(monkeypatch, 2)
    launched(2)
    monkeypatch.setenv(ranks.WAIT_ENV, seconds)
    with pytest.raises(ParallelError, match=f"DYNET_MPI_SECONDS is '{seconds}'; it must be a number of seconds"):
        ranks.world()


@pytest.mark.parametrize(
    ("number", "seconds", "calls"),
    [(1, "2", []), (2, "0", []), (2, "2", [2.0, "cancel"]), (2, "1.5", [1.5, "cancel"])],
)
def test_the_timer_is_touched_only_where_it_is_needed(launched, monkeypatch, number, seconds, calls):
    """Also if mpi4py is imported already, because the other ranks may not reach `Dup`."""
    found = []
    fake_mpi4py(monkeypatch, number)
    launched(number)
    monkeypatch.setenv(ranks.WAIT_ENV, seconds)
    faulthandler = ranks.faulthandler
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, exit: found.append(seconds))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: found.append("cancel"))
    ranks.world()
    assert found == calls


FAILS_IN_A_THREAD = """
import threading
import dynet

def fail():
    raise {}

thread = threading.Thread(target=fail)
thread.start()
thread.join()
print("the end")
"""


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(1, "ValueError", 0), (2, "ValueError", -9), (2, "SystemExit", 0)]
)
def test_an_exception_in_a_thread_kills_the_process(number, kind, code):
    environment = {name: value for name, value in os.environ.items() if name not in ranks.SIZE_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", FAILS_IN_A_THREAD.format(kind)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "PMI_SIZE": str(number)},
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.count("the end") == (code == 0)
    assert done.stderr.count("ends all ranks, because of this exception") == (code != 0)


FAILS = """
import subprocess, sys
import dynet
print(subprocess.run([sys.executable, "-c", "import dynet; 1 / 0"]))
raise ValueError("failed")
"""


@pytest.mark.parametrize(("number", "code"), [(1, 1), (2, -9)])
def test_an_exception_before_the_start_kills_the_process(number, code):
    """This makes mpiexec end the others. Processes started by a rank end as usual."""
    command = [sys.executable, "-c", FAILS]
    environment = {name: value for name, value in os.environ.items() if name not in ranks.SIZE_VARIABLES}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**environment, "PMI_SIZE": str(number)}
    )
    assert done.returncode == code
    assert "returncode=1)" in done.stdout
    assert "ValueError: failed\n" in done.stderr
    assert done.stderr.count("ends all ranks, because of this exception") == (code != 1)
