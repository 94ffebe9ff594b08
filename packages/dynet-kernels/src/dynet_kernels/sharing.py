"""How the threads of a CPU share passes: how many they are, and from how much work on. Needs no TVM.

Compiled code reads this from a few integers that all contexts refer to; its threads are those of TVM's runtime, which
reads environment variables when a thread of Python first shares a pass.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import layout as at

INSTRUCTION = 5_000_000  # picoseconds of work from which on threads share an instruction, and wait for each other
PASS = 100_000_000  # of such work in a pass from which on they begin: to wake them may take long
MOST = 8  # threads that are used unless somebody asks for more
TURNS = 10_000  # for which a thread looks for more work before it sleeps

_initial = at.SHARING.filled(threads=1, least_instruction=INSTRUCTION, least_pass=PASS)
_table, _one = ((ctypes.c_int64 * len(at.SHARING))(*_initial) for _ in range(2))


def address() -> int:
    """Where contexts that this thread makes find how threads share work.

    Each thread that shares has TVM make others for it, for good; so only the main one does.
    """
    return ctypes.addressof(_table if threading.current_thread() is threading.main_thread() else _one)


def threads() -> int:
    """How many threads share a pass."""
    return _table[at.SHARING.threads]


def use(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> None:
    """Have so many threads share what takes at least so many picoseconds: an instruction, and a whole pass.

    Results are the same for any number. Threads of Python that have shared a pass before get no more than they have.

    Raises:
        ValueError: not a number of threads from 1 to MOST_THREADS.
    """
    if not 1 <= threads <= at.MOST_THREADS:
        raise ValueError(f"{threads} threads were asked for; 1 to {at.MOST_THREADS} can be used")
    for name, value in (("NUM_THREADS", threads), ("BIND_THREADS", 0), ("THREAD_POOL_SPIN_COUNT", TURNS)):
        if threads > 1 and (name == "NUM_THREADS" or f"TVM_{name}" not in os.environ):
            os.putenv(f"TVM_{name}", str(value))
    _table[:] = threads, instruction, whole


@contextmanager
def using(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> Iterator[None]:
    """`use` for the length of a `with` block. For tests and measurements: plans that are kept stay as they are."""
    before = _table[:]
    use(threads, instruction, whole)
    try:
        yield
    finally:
        _table[:] = before


def available() -> int:
    """How many threads to use if nobody says: one for each core that this process may use, and not too many.

    Raises:
        ValueError: DYNET_NUM_THREADS is not a whole number of at least 1.
    """
    limits = [MOST, cores(), _quota()]
    for name in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS"):
        told = os.environ.get(name, "")
        if re.fullmatch(r"0*[1-9]\d*", told.partition(",")[0].strip()):  # OpenMP's may be a list, for nested loops
            limits.append(int(told.partition(",")[0]))
            break
        if told and name.startswith("DYNET"):
            raise ValueError(f"{name} is {told!r}, not a whole number of at least 1")
    return max(1, min(limits))


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """How many cores' time a container may take."""
    with suppress(OSError, ValueError):
        quota, period = Path(path).read_text().split()
        return max(1, int(quota) // int(period))
    return MOST


def _go_on_alone() -> None:
    """A forked child has none of its parent's threads but one."""
    _table[at.SHARING.threads] = 1


use(available())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_alone)
