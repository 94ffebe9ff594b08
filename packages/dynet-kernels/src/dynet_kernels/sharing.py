"""Sets how many CPU threads share a pass, and how much work is worth sharing. Needs no TVM.

A pass computes a graph once, forward or backward, by a list of instructions (calls of kernels). Compiled code reads the
settings made here from a few integers whose address it knows. The threads belong to TVM's runtime. It reads its own
settings from environment variables when a Python thread first shares a pass, so `use` sets these before.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import layout as at

# Threads share an instruction only if one thread alone would take at least this many picoseconds for it. Less would not
# pay, because the threads wait for each other at the end of the instruction.
INSTRUCTION = 5_000_000
# Threads share a pass only if its instructions that are worth sharing take at least this many picoseconds in total.
# Less would not pay, because waking threads may take long.
PASS = 100_000_000
MOST = 8  # the most threads that are used by default
TURNS = 10_000  # how often a thread without work checks for more before it sleeps; this takes some milliseconds
AWAKE = 0.001  # seconds for which threads are surely awake after they were woken
WAKINGS = 5  # how often to try to wake them in less time than this

_initial = at.SHARING.filled(threads=1, least_instruction=INSTRUCTION, least_pass=PASS, used=0)
_table, _one = ((ctypes.c_int64 * len(at.SHARING))(*_initial) for _ in range(2))
_SETTINGS = slice(0, at.SHARING.used)  # those integers of `_table` that `use` sets

wake: Any = None
"""The compiled function that runs a tape on all threads. It keeps the GIL. None until the planner is loaded."""
_no_tape = (ctypes.c_int64 * len(at.CONTEXT))()  # a context whose tape has no instructions
_no_tape[at.CONTEXT.sharing] = ctypes.addressof(_table)
_process = os.getpid()  # the process that has the threads that have shared passes
_helpers_lost = False  # whether this process was forked from one whose threads had shared passes


def address() -> int:
    """Return the address of the settings for graphs that the calling Python thread computes.

    Only the main thread gets settings with several threads, all others get settings with one: TVM creates worker
    threads for each Python thread that shares its work, and never ends them.
    """
    return ctypes.addressof(_table if threading.current_thread() is threading.main_thread() else _one)


def threads() -> int:
    """Return how many CPU threads share the work of Python's main thread."""
    return _table[at.SHARING.threads]


def use(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> None:
    """Set how many threads share work, and how much work is worth sharing.

    The results of graphs do not depend on these settings. Once the main thread has shared a pass, it can use fewer
    threads than it did then, but not more. A child that was forked afterwards always uses one.

    Args:
        threads: the number of threads.
        instruction: share only instructions that take one thread at least this many picoseconds.
        whole: share a pass only if its instructions that are worth sharing take at least this many picoseconds in all.

    Raises:
        ValueError: `threads` is less than 1 or more than MOST_THREADS.
    """
    if not 1 <= threads <= at.MOST_THREADS:
        raise ValueError(f"{threads} threads were asked for; 1 to {at.MOST_THREADS} can be used")
    for name, value in (("NUM_THREADS", threads), ("BIND_THREADS", 0), ("THREAD_POOL_SPIN_COUNT", TURNS)):
        if threads > 1 and (name == "NUM_THREADS" or f"TVM_{name}" not in os.environ):
            os.putenv(f"TVM_{name}", str(value))
    _set(threads, instruction, whole)


def _set(threads: int, instruction: int, whole: int) -> None:
    _table[_SETTINGS] = 1 if _helpers_lost else threads, instruction, whole


@contextmanager
def using(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> Iterator[None]:
    """Call `use` with these settings for the length of a `with` block, and restore the old ones after it.

    For tests and measurements only. If a graph was planned before the block, and its list of instructions is used again
    in the block, the graph keeps the old settings.
    """
    before = _table[_SETTINGS]
    use(threads, instruction, whole)
    try:
        yield
    finally:
        _set(*before)


def available() -> int:
    """Return the default number of threads: one for each core that this process may use, but at most MOST.

    The CPU quota of a container and the environment variable DYNET_NUM_THREADS can lower this number. If the variable
    is not set, OMP_NUM_THREADS is used in its place.

    Raises:
        ValueError: DYNET_NUM_THREADS is not a whole number of at least 1.
    """
    limits = [MOST, cores(), _quota()]
    for name in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS"):
        told = os.environ.get(name, "")
        # OMP_NUM_THREADS may be a list, with one number for each level of nested parallel loops: use the first one.
        if re.fullmatch(r"0*[1-9]\d*", told.partition(",")[0].strip()):
            limits.append(int(told.partition(",")[0]))
            break
        if told and name.startswith("DYNET"):
            raise ValueError(f"{name} is {told!r}, not a whole number of at least 1")
    return max(1, min(limits))


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return how many cores the CPU quota of a container allows, at least 1, or MOST if there is no quota."""
    with suppress(OSError, ValueError):
        quota, period = Path(path).read_text().split()
        return max(1, int(quota) // int(period))
    return MOST


def _wake_helpers() -> None:
    """Wake the helping threads before a fork, so that the child can end.

    The child does not have these threads, but TVM still has data about them. When the child exits, TVM waits for each
    thread that slept during the fork, which never ends. After waking, a thread looks for work for a few milliseconds
    before it sleeps again.
    """
    is_main = threading.get_ident() == threading.main_thread().ident  # only the main thread has helping threads
    if not (is_main and wake is not None and _table[at.SHARING.used] and os.getpid() == _process):
        return
    for _ in range(WAKINGS):
        begin = time.perf_counter()
        wake(ctypes.addressof(_no_tape))
        if time.perf_counter() - begin < AWAKE:
            break


def _go_on_alone() -> None:
    """In a forked child, use one thread: the helping threads of its parent do not exist there."""
    global _process, _helpers_lost
    _process, _helpers_lost = os.getpid(), _helpers_lost or bool(_table[at.SHARING.used])
    _table[at.SHARING.threads], _table[at.SHARING.used] = 1, 0


use(available())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wake_helpers, after_in_child=_go_on_alone)
