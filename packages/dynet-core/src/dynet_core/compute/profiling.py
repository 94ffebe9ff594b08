"""The profiler, which times every kernel call and phase, and shows the times as a table and as a trace."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from dynet_kernels.layout import CONTEXT, INSTRUCTION, READY
from dynet_kernels.machine import sharing
from dynet_kernels.machine.library import PASS_NAMES
from dynet_kernels.table import KERNELS

from ..errors import ArgumentError
from ..recorder import next_generation
from .device import kernel_title, machine_in_use
from .memory import integers_at

MOST_EVENTS = 200_000  # a trace has at most this many events
TRACE_FILE = "dynet-trace.json"
OVERHEAD_CALLS = 5  # the overhead of a kernel call is the shortest of this many times of `run` with an empty tape


@dataclass
class Line:
    """A line of the table: how often a kernel or phase ran, over how many columns, and its total seconds."""

    calls: int = 0
    columns: int = 0
    seconds: float = 0.0


class Profile:
    """A context manager that times the kernels and phases that run in its `with` block.

    `kernels` and `phases` are dicts from a name to a `Line` with `calls`, `columns` and `seconds`. Printing a `Profile`
    shows the table. A profiled program is slower, and only one thread computes at a time.
    """

    _running: Profile | None = None

    def __init__(self) -> None:
        self.kernels: dict[str, Line] = {}
        self.phases: dict[str, Line] = {}
        self.events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._start_time = self._total_seconds = self._phase_seconds = 0.0

    def __enter__(self) -> Profile:
        if Profile._running is not None:
            raise ArgumentError("profile: another profile is running")
        Profile._running = self
        machine = self._machine = machine_in_use()
        self._original_functions = {name: getattr(machine, name) for name in (*PASS_NAMES, "norm_and_update")}
        self._set_watched(True)
        machine.norm_and_update = None  # so that trainers call `gradient_norm` and `update`, which are timed
        self._kernel_names = {}
        for name in PASS_NAMES:
            setattr(machine, name, self._timed(name, getattr(machine, f"plan_{name}")))
        self._start_time = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._total_seconds += perf_counter() - self._start_time
        for name, function in self._original_functions.items():
            setattr(self._machine, name, function)
        self._set_watched(False)
        Profile._running = None

    def _set_watched(self, watched: bool) -> None:
        """Set whether Python must start all passes, so that it can time them. Otherwise compiled code may do so."""
        self._machine.is_watched = watched
        next_generation()

    def _timed(self, phase: str, plan: Callable) -> Callable:
        """Return a function that plans a pass or an update, runs its kernel calls one by one, and times everything."""

        def timed_call(context_address: int, *arguments) -> int:
            with self._lock:
                start = perf_counter()
                status = plan(context_address, *arguments)
                plan_end = perf_counter()
                self._add_time(f"{phase}: plan", "phase", start, plan_end - start)
                if status == READY:
                    self._time_kernels(context_address)
                    status = int(integers_at(context_address, len(CONTEXT))[CONTEXT.status])
                    sharing.start_helpers_if_wanted()
                    end = perf_counter()
                    self._add_time(f"{phase}: run", "phase", plan_end, end - plan_end)
                self._phase_seconds += perf_counter() - start
            return status

        return timed_call

    def _time_kernels(self, context_address: int) -> None:
        slots = integers_at(context_address, len(CONTEXT))

        def run(context_address: int) -> None:
            self._machine.run(context_address)
            self._machine.synchronize()

        tape_address, count = int(slots[CONTEXT.tape]), int(slots[CONTEXT.tape_count])
        tape = integers_at(tape_address, count * len(INSTRUCTION)).reshape(count, len(INSTRUCTION))
        slots[CONTEXT.tape_count] = 0  # an empty tape
        overhead = min(self._seconds_of(run, context_address) for _ in range(OVERHEAD_CALLS))
        slots[CONTEXT.tape_count] = 1  # `run` now runs one instruction
        for position in range(count):
            slots[CONTEXT.tape] = tape_address + position * len(INSTRUCTION) * 8  # this address counts bytes
            start = perf_counter()
            seconds = self._seconds_of(run, context_address) - overhead
            opcode, columns = int(tape[position, INSTRUCTION.opcode]), int(tape[position, INSTRUCTION.count])
            self._add_time(self._name_of(opcode), "kernel", start, seconds, columns)
        slots[CONTEXT.tape], slots[CONTEXT.tape_count] = tape_address, count

    @staticmethod
    def _seconds_of(run: Callable, context_address: int) -> float:
        start = perf_counter()
        run(context_address)
        return perf_counter() - start

    def _name_of(self, opcode: int) -> str:
        if opcode not in self._kernel_names:
            self._kernel_names = {opcode: name for opcode, name, _ in KERNELS.with_opcodes()}
        return kernel_title(self._kernel_names[opcode])

    def _add_time(self, name: str, kind: str, start: float, seconds: float, columns: int = 0) -> None:
        lines = self.kernels if kind == "kernel" else self.phases
        line, seconds = lines.setdefault(name, Line()), max(seconds, 0.0)
        line.calls += 1
        line.columns += columns
        line.seconds += seconds
        if len(self.events) < MOST_EVENTS:
            event: dict[str, Any] = {"name": name, "cat": kind, "ph": "X", "pid": os.getpid()}  # times are in us
            event |= {"tid": threading.get_native_id(), "ts": 1e6 * (start - self._start_time), "dur": 1e6 * seconds}
            if kind == "kernel":
                event["args"] = {"columns": columns}
            self.events.append(event)

    def __str__(self) -> str:
        total_seconds = self._total_seconds or perf_counter() - self._start_time
        phases = {"Python": Line(0, 0, total_seconds - self._phase_seconds), **self.phases}
        lines = [f"{'phase':32}{'calls':>9}{'':>11}{'ms':>11}{'%':>7}"]
        lines += [_table_row(name, line, total_seconds) for name, line in phases.items()]
        lines += ["", f"{'kernel':32}{'calls':>9}{'columns':>11}{'ms':>11}{'%':>7}"]
        by_time = sorted(self.kernels.items(), key=lambda item: -item[1].seconds)
        lines += [_table_row(name, line, total_seconds) for name, line in by_time]
        return "\n".join(lines)

    def save(self, fname: str | os.PathLike[str]) -> None:
        """Write the trace, at most the first 200,000 events, to a file, as JSON for `chrome://tracing` and Perfetto."""
        Path(fname).write_text(json.dumps({"traceEvents": self.events, "displayTimeUnit": "ns"}))


def _table_row(name: str, line: Line, total_seconds: float) -> str:
    calls, columns = line.calls or "", line.columns or ""
    return f"{name:32}{calls:>9}{columns:>11}{1e3 * line.seconds:>11.3f}{100 * line.seconds / total_seconds:>7.1f}"


def profile() -> Profile:
    """Return a context manager that times the kernels and phases that run in its `with` block.

    There are two phases, planning and running, for each of these: forward passes, backward passes, norms of gradients,
    and updates. All other time, such as for recording graphs, is the phase "Python". `--dynet-profiling 1` profiles the
    whole program: at its end, the table is printed to stderr, and the trace is written to `dynet-trace.json`.

    >>> with profile() as times:
    ...     _ = dy.tanh(dy.inputVector([1, 2])).value()
    >>> times.kernels["tanh"].calls
    1
    >>> times.save(os.devnull)

    Raises:
        ArgumentError: on entry, if another profile is running.
    """
    return Profile()


def profile_program() -> None:
    """Start profiling, and report when the program exits."""
    if Profile._running is None:
        running_profile = Profile().__enter__()
        atexit.register(_report, running_profile, os.getpid())


def _report(running_profile: Profile, process_id: int) -> None:
    if os.getpid() == process_id:  # not in a forked child
        running_profile.__exit__()
        print(running_profile, file=sys.stderr)
        running_profile.save(TRACE_FILE)
