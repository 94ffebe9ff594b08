"""Programs of two ranks that also use MPI, processes and threads directly:

    mpiexec -n 2 python processes.py finalize_at_the_end

The argument is the name of the program, one of the functions below.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import dynet as dy


def model() -> dy.ParameterCollection:
    collection = dy.ParameterCollection()
    collection.add_parameters(2, init=1.0)
    return collection


def made() -> dy.DataParallel:
    return dy.DataParallel(dy.SimpleSGDTrainer(model()))


def refused(function, *arguments) -> str:
    """Call the function, and return the message of its ParallelError."""
    try:
        return f"no error, but {function(*arguments)}"
    except dy.ParallelError as error:
        return str(error)


def in_fork(function, *arguments) -> None:
    """Call the function in a forked child, and print the message of its ParallelError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks while there are threads
        child = os.fork()
    if child == 0:
        print("child:", refused(function, *arguments), flush=True)
        os._exit(0)
    os.waitpid(child, 0)


def finalize_at_the_end() -> None:
    from mpi4py import MPI

    trainer = made()
    trainer.total(1)
    MPI.Finalize()
    print("rank", trainer.rank, "of", trainer.size, flush=True)


def finalize_too_early() -> None:
    from mpi4py import MPI

    trainer = made()
    MPI.Finalize()
    for function in (lambda: trainer.total(1), made):
        print(refused(function), flush=True)


def finalize_before() -> None:
    from mpi4py import MPI

    MPI.Finalize()
    print(refused(made), flush=True)


def not_initialized() -> None:
    import mpi4py

    mpi4py.rc.initialize = False
    print(refused(made), flush=True)


def fork() -> None:
    in_fork(made)
    trainer = made()
    in_fork(trainer.total, 1)
    in_fork(made)
    print(trainer.total(1), flush=True)


def size_in_child(number: int) -> str:
    return refused(made)


def spawn() -> None:
    trainer = made()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("child:", pool.map(size_in_child, [0])[0], flush=True)
    print(trainer.total(1), flush=True)


def subprocesses() -> None:
    trainer = made()
    command = [sys.executable, __file__, "not_in_child"]
    print("child:", subprocess.run(command, capture_output=True, text=True, timeout=300).stdout, flush=True)
    print(trainer.total(1), flush=True)


def not_in_child() -> None:
    print(refused(made))


def exception_in_a_thread() -> None:
    trainer, done = made(), threading.Event()

    def work() -> None:
        trainer.total(1)
        if trainer.rank == 1:
            raise ValueError("failed in a thread")
        trainer.total(1)
        done.set()

    threading.Thread(target=work).start()
    done.wait()


def mpi_before_dynet() -> None:
    """Rank 1 ends before the two have connected; DYNET_MPI_SECONDS is short."""
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 0:
        made()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
