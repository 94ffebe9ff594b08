"""Sets how many CPU threads share a pass and how much work is worth sharing, and starts the threads. Needs no TVM.

Compiled code reads these settings from memory; see `team.py`. The threads are started when a pass first has enough work
for them, and live as long as the process.
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

from .. import layout

# Threads share an instruction of at least this many picoseconds; they have to wait for each other at its end.
INSTRUCTION = 2_500_000
# Threads share a pass if instructions to share take at least this many picoseconds in all: waking may be slow.
PASS = 100_000_000
MOST = 8  # the most threads that are used by default
STACK = 1 << 20  # the least bytes of a helper's stack, because kernels have buffers of up to 256 kB on it

_table, _one = ((ctypes.c_int64 * len(layout.SHARING))(1, INSTRUCTION, PASS) for _ in range(2))
_SETTINGS = slice(0, layout.SHARING.helpers)  # the integers of `_table` that `use` sets
_rows = (ctypes.c_int64 * (layout.MOST_THREADS * layout.HELPER_ROW))()
_paces = (ctypes.c_int64 * (layout.PACES * len(layout.PACE)))()
_table[layout.SHARING.rows], _table[layout.SHARING.paces] = ctypes.addressof(_rows), ctypes.addressof(_paces)
_one[layout.SHARING.look] = layout.NEVER

_starting = False  # whether `start_helpers` is running
_start_thread: Any = _thread.start_new_thread
if not isinstance(_start_thread, BuiltinFunctionType):
    _start_thread = None  # a library such as gevent has replaced it: a helper would block its other "threads"

help_others: Any = None
"""The compiled function that a helper runs, which never returns. None until the planner is loaded."""


def address() -> int:
    """Return the address of the calling Python thread's settings.

    Only the main thread gets settings for several threads, because helpers only work for one thread.
    """
    return ctypes.addressof(_table if threading.current_thread() is threading.main_thread() else _one)


def threads() -> int:
    return _table[layout.SHARING.threads]


def use(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> None:
    """Set how many threads share work, and how much work is worth sharing.

    Results do not depend on these settings. The number of threads no longer follows the number of available cores.

    Args:
        threads: the number of threads.
        instruction: share only instructions that take one thread at least this many picoseconds.
        whole: share a pass only if its instructions that are worth sharing take at least this many picoseconds in all.
            If it is 0, every pass is shared, even if that is slower.

    Raises:
        ValueError: `threads` is less than 1 or more than MOST_THREADS.
    """
    if not 1 <= threads <= layout.MOST_THREADS:
        raise ValueError(f"{threads} threads were asked for; 1 to {layout.MOST_THREADS} can be used")
    _table[_SETTINGS] = threads, instruction, whole, layout.NEVER


@contextmanager
def using(threads: int, instruction: int = INSTRUCTION, whole: int = PASS) -> Iterator[None]:
    """Call `use` with these settings for the length of a `with` block. For tests and measurements only.

    Helpers are started immediately, if the planner is loaded. If a graph was planned before the block and its tape is
    used again inside, it keeps the old settings.
    """
    settings = _table[_SETTINGS]
    use(threads, instruction, whole)
    if help_others is not None:
        start_helpers()
    try:
        yield
    finally:
        _table[_SETTINGS] = settings


def available() -> int:
    """Return the default number of threads: one for each core that this process may use, but at most MOST.

    The CPU quota of a container may lower this number. So may DYNET_NUM_THREADS or, if that is not set,
    OMP_NUM_THREADS. If DYNET_NUM_THREADS is not a whole number of at least 1, raise a ValueError.
    """
    limits = [MOST, cores(), _quota()]
    for name in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS"):
        setting = os.environ.get(name, "")
        # OMP_NUM_THREADS may be a list with a number for each level of nested parallel loops: use the first number.
        if re.fullmatch(r"0*[1-9]\d*", setting.partition(",")[0].strip()):
            limits.append(int(setting.partition(",")[0]))
            break
        if setting and name.startswith("DYNET"):
            raise ValueError(f"{name} is {setting!r}, not a whole number of at least 1")
    return max(1, min(limits))


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return the number of cores that the CPU quota of a container allows (at least 1), or MOST if it has no quota."""
    with suppress(OSError, ValueError):
        quota, period = Path(path).read_text().split()
        return max(1, int(quota) // int(period))
    return MOST


def start_helpers() -> None:
    """Start the helpers that are missing. If the system cannot start more threads, use fewer.

    First, count the cores again, unless the program has set the number of threads.
    """
    global _starting
    _table[layout.SHARING.wanted] = 0
    if _table[layout.SHARING.look] != layout.NEVER:
        with suppress(ValueError):
            _table[layout.SHARING.threads] = available()
    if _starting:  # called from a signal handler that has interrupted this function
        return
    if _start_thread is None:
        _table[layout.SHARING.threads], _table[layout.SHARING.look] = 1, layout.NEVER
        return
    stack_size = _thread.stack_size()  # 0: the system's default
    is_small = 0 < stack_size < STACK
    _starting = True
    try:
        with _signals_blocked():
            for shared_object in (_table, _rows, _paces, help_others):
                _keep(shared_object)
            if is_small:
                _thread.stack_size(STACK)
            while (number := _table[layout.SHARING.helpers] + 1) < _table[layout.SHARING.threads]:
                lock = _new_lock()
                try:
                    _start_thread(help_others, (ctypes.addressof(_table), number, lock))
                except (RuntimeError, MemoryError):
                    _table[layout.SHARING.threads], _table[layout.SHARING.look] = number, layout.NEVER
                    break
                # An interrupt before this line leaves a thread that waits for its lock forever, which is harmless.
                _rows[number * layout.HELPER_ROW + layout.HELPER.lock], _table[layout.SHARING.helpers] = lock, number
                ctypes.pythonapi.PyThread_release_lock(lock)
    finally:
        if is_small:
            _thread.stack_size(stack_size)
        _starting = False


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """In a `with` block, block signals in this thread and in threads it starts: helpers must not receive any."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


def start_wanted() -> None:
    """If a pass could have used more helpers, or if it is time to count the cores again, call `start_helpers`."""
    if _table[layout.SHARING.wanted]:
        start_helpers()


def _keep(used: object) -> None:
    """Keep an object alive until the process ends, because helpers may still use it while Python shuts down."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(used))


def _new_lock() -> int:
    """Return the address of a new lock of Python's C API, already acquired."""
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
    """In a forked child, use one thread, and forget the parent's helpers, which do not exist there."""
    _table[layout.SHARING.threads], _table[layout.SHARING.look] = 1, layout.NEVER
    _table[layout.SHARING.helpers] = _table[layout.SHARING.wanted] = _table[layout.SHARING.balance] = 0
    ctypes.memset(_rows, 0, ctypes.sizeof(_rows))


_table[layout.SHARING.threads] = available()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_alone)
