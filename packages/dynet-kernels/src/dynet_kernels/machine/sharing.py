"""Sets how many CPU threads share a pass, and how much work is worth sharing. Starts these threads. Needs no TVM.

Compiled code reads these settings from integers whose address it knows; see `team.py`. The threads are started when a
pass first has enough work for them, and live as long as the process.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

from .. import layout as at

# Threads share an instruction only if it takes one thread at least this many picoseconds. Less would not pay, because
# they wait for each other at its end.
INSTRUCTION = 2_500_000
# Threads share a pass only if such instructions take at least this many picoseconds together: waking threads may take
# long.
PASS = 100_000_000
MOST = 8  # the most threads that are used by default
STACK = 1 << 20  # bytes of a helper's stack, at least: kernels have buffers of up to 256 kB there

_table, _one = ((ctypes.c_int64 * len(at.SHARING))(1, INSTRUCTION, PASS) for _ in range(2))
_SETTINGS = slice(0, at.SHARING.helpers)  # those integers of `_table` that `use` sets
_rows = (ctypes.c_int64 * (at.MOST_THREADS * at.HELPER_ROW))()
_paces = (ctypes.c_int64 * (at.PACES * len(at.PACE)))()
_table[at.SHARING.rows], _table[at.SHARING.paces] = ctypes.addressof(_rows), ctypes.addressof(_paces)
_one[at.SHARING.look] = at.NEVER

_starting = False  # whether `start_helpers` is running
_start_thread: Any = _thread.start_new_thread
if not isinstance(_start_thread, BuiltinFunctionType):
    _start_thread = None  # a library such as gevent has replaced it: its "threads" would stop all others

help_others: Any = None
"""The compiled function that a helping thread calls. It never returns. None until the planner is loaded."""


def address() -> int:
    """Return the address of the settings for graphs that the calling Python thread computes.

    Only the main thread gets settings with several threads, because helpers serve one thread.
    """
    return ctypes.addressof(_table if threading.current_thread() is threading.main_thread() else _one)


def threads() -> int:
    return _table[at.SHARING.threads]


def use(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> None:
    """Set how many threads share work, and how much work is worth sharing.

    The results of graphs do not depend on these settings. From then on, the number of threads stays the same even if
    the number of cores that the process may use changes.

    Args:
        threads: the number of threads.
        instruction: share only instructions that take one thread at least this many picoseconds.
        whole: share a pass only if its instructions that are worth sharing take at least this many picoseconds in all.
            If it is 0, each pass is shared, whether it pays or not.

    Raises:
        ValueError: `threads` is less than 1 or more than MOST_THREADS.
    """
    if not 1 <= threads <= at.MOST_THREADS:
        raise ValueError(f"{threads} threads were asked for; 1 to {at.MOST_THREADS} can be used")
    _table[_SETTINGS] = threads, instruction, whole, at.NEVER


@contextmanager
def using(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> Iterator[None]:
    """Call `use` with these settings for the length of a `with` block. For tests and measurements only.

    Helpers are started immediately, if the planner is loaded. A graph that was planned before the block, and whose tape
    is used again in it, keeps the old settings.
    """
    before = _table[_SETTINGS]
    use(threads, instruction, whole)
    if help_others is not None:
        start_helpers()
    try:
        yield
    finally:
        _table[_SETTINGS] = before


def available() -> int:
    """Return the default number of threads: one for each core that this process may use, but at most MOST.

    The CPU quota of a container can lower this number, and so can DYNET_NUM_THREADS, or if this is not set,
    OMP_NUM_THREADS. If DYNET_NUM_THREADS is not a whole number of at least 1, raise a ValueError.
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
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return how many cores the CPU quota of a container allows, at least 1, or MOST if there is no quota."""
    with suppress(OSError, ValueError):
        quota, period = Path(path).read_text().split()
        return max(1, int(quota) // int(period))
    return MOST


def start_helpers() -> None:
    """Start as many threads as passes could use, if there are fewer. If the system has no more threads, use fewer.

    Before this, count the cores again, unless the program has set the number of threads.
    """
    global _starting
    _table[at.SHARING.wanted] = 0
    if _table[at.SHARING.look] != at.NEVER:
        with suppress(ValueError):
            _table[at.SHARING.threads] = available()
    if _starting:  # a signal handler computes while this function runs
        return
    if _start_thread is None:
        _table[at.SHARING.threads], _table[at.SHARING.look] = 1, at.NEVER
        return
    stack = _thread.stack_size()  # 0: the system's default
    is_small = 0 < stack < STACK
    _starting = True
    try:
        with _signals_blocked():
            for used in (_table, _rows, _paces, help_others):
                _keep(used)
            if is_small:
                _thread.stack_size(STACK)
            while (part := _table[at.SHARING.helpers] + 1) < _table[at.SHARING.threads]:
                lock = _new_lock()
                try:
                    _start_thread(help_others, (ctypes.addressof(_table), part, lock))
                except (RuntimeError, MemoryError):
                    _table[at.SHARING.threads], _table[at.SHARING.look] = part, at.NEVER
                    break
                # An interrupt before this line leaves a thread that waits for its lock forever, which does no harm.
                _rows[part * at.HELPER_ROW + at.HELPER.lock], _table[at.SHARING.helpers] = lock, part
                ctypes.pythonapi.PyThread_release_lock(lock)
    finally:
        if is_small:
            _thread.stack_size(stack)
        _starting = False


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals of this thread and those it starts, so that a helper does not take signals of a program."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_wanted() -> None:
    """Start helpers if a pass found fewer than it could use, or count cores again if this is due."""
    if _table[at.SHARING.wanted]:
        start_helpers()


def _keep(used: object) -> None:
    """Keep an object for as long as the process lives: helpers may still use it when Python frees everything."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(used))


def _new_lock() -> int:
    """Return the address of a new lock of Python's C API, which is locked."""
    api = ctypes.pythonapi
    api.PyThread_allocate_lock.restype = ctypes.c_void_p
    api.PyThread_acquire_lock.argtypes = [ctypes.c_void_p, ctypes.c_int]
    api.PyThread_release_lock.argtypes = [ctypes.c_void_p]
    lock = api.PyThread_allocate_lock()
    if not lock:
        raise MemoryError
    api.PyThread_acquire_lock(lock, 1)
    return lock


def _go_on_alone() -> None:
    """In a forked child, use one thread, and forget the helpers of its parent, which do not exist there."""
    _table[at.SHARING.threads], _table[at.SHARING.look] = 1, at.NEVER
    _table[at.SHARING.helpers] = _table[at.SHARING.wanted] = _table[at.SHARING.balance] = 0
    ctypes.memset(_rows, 0, ctypes.sizeof(_rows))


_table[at.SHARING.threads] = available()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_alone)
