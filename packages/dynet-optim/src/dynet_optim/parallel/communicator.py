"""Connects the processes of a parallel program, called ranks, by MPI. Ends all of them if one fails."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dynet_core.errors import ParallelError

# Launchers such as mpiexec say in STARTED how many processes they have started.
STARTED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
PROCESS = "DYNET_MPI_PROCESS"  # a rank stores its process id there; child processes, which are no ranks, inherit it
PATIENCE = "DYNET_MPI_SECONDS"  # how many seconds a process waits for the others to connect; 0 means forever
PAUSE = 0.5  # how many seconds a process waits before it ends all ranks: the launcher reads what it has printed


def world() -> Any:
    """Return an MPI communicator of all processes; None if the program has only this process."""
    started = number_started(os.environ)
    if is_child():
        if started == 1:
            return None
        raise ParallelError(
            f"DataParallel: this process, {os.getpid()}, is a child of process {os.environ[PROCESS]}, which the "
            "launcher has started, and is not a rank. Only ranks can train together: use the trainer itself here. If "
            f"the child is a program that trains alone, start it without {PROCESS} and the launcher's variables, such "
            "as PMI_SIZE, in its environment"
        )
    with _impatience(started):
        try:
            MPI = mpi()
        except (ImportError, RuntimeError) as raised:  # mpi4py raises RuntimeError if it finds no MPI
            reason = str(raised).split("\n")[0]
            cure = (
                'pip install "dynet-optim[mpi]" installs it'
                if isinstance(raised, ModuleNotFoundError)
                else "it finds no MPI library. pip install mpich installs one; if there is one already, the "
                "environment variable MPI4PY_LIBMPI can name its file"
            )
            problem = f"{started} processes were started, but mpi4py cannot be used ({reason}); {cure}"
        else:
            if MPI.Is_finalized():
                problem = "MPI.Finalize() was called before; call it after training, or not at all"
            elif not MPI.Is_initialized():
                problem = "MPI is not initialized, because mpi4py.rc.initialize is False; call MPI.Init() before"
            elif MPI.COMM_WORLD.size > 1:
                return MPI.COMM_WORLD.Dup()
            else:
                library = MPI.Get_library_version().split("\n")[0].strip("\0 ")
                problem = (
                    f"{started} processes were started, but each finds itself alone: mpi4py uses {library}, and the "
                    "launcher belongs to a different MPI. Start the program by the mpiexec of mpi4py's MPI"
                )
    if started > 1:
        raise ParallelError(f"DataParallel: {problem}")
    return None


def is_child() -> bool:
    return os.environ.get(PROCESS, str(os.getpid())) != str(os.getpid())


def is_finalized() -> bool:
    """Return whether MPI has been finalized, so that no rank can exchange anything any more."""
    MPI: Any = sys.modules.get("mpi4py.MPI")
    return MPI is not None and MPI.Is_finalized()


def mpi() -> Any:
    """Return the module `mpi4py.MPI`. Its first import connects this process with the others."""
    return importlib.import_module("mpi4py.MPI")


def number_started(environment: Mapping[str, str]) -> int:
    found = [environment.get(name, "") for name in STARTED]
    return max((int(text) for text in found if text.isdecimal()), default=1)


@contextlib.contextmanager
def _impatience(started: int) -> Iterator[None]:
    """End this process if the `with` block, which connects with other processes, takes too long.

    MPI waits forever, even for a process that has ended before it has connected, and Python code cannot run meanwhile.
    The timer of `faulthandler` can. It is not set if there are no other processes: the program may use it.
    """
    try:
        seconds = float(os.environ.get(PATIENCE, "600")) if started > 1 else 0.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ParallelError(
            f"DataParallel: the environment variable {PATIENCE} is {os.environ[PATIENCE]!r}; it must be a number of "
            "seconds, 0 to wait forever"
        )
    if not seconds:
        yield
        return
    with contextlib.suppress(Exception):  # `faulthandler` fails if stderr is not a real file
        faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@functools.cache
def end_all_on_exceptions() -> None:
    """Make an uncaught exception, in any thread, end all ranks, which would wait for this one."""
    process = os.getpid()

    def ending(earlier: Callable) -> Callable:
        def hook(*arguments: Any) -> None:
            kind, problem, trace, *_ = arguments if len(arguments) == 3 else arguments[0]
            try:
                earlier(*arguments)
            except BaseException:
                traceback.print_exception(kind, problem, trace)
            finally:
                if os.getpid() == process and kind is not SystemExit:  # SystemExit only ends a thread
                    end_all("this exception")

        return hook

    sys.excepthook, threading.excepthook = ending(sys.excepthook), ending(threading.excepthook)


def end_all(reason: str) -> None:
    """Print the reason to stderr, and end the processes of all ranks, this one included."""
    MPI: Any = sys.modules.get("mpi4py.MPI")
    comm = MPI.COMM_WORLD if MPI and MPI.Is_initialized() and not MPI.Is_finalized() else None
    rank = f"rank {comm.rank}" if comm else f"process {os.getpid()}"
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            if stream is sys.stderr:
                print(f"dynet: {rank} ends all ranks, because of {reason}", file=stream)
            stream.flush()
    time.sleep(PAUSE)
    if comm:
        comm.Abort(1)
    # MPICH's mpiexec ends the others if a process is killed, but not if it exits before it has connected.
    os.kill(os.getpid(), signal.SIGKILL)


# This is done at import, since a rank may fail before it makes a `DataParallel`. A rank's child processes do not do it:
# they have inherited the variable PROCESS, which has the rank's id.
if number_started(os.environ) > 1:
    os.environ.setdefault(PROCESS, str(os.getpid()))
    if not is_child():
        end_all_on_exceptions()
