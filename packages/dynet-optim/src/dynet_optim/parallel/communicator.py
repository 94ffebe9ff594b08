"""The processes of a parallel program: found by MPI, or this one alone."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from dynet_core.errors import ParallelError

STARTED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables in which launchers say how many processes they have started."""


def world() -> Any:
    """Return MPI's communicator of all processes; None if this process is alone.

    Raises:
        ParallelError: a launcher has started several processes, but they cannot find each other.
    """
    started = _started(os.environ)
    try:
        from mpi4py import MPI
    except ImportError as problem:
        if started > 1:
            raise ParallelError(
                f"DataParallel: {started} processes were started, but mpi4py cannot be used ({problem}); "
                'pip install "dynet-optim[mpi]" brings it'
            ) from None
        return None
    comm = MPI.COMM_WORLD
    if comm.size == 1 and started > 1:
        library = MPI.Get_library_version().split("\n")[0].strip("\0 ")
        raise ParallelError(
            f"DataParallel: {started} processes were started, but each finds itself alone: mpi4py uses {library}, "
            "and mpiexec belongs to another MPI. Start the program by the mpiexec of that one"
        )
    return comm if comm.size > 1 else None


def _started(environment: Mapping[str, str]) -> int:
    found = [environment.get(name, "") for name in STARTED]
    return max((int(text) for text in found if text.isdecimal()), default=1)


def abort_on_exceptions(comm: Any) -> None:
    """Make an exception that nothing catches end the processes of all ranks, after its traceback is printed.

    Otherwise the others would wait for this one forever.
    """
    earlier = sys.excepthook

    def hook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        try:
            earlier(kind, problem, trace)
        except BaseException:
            traceback.print_exception(kind, problem, trace)
        finally:
            sys.stdout.flush()
            print(f"dynet: rank {comm.rank} ends all ranks, because of this exception", file=sys.stderr, flush=True)
            comm.Abort(1)

    sys.excepthook = hook
