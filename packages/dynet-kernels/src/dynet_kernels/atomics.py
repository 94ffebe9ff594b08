"""Emits what TIR cannot say: atomic operations on integers in memory, clocks, and letting other threads have the core.

The functions are LLVM's text, which is the same for all processors. Code that uses them must be emitted in `imported`.
"""

from __future__ import annotations

import sys

from .plan.structs import Helper
from .tir import int64, let
from .tvm_modules import T, tirx

YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
# The numbers of C's clocks of the time that passes, and of the time for which the calling thread has had a core.
WALL, CORE = (6, 16) if sys.platform == "darwin" else (1, 3)
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
# Windows counts in units of 100 ns. It has no exact clock of a thread's own time: the same clock stands for both.
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
_STATES = """
define i64 @dynet_load(i64 %address) alwaysinline {
  %at = inttoptr i64 %address to ptr
  %value = load atomic i64, ptr %at acquire, align 8
  ret i64 %value
}
define i64 @dynet_move(i64 %address, i64 %old, i64 %new) alwaysinline {
  %at = inttoptr i64 %address to ptr
  %pair = cmpxchg ptr %at, i64 %old, i64 %new seq_cst seq_cst
  %success = extractvalue { i64, i1 } %pair, 1
  %result = zext i1 %success to i64
  ret i64 %result
}
"""
_TEXT = (_TIME_ON_WINDOWS if sys.platform == "win32" else _TIME) + _STATES


def imported(emit):
    """Return a function that emits what `emit` does. Its code may use the other functions of this file."""

    def with_text(*arguments):
        with T.attr(tirx.const(0, "int32"), "pragma_import_llvm", _TEXT):
            emit(*arguments)

    return with_text


def state_of(helper: Helper):
    """Load a helper's state. What the thread that changed it last has written before can then be read."""
    return let(T.call_extern("int64", "dynet_load", helper.words.address))


def move(helper: Helper, old: int, new: int):
    """Change a helper's state to `new` if it is `old`. Return the condition that it was."""
    return let(T.call_extern("int64", "dynet_move", helper.words.address, int64(old), int64(new))) == 1


def time(clock: int = WALL):
    """Return the time of a clock in nanoseconds."""
    return let(T.call_extern("int64", "dynet_time", tirx.const(clock, "int32")))


def give_way() -> None:
    """Emit a call that lets other threads have the core."""
    T.evaluate(T.call_extern("int32", YIELD))
