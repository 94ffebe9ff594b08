"""Raises an exception at every line or bytecode of the library: python tests/stress/every_line.py lines

Each scenario prepares a graph and runs an action in it. A trial raises an exception the n-th time that the library
reaches a place (a line or a bytecode). Afterwards, old and new expressions must have the right value or raise one of
the library's own exceptions, and after `renew_cg` everything must be right.

Trials run in forked processes. If one dies or hangs, it is counted, and another process continues with the next trial.
"""

import dis
import faulthandler
import functools
import gc
import mmap
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

import numpy as np
from scenarios import SCENARIOS, Graph, Pairs, checkpoint, compared, fresh, growing, recorded, renew, vector

import dynet as dy

LIBRARY = tuple(
    os.path.dirname(sys.modules[name].__file__) + os.sep
    for name in ("dynet", "dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim", "dynet_kernels")
)
ALL = os.environ.get("DYNET_STRESS") == "all"
# How often each place is tried after its first time. There are so many bytecodes that one more time is enough.
TIMES = {"lines": 6 if ALL else 1, "memory-errors": 6 if ALL else 1, "bytecodes": 1}
PLACES = {"lines": 40, "memory-errors": 20, "bytecodes": 20}  # places tried per scenario, unless all are
SECONDS = 20  # after this time a trial counts as hanging
MOST_HANGS = 2  # per scenario

# Exceptions at places of the code


Place = tuple[str, int, int, str]  # file, line, bytecode (-1: a line), event


class Tracer:
    """Counts how often the library reaches each place, and raises an exception at one of these times."""

    def __init__(
        self, opcodes: bool, place: Place | None = None, turn: int = 0, error: type[BaseException] = MemoryError
    ):
        self.opcodes, self.place, self.turn, self.error = opcodes, place, turn, error
        self.times: dict[Place, int] = {}
        self.raised = False

    def __call__(self, frame, event: str, _):
        code = frame.f_code
        if not code.co_filename.startswith(LIBRARY):
            return None
        if event == "call":
            frame.f_trace_opcodes = self.opcodes
        if event == "exception" or is_between(code, frame.f_lasti):
            return self
        place = code.co_filename, frame.f_lineno, frame.f_lasti if event == "opcode" else -1, event
        times = self.times[place] = self.times.get(place, 0) + 1
        if place == self.place and times == self.turn:
            self.raised = True
            raise self.error("on purpose")
        return self

    def run(self, action: Callable, *arguments):
        sys.settrace(self)
        try:
            return action(*arguments)
        finally:
            sys.settrace(None)


between: dict = {}


def is_between(code, instruction: int) -> bool:
    """Whether this is a place at which CPython never raises an exception.

    That is between the body of a `with` and its `__exit__`, and where there is no operation.
    """
    if code not in between:
        between[code] = set(offsets_between(code))
    return instruction in between[code]


def offsets_between(code) -> Iterator[int]:
    found = list(dis.get_instructions(code))
    yield from (i.offset for i in found if i.opname == "NOP")
    for k in range(len(found)):
        three = found[k : k + 3]
        if len(three) == 3 and all(i.opname == "LOAD_CONST" and i.argval is None for i in three):
            if any(i.opname == "CALL" for i in found[k + 3 : k + 5]):
                begins = k - (found[k - 1].opname == "SWAP")  # the return value stays below on the stack
                yield from (i.offset for i in found[begins : k + 5])


def trials(scenario: Callable, variant: str, most: int, random: random.Random) -> list[tuple[Place, int]]:
    """The places that a scenario reaches, and the times at which to raise an exception there."""
    opcodes = variant == "bytecodes"
    tracer = Tracer(opcodes)
    graph = Graph()
    tracer.run(scenario, graph)
    wanted = []
    for place, times in tracer.times.items():
        if (place[3] == "opcode") == opcodes:
            others = {random.randint(1, times) for _ in range(TIMES[variant])} if times > 1 else set()
            wanted += [(place, turn) for turn in sorted({1, *others})]
    return wanted if ALL or len(wanted) <= most else random.sample(wanted, most)


def attempt(scenario: Callable, opcodes: bool, place: Place, turn: int, error: type[BaseException]) -> bool:
    """Run one trial; return whether the exception was raised."""
    graph = Graph()
    tracer = Tracer(opcodes, place, turn, error)
    try:
        pairs = tracer.run(scenario, graph)
    except (error, dy.DynetError):
        # It is unknown what has happened so far: the graph may be a new one.
        graph.check((dy.DynetError,))
        if scenario is renew:
            for e in graph.gone if hasattr(graph, "gone") else ():
                recorded((dy.DynetError,), e.npvalue)
    else:
        if not tracer.raised or scenario is renew:
            compared(pairs)
        if scenario is not renew:
            graph.check(())
    graph = Graph()
    compared(scenario(graph))
    if scenario is not renew:
        graph.check(())
    return tracer.raised


# Running the trials


