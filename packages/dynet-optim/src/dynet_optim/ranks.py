"""Connect the processes of a parallel program, called ranks, by MPI, and end all ranks if one fails.

Before ranks exchange data, a `Meeting` checks that all are about to do the same; otherwise, they might wait forever.
Each rank sends a *header*: integers that say what it is about to do and how many updates it has done, and hashes of
*facts*, pairs (name, value), about its model and options. If these differ, all ranks raise an error.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import hashlib
import importlib
import itertools
import math
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dynet_core.errors import ParallelError

# The environment variables in which launchers such as mpiexec store the number of processes.
SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
PID_ENV = "DYNET_MPI_PROCESS"  # the variable with a rank's process id; its children inherit this, but have other ids
WAIT_ENV = "DYNET_MPI_SECONDS"  # the variable with the seconds to wait until all ranks have connected; 0 means forever
END_PAUSE = 0.5  # the seconds to wait before ending all ranks, so that the launcher can read this rank's output


def world() -> Any:
    """Return an MPI communicator of all processes; None if the program has only this process."""
    size = started_process_count(os.environ)
    if is_child_of_rank():
        if size == 1:
            return None
        raise ParallelError(
            f"DataParallel: this process, {os.getpid()}, is a child of process {os.environ[PID_ENV]}, which the "
            "launcher has started, and is not a rank. Only ranks can train together: use the trainer itself here. If "
            f"the child is a program that trains alone, start it without {PID_ENV} and the launcher's variables, such "
            "as PMI_SIZE, in its environment"
        )
    with _time_limit(size):
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
            problem = f"{size} processes were started, but mpi4py cannot be used ({reason}); {cure}"
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
                    f"{size} processes were started, but each finds itself alone: mpi4py uses {library}, and the "
                    "launcher belongs to a different MPI. Start the program by the mpiexec of mpi4py's MPI"
                )
    if size > 1:
        raise ParallelError(f"DataParallel: {problem}")
    return None


def is_child_of_rank() -> bool:
    return os.environ.get(PID_ENV) not in (None, str(os.getpid()))


def is_finalized() -> bool:
    """Return whether MPI has been finalized, so that ranks can no longer exchange data."""
    MPI: Any = sys.modules.get("mpi4py.MPI")
    return MPI is not None and MPI.Is_finalized()


def mpi() -> Any:
    """Return the module `mpi4py.MPI`. Its first import connects this process to the others."""
    return importlib.import_module("mpi4py.MPI")


def started_process_count(environment: Mapping[str, str]) -> int:
    values = [environment.get(name, "") for name in SIZE_VARIABLES]
    return max(map(int, filter(str.isdecimal, values)), default=1)


@contextlib.contextmanager
def _time_limit(process_count: int) -> Iterator[None]:
    """End this process if the `with` block, which connects to other processes, takes too long.

    MPI waits forever, even for a process that ended before it connected. Python code cannot run meanwhile, but the
    timer of `faulthandler` can. If `process_count` is 1, the program itself may use this timer, so there is no limit.
    """
    try:
        seconds = float(os.environ.get(WAIT_ENV, "600")) if process_count > 1 else 0.0  # by default ten minutes
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ParallelError(
            f"DataParallel: the environment variable {WAIT_ENV} is {os.environ[WAIT_ENV]!r}; it must be a number of "
            "seconds, 0 to wait forever"
        )
    if seconds:
        with contextlib.suppress(Exception):  # `faulthandler` fails if stderr is not a real file
            faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        if seconds:
            faulthandler.cancel_dump_traceback_later()


@functools.cache
def end_all_on_exceptions() -> None:
    """Make an uncaught exception in any thread end all ranks, which would otherwise wait for this one forever."""
    process = os.getpid()

    def new_hook(earlier_hook: Callable) -> Callable:
        def hook(*arguments: Any) -> None:
            kind, problem, trace, *_ = arguments if len(arguments) == 3 else arguments[0]  # threads pass a tuple
            try:
                earlier_hook(*arguments)
            except BaseException:
                traceback.print_exception(kind, problem, trace)
            finally:
                if os.getpid() == process and kind is not SystemExit:  # in a thread, SystemExit ends only this thread
                    end_all("this exception")

        return hook

    sys.excepthook, threading.excepthook = new_hook(sys.excepthook), new_hook(threading.excepthook)


def end_all(reason: str) -> None:
    """Print the reason to stderr, and end the processes of all ranks, including this one."""
    MPI: Any = sys.modules.get("mpi4py.MPI")
    comm = MPI.COMM_WORLD if MPI and MPI.Is_initialized() and not is_finalized() else None
    rank = f"rank {comm.rank}" if comm else f"process {os.getpid()}"
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            if stream is sys.stderr:
                print(f"dynet: {rank} ends all ranks, because of {reason}", file=stream)
            stream.flush()
    time.sleep(END_PAUSE)
    if comm:
        comm.Abort(1)
    # MPICH's mpiexec ends the other processes if one is killed, but not if one exits before it has connected.
    os.kill(os.getpid(), signal.SIGKILL)


ACTIONS = ("start", "update", "total", "compare", "save", "populate", "end")  # what ranks can be about to do
ACTION, UPDATES, MODEL, OPTIONS, EXAMPLES, TOUCHED, BACKWARD = range(7)  # the indices of the integers in a header
Facts = Sequence[tuple[str, object]]  # pairs (name, value)
LAST_WAIT = 5  # the seconds that an ending process waits for a thread in the middle of an exchange


class Meeting:
    """This rank's connection to the others. On all ranks, headers must be equal up to and including OPTIONS."""

    def __init__(self, comm: Any):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size  # MPI loses rank and size when finalized
        self.headers = np.zeros((comm.size, BACKWARD + 1), np.int64)  # all ranks' headers at the last call of `meet`
        self.updates = 0  # how many updates the last used DataParallel has done
        self.end_message = ""  # an error message if a rank has ended, after which the others cannot exchange data
        self.process_id = os.getpid()  # a forked child, which has another id, is not a rank
        self._exchange_lock = threading.Lock()  # locked while a thread is in an exchange
        self._lock_error: ParallelError | None = None  # the last error raised because the lock was held
        atexit.register(self._end)

    def _end(self) -> None:
        """Tell the other ranks that this one ends, so that they raise an error instead of waiting for it."""
        if self.end_message or os.getpid() != self.process_id or is_finalized():
            return
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        if not self._exchange_lock.acquire(timeout=LAST_WAIT):
            return
        try:
            with contextlib.suppress(ParallelError):
                self.meet("end", self.updates)
            self.end_message = self.end_message or f"DataParallel: rank {self.rank} has ended"
        finally:
            self._exchange_lock.release()

    @contextlib.contextmanager
    def exchange(self) -> Iterator[None]:
        """Return a context manager for a block in which ranks exchange data.

        An exception in the block ends all ranks, which would otherwise wait for this one forever. Only a ParallelError
        propagates, because all ranks raise it.
        """
        if os.getpid() != self.process_id:
            raise ParallelError(
                f"DataParallel: this process was forked from rank {self.rank} and is not a rank, so it cannot "
                "exchange anything with others. Return its results to the rank, as multiprocessing.Pool does; to train "
                "alone, use the trainer itself"
            )
        if is_finalized():
            raise ParallelError("DataParallel: MPI.Finalize() was called; call it after all uses of DataParallel")
        if not self._exchange_lock.acquire(blocking=False):
            self._lock_error = ParallelError(
                f"DataParallel: rank {self.rank} is in the middle of an exchange, in another thread or before a "
                "signal handler was called. Only one thread at a time may exchange, and all ranks in the same order"
            )
            raise self._lock_error
        try:
            yield
        except BaseException as problem:
            # Only this rank raises `_lock_error`, if a signal handler that interrupts the block tries to exchange data.
            if isinstance(problem, ParallelError) and problem is not self._lock_error:
                raise
            traceback.print_exc()
            end_all("this exception in the middle of an exchange")
        finally:
            self._exchange_lock.release()

    def meet(
        self,
        action: str,
        update_count: int,
        model_facts: tuple[Facts, int] = ((), 0),
        options: Facts = (),
        own_counts: Sequence[int] = (0, 0, 0),
    ) -> np.ndarray:
        """Wait for all ranks, check that they are about to do the same, and return their headers, a row for each rank.

        `model_facts` is (facts, their hash), kept by the caller while the model is the same. `own_counts` may differ:
        the numbers of examples and of used lookup rows, and whether a backward pass has run since the last update.
        """
        if self.end_message:
            raise ParallelError(self.end_message)
        self.updates = update_count
        header = np.array([ACTIONS.index(action), update_count, model_facts[1], digest(options), *own_counts], np.int64)
        self.comm.Allgather(header, self.headers)
        # If this rank is about to end, only the ranks that continue raise the error.
        if action != "end" and (self.headers[:, :EXAMPLES] != header[:EXAMPLES]).any():
            raise ParallelError(self._error_message(action, header, {MODEL: model_facts[0], OPTIONS: options}))
        return self.headers

    def _error_message(self, action: str, own_header: np.ndarray, facts: Mapping[int, Facts]) -> str:
        """Return an error message that says how the headers differ. All ranks must call this together."""
        headers = self.headers
        who = f"DataParallel{f'.{action}' * (action != 'start')}: rank {self.rank}"
        has_done = f"{who} has done {own_header[UPDATES]} update{'' if own_header[UPDATES] == 1 else 's'}"
        ended = np.flatnonzero(headers[:, ACTION] == ACTIONS.index("end"))
        if len(ended):
            self.end_message = (
                f"{has_done} and goes on, but rank {ended[0]} has ended after {headers[ended[0], UPDATES]}. All ranks "
                "must call update equally often; one without examples calls it without backward"
            )
            return self.end_message
        differs = headers != own_header
        # Compare this rank with the first rank that differs from it, in the first field in which any rank does.
        field = int(differs.any(axis=0).argmax())
        other = int(differs[:, field].argmax())
        if field == ACTION:
            return f"{who} is in {action}, but rank {other} is in {ACTIONS[headers[other, ACTION]]}"
        if field == UPDATES:
            return (
                f"{has_done}, but rank {other} has done {headers[other, UPDATES]}: all must call update equally often"
            )
        facts_by_rank = self.comm.allgather(list(facts[field]))
        different_facts = "a different model" if field == MODEL else "different options"
        return f"{who} has {different_facts} than rank {other}: {difference(facts[field], facts_by_rank[other], other)}"


