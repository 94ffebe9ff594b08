"""Sets how many CPU threads share a pass and how much work is worth sharing, and starts the helpers. Needs no TVM.

Compiled code reads these settings from memory; see `team.py`. Helpers are started when a pass first has enough work for
them, and live as long as the process.
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
from ..layout import SHARING

# Threads share only instructions of at least this many picoseconds, because they wait for each other at the end.
LEAST_INSTRUCTION = 2_500_000
# Threads share only passes with at least this many picoseconds of such instructions, because waking them may be slow.
LEAST_PASS = 100_000_000
MOST_DEFAULT_THREADS = 8  # the most threads that are used by default
LEAST_STACK_BYTES = 1 << 20  # a helper's stack has at least this size: kernels have buffers of up to 256 kB there

# The SHARING structures of Python's main thread, and of all other threads, each of which runs its passes alone.
_settings, _settings_alone = ((ctypes.c_int64 * len(SHARING))(1, LEAST_INSTRUCTION, LEAST_PASS) for _ in range(2))
_SETTABLE_SLICE = slice(SHARING.helpers)  # the integers of `_settings` that `use` sets
_helpers = (ctypes.c_int64 * (layout.MOST_THREADS * layout.HELPER_ROW))()  # the HELPER structures
_paces = (ctypes.c_int64 * (layout.PACES * len(layout.PACE)))()  # the PACE structures: measured times of passes
_settings[SHARING.rows], _settings[SHARING.paces] = ctypes.addressof(_helpers), ctypes.addressof(_paces)
_settings_alone[SHARING.look] = layout.NEVER  # do not count the cores

_is_starting = False  # whether `start_helpers` is running
_start_thread: Any = _thread.start_new_thread
if not isinstance(_start_thread, BuiltinFunctionType):
    _start_thread = None  # replaced by a library such as gevent, whose "threads" a helper would block

help_others: Any = None
"""The compiled function that a helper runs, which never returns. None until the planner is loaded."""


def address() -> int:
    """Return the address of the calling thread's settings. Only Python's main thread may have helpers."""
    return ctypes.addressof(_settings if threading.current_thread() is threading.main_thread() else _settings_alone)


def thread_count() -> int:
    return _settings[SHARING.threads]


def use(threads: int, least_instruction: int = LEAST_INSTRUCTION, least_pass: int = LEAST_PASS) -> None:
    """Set how many threads share work, and how much work is worth sharing.

    Results do not depend on these settings. From then on, the number of threads no longer follows the number of cores.

    Args:
        threads: the number of threads.
        least_instruction: share only instructions that take one thread at least this many picoseconds.
        least_pass: share a pass only if these instructions take at least this many picoseconds in all. If it is 0,
            every pass is shared, even if that is slower.

    Raises:
        ValueError: `threads` is less than 1 or more than MOST_THREADS.
    """
    if not 1 <= threads <= layout.MOST_THREADS:
        raise ValueError(f"{threads} threads were asked for; 1 to {layout.MOST_THREADS} can be used")
    _settings[_SETTABLE_SLICE] = threads, least_instruction, least_pass, layout.NEVER  # NEVER: do not count the cores


@contextmanager
def using(threads: int, least_instruction: int = LEAST_INSTRUCTION, least_pass: int = LEAST_PASS) -> Iterator[None]:
    """Call `use` with these settings (least work in picoseconds) for a `with` block. For tests and measurements only.

    Helpers are started immediately, if the planner is loaded. A tape that was planned before the block and is reused
    inside keeps the old settings.
    """
    old_settings = _settings[_SETTABLE_SLICE]
    use(threads, least_instruction, least_pass)
    if help_others is not None:
        start_helpers()
    try:
        yield
    finally:
        _settings[_SETTABLE_SLICE] = old_settings


def default_threads() -> int:
    """Return the default number of threads: one for each core that this process may use, up to MOST_DEFAULT_THREADS.

    The CPU quota of a container may lower this number. So may DYNET_NUM_THREADS or, without it, OMP_NUM_THREADS.
    If DYNET_NUM_THREADS is not a whole number of at least 1, raise a ValueError.
    """
    limits = [MOST_DEFAULT_THREADS, core_count(), _quota_cores()]
    for name in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS"):
        setting = os.environ.get(name, "")
        # OMP_NUM_THREADS may be a list with a number for each level of nested parallel loops: use the first number.
        first = setting.partition(",")[0].strip()
        if re.fullmatch(r"0*[1-9]\d*", first):
            limits.append(int(first))
            break
        if setting and name.startswith("DYNET"):
            raise ValueError(f"{name} is {setting!r}, not a whole number of at least 1")
    return min(limits)


def core_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_cores(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return how many cores a container's CPU quota allows (at least 1), or MOST_DEFAULT_THREADS if it has none."""
    with suppress(OSError, ValueError):
        quota, period = Path(path).read_text().split()
        return max(1, int(quota) // int(period))
    return MOST_DEFAULT_THREADS


def start_helpers() -> None:
    """Start the helpers that are missing. If the system cannot start more threads, use fewer.

    First, count the cores again, unless the program has set the number of threads.
    """
    global _is_starting
    _settings[SHARING.wanted] = 0
    if _settings[SHARING.look] != layout.NEVER:
        with suppress(ValueError):
            _settings[SHARING.threads] = default_threads()
    if _is_starting:  # called from a signal handler that has interrupted this function
        return
    if _start_thread is None:
        _limit_threads(1)
        return
    stack_size = _thread.stack_size()  # 0: the system's default
    is_small = 0 < stack_size < LEAST_STACK_BYTES
    _is_starting = True
    try:
        with _signals_blocked():
            for shared_object in (_settings, _helpers, _paces, help_others):
                _keep_forever(shared_object)
            if is_small:
                _thread.stack_size(LEAST_STACK_BYTES)
            while (number := _settings[SHARING.helpers] + 1) < _settings[SHARING.threads]:
                lock = _new_lock()
                try:
                    _start_thread(help_others, (ctypes.addressof(_settings), number, lock))
                except (RuntimeError, MemoryError):
                    _limit_threads(number)
                    break
                # An interrupt before this line leaves a thread that waits for its lock forever, which is harmless.
                _helpers[number * layout.HELPER_ROW + layout.HELPER.lock], _settings[SHARING.helpers] = lock, number
                ctypes.pythonapi.PyThread_release_lock(lock)
    finally:
        if is_small:
            _thread.stack_size(stack_size)
        _is_starting = False


def _limit_threads(count: int) -> None:
    """Use `count` threads from now on, without counting the cores again."""
    _settings[SHARING.threads], _settings[SHARING.look] = count, layout.NEVER


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals during a `with` block. The helpers that this thread starts in the block never get any signals."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


def start_helpers_if_wanted() -> None:
    """Call `start_helpers` if a pass could have used more helpers, or if it is time to count the cores again."""
    if _settings[SHARING.wanted]:
        start_helpers()


def _keep_forever(shared_object: object) -> None:
    """Never free an object, because helpers may still use it while Python shuts down."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(shared_object))


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


def _forget_helpers() -> None:
    """Use one thread in a forked child, where the parent's helpers do not exist."""
    _limit_threads(1)
    _settings[SHARING.helpers] = _settings[SHARING.wanted] = _settings[SHARING.balance] = 0
    ctypes.memset(_helpers, 0, ctypes.sizeof(_helpers))


_settings[SHARING.threads] = default_threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