class Progress:
    """Counters in shared memory, which survive a process that dies."""

    NAMES = ("trial", "raised", "failed")

    def __init__(self):
        self.numbers = memoryview(mmap.mmap(-1, 64)).cast("q")

    def __getitem__(self, name: str) -> int:
        return self.numbers[self.NAMES.index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        self.numbers[self.NAMES.index(name)] = value


def in_children(label: str, run: Callable[[int], bool], describe: Callable[[int], str], total: int) -> dict[str, int]:
    """Run trials 0 to `total` in processes, each of which continues until a trial fails."""
    progress, ends = Progress(), {"deaths": 0, "hangs": 0}
    while progress["trial"] < total and ends["hangs"] < MOST_HANGS:
        child = os.fork()
        if not child:
            status = 1
            try:
                while progress["trial"] < total:
                    faulthandler.dump_traceback_later(SECONDS, exit=True)
                    progress["raised"] += run(progress["trial"])
                    progress["trial"] += 1
                status = 0
            except BaseException as failure:
                progress["failed"] += 1
                if progress["failed"] <= 3:
                    traceback.print_exc(limit=-3)
                kind = f"{type(failure).__name__}: {failure}"
                print(f"failed: {label}, {describe(progress['trial'])}: {kind[:200]}", file=sys.stderr, flush=True)
                status = 10
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, 10):
            end = "hangs" if status == 1 else "deaths"
            ends[end] += 1
            name = signal.Signals(-status).name if status < 0 else f"exit {status}"
            print(f"{end}: {label}, {describe(progress['trial'])}: {name}", file=sys.stderr, flush=True)
        if status:
            progress["trial"] += 1
    return {"trials": total, "raised": progress["raised"], "failed": progress["failed"], **ends}


def exceptions(variant: str, scenario: Callable) -> dict[str, int]:
    opcodes = variant == "bytecodes"
    error = MemoryError if variant == "memory-errors" else KeyboardInterrupt
    most = PLACES[variant] // (4 if scenario is growing else 1)  # this scenario is slow
    wanted = trials(scenario, variant, most, random.Random(variant))

    def describe(trial: int) -> str:
        (file, line, instruction, event), turn = wanted[trial]
        where = f" bytecode {instruction}" if opcodes else f" {event}"
        return f"{error.__name__} at {os.path.basename(file)}:{line}{where}, time {turn}"

    def run(trial: int) -> bool:
        return attempt(scenario, opcodes, *wanted[trial], error)

    return in_children(scenario.__name__, run, describe, len(wanted))


def garbage(scenario: Callable, repeats: int) -> dict[str, int]:
    """Garbage collector callbacks that record nodes, while the collector runs at nearly every allocation."""

    def run(trial: int) -> bool:
        graph = Graph()
        mine: Pairs = []
        busy = []

        def record(phase: str, _) -> None:
            if busy or len(mine) > 2000:
                return
            busy.append(1)
            n = next(fresh) if trial % 2 else 3
            x = dy.inputVector(vector(n).tolist())
            mine.append((dy.tanh(x) + x, np.tanh(vector(n)) + vector(n)))
            busy.clear()

        before = gc.get_threshold()
        gc.callbacks.append(record)
        gc.set_threshold(1 + trial % 3)
        try:
            pairs = scenario(graph)
        finally:
            gc.set_threshold(*before)
            gc.callbacks.remove(record)
        compared(pairs)
        if scenario is not renew:
            graph.check(())
        if scenario not in (renew, checkpoint):  # these may discard what was recorded meanwhile
            compared(mine[-300:])
        return bool(mine)

    return in_children(f"gc in {scenario.__name__}", run, lambda trial: f"turn {trial}", repeats)


def no_memory(scenario: Callable, most: int) -> dict[str, int]:
    """Let allocations fail, one after another."""
    from _testcapi import remove_mem_hooks, set_nomemory

    def run(trial: int) -> bool:
        graph = Graph()
        failed = True
        set_nomemory(trial + 1, trial + 2)
        try:
            scenario(graph)
            remove_mem_hooks()
            failed = False
        except (MemoryError, SystemError, dy.DynetError):  # numpy raises SystemError
            remove_mem_hooks()
        finally:
            remove_mem_hooks()
        graph.check((dy.DynetError,))
        compared(scenario(Graph()))
        return failed

    return in_children(f"no memory in {scenario.__name__}", run, lambda trial: f"allocation {trial}", most)


def main(variant: str) -> int:
    for scenario in SCENARIOS:  # compiles missing kernels
        compared(scenario(Graph()))
        compared(scenario(Graph()))
    total: dict[str, int] = {}
    runs = {
        **{name: functools.partial(exceptions, name) for name in PLACES},
        "garbage": lambda s: garbage(s, 60 if ALL else 4),
        "no-memory": lambda s: no_memory(s, 2000 if ALL else 30),
    }
    for scenario in SCENARIOS:
        counts = runs[variant](scenario)
        print(scenario.__name__, *(f"{name}={number}" for name, number in counts.items()), flush=True)
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    print("total", *(f"{name}={number}" for name, number in total.items()))
    return int(bool(total["failed"] or total["deaths"] or total["hangs"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