def difference(own_facts: Facts, other_facts: Facts, rank: int) -> str:
    """Describe the first difference between `own_facts`, those of this rank, and `other_facts`, those of `rank`."""
    for (name, value), (other_name, other_value) in itertools.zip_longest(own_facts, other_facts, fillvalue=("", "")):
        if "" in (name, other_name):
            return f"{name or other_name} is only {'here' if name else 'there'}"
        if name != other_name:
            return f"where this has {name}, rank {rank} has {other_name}"
        if value != other_value:
            return f"{name} is {value} here, and {other_value} there"
    return "something is only there"


@functools.cache
def meeting() -> Meeting | None:
    """Return this process's `Meeting`, always the same object; None if the program has only one process."""
    comm = world()
    if comm is None:
        return None
    end_all_on_exceptions()
    os.environ.setdefault(PID_ENV, str(os.getpid()))  # so that a child knows that it is no rank
    return Meeting(comm)


def digest(*facts: object) -> int:
    """Return a hash of facts, the same in all processes: 63 bits, so that it fits an int64."""
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=8).digest(), "little") >> 1


def sendable_error(problem: Exception) -> Exception:
    """Return `problem` if it can be sent to other processes, else a ParallelError with its message."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:
        return ParallelError(f"DataParallel: rank 0 has raised {type(problem).__name__}: {problem}")
    return problem


# Runs at import, because a rank may fail before it makes a `DataParallel`. A rank's child processes, which inherit
# the variable PID_ENV, skip it.
if started_process_count(os.environ) > 1:
    os.environ.setdefault(PID_ENV, str(os.getpid()))
    if not is_child_of_rank():
        end_all_on_exceptions()
