"""Operations that TIR lacks: atomics and clocks, written in LLVM IR; and calls of C functions for locks and yielding.

Code that uses atomics or clocks must be emitted with `importing_llvm`. When run as Python, in tests, nothing is atomic.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time as clocks

from ..plain import is_emitting
from ..plan.nodes import Helper
from ..tir import int64, let
from ..tvm_modules import T, tirx

YIELD_FUNCTION = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
# The C library's ids of CLOCK_MONOTONIC and CLOCK_THREAD_CPUTIME_ID.
WALL_TIME, CPU_TIME = (6, 16) if sys.platform == "darwin" else (1, 3)
_TIME = """
declare i32 @clock_gettime(i32, ptr)
define i64 @dynet_time(i32 %clock) alwaysinline {
  %time = alloca [2 x i64]
  %failure = call i32 @clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time
  %rest_at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_at
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %rest
  ret i64 %sum
}
"""
# The counter has units of 100 ns. Windows has no exact clock for a thread's CPU time, so the counter is used for both.
_TIME_ON_WINDOWS = """
declare i32 @QueryPerformanceCounter(ptr)
define i64 @dynet_time(i32 %clock) alwaysinline {
  %time = alloca i64
  %success = call i32 @QueryPerformanceCounter(ptr %time)
  %count = load i64, ptr %time
  %scaled = mul i64 %count, 100
  ret i64 %scaled
}
"""
_STATE_OPERATIONS = """
define i64 @dynet_load(ptr %at) alwaysinline {
  %value = load atomic i64, ptr %at acquire, align 8
  ret i64 %value
}
define i64 @dynet_move(ptr %at, i64 %old, i64 %new) alwaysinline {
  %pair = cmpxchg ptr %at, i64 %old, i64 %new seq_cst seq_cst
  %success = extractvalue { i64, i1 } %pair, 1
  %result = zext i1 %success to i64
  ret i64 %result
}
"""
_LLVM_IR = (_TIME_ON_WINDOWS if sys.platform == "win32" else _TIME) + _STATE_OPERATIONS


def importing_llvm(function):
    """Wrap a plain function so that its emitted code includes the LLVM IR of this file."""

    @functools.wraps(function)
    def with_llvm(*arguments):
        with T.attr(tirx.const(0, "int32"), "pragma_import_llvm", _LLVM_IR):
            function(*arguments)

    return with_llvm


def state_of(helper: Helper):
    """Load a helper's state, with acquire semantics: what was written before the state last changed is then visible."""
    if not is_emitting():
        return helper.state
    return let(T.call_extern("int64", "dynet_load", helper.words.buffer.data))


def change_state(helper: Helper, old: int, new: int):
    """Atomically change a helper's state to `new` if it is `old`. Return whether it was `old`."""
    if is_emitting():
        return let(T.call_extern("int64", "dynet_move", helper.words.buffer.data, int64(old), int64(new))) == 1
    was_old = helper.state == old
    if was_old:
        helper.state = new
    return was_old


def time(clock: int = WALL_TIME):
    """Return a clock's time in nanoseconds."""
    if not is_emitting():
        return clocks.monotonic_ns() if clock == WALL_TIME else clocks.thread_time_ns()
    return let(T.call_extern("int64", "dynet_time", tirx.const(clock, "int32")))


def yield_core() -> None:
    _call(YIELD_FUNCTION)


def acquire_lock(lock) -> None:
    """Acquire a lock of Python's C API."""
    _call("PyThread_acquire_lock", lock, 1)


def release_lock(lock) -> None:
    _call("PyThread_release_lock", lock)


def _call(name: str, *arguments) -> None:
    """Call a C function. When this runs as Python, `sharing._new_lock` has told ctypes the argument types."""
    if is_emitting():
        T.evaluate(T.call_extern("int32", name, *arguments))
    else:
        getattr(ctypes.pythonapi, name)(*arguments)
