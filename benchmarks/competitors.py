"""The competitors, the rows they run, and the processes that run them, by turns on one core."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker import has_task

HERE = Path(__file__).resolve().parent
TASKS = (
    "small",
    "xor",
    "tagger",
    "tagger_char",
    "crf",
    "treelstm",
    "treelstm_nary_builder",
    "treelstm_lstm_builder",
    "lattice",
    "lattice_child_sum_builder",
    "graphnet",
    "parser",
    "biaffine",
    "rnnlm",
    "seq2seq",
    "beam_search",
    "transformer",
)
READS = ("parser, scores read", "beam_search")
"""Rows that read values while they build a graph, so building cannot be timed by itself."""
SEED = 1
SAME_LOSS = 1e-4
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ONE_THREAD["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
REFERENCE_MEMORY = "4096"
LITTLE_MEMORY = "4"
"""Megabytes for real DyNet, which cannot grow its memory while it batches."""
PYTHONS = {
    "dynet": "DYNET_REFERENCE_PYTHON",
    "torch": "TORCH_PYTHON",
    "jax": "JAX_PYTHON",
    "mlx": "MLX_PYTHON",
}
"""The variables that name the interpreters of peers."""


@dataclass
class Competitor:
    name: str
    command: list[str]
    kind: str = "dynet"
    flags: list[str] = field(default_factory=list)


OURS = Competitor("this project", [sys.executable])


@dataclass
class Row:
    """One line of the table: a task's variant at a number of sentences a graph.

    A turn at it takes so many `steps`; with 0 of them, so much time.
    """

    task: str
    name: str
    minibatch: int
    steps: int = 0

    def __str__(self) -> str:
        return f"{self.name} at {self.minibatch}"


def rows_of(tasks: Iterable[str]) -> list[Row]:
    modules = {task: importlib.import_module(f"tasks.{task}") for task in tasks}
    return [
        Row(task, name, minibatch, getattr(module, "STEPS", {}).get(minibatch, 0))
        for task, module in modules.items()
        for name, minibatches, _ in module.ROWS
        for minibatch in minibatches
    ]


def find_competitors(kinds: Iterable[str] = tuple(PYTHONS)) -> list[Competitor]:
    """The peers of some kinds whose interpreters are named, and this project as the last."""
    found = []
    for kind in kinds:
        python = os.environ.get(PYTHONS[kind])
        if not python:
            print(f"{PYTHONS[kind]} is not set: no comparison with {kind}", file=sys.stderr)
            continue
        command = [python, "-E"]  # lest PYTHONPATH lead it to our `dynet`
        if kind == "dynet":
            memory = ["--dynet-mem", REFERENCE_MEMORY]
            found.append(Competitor("DyNet", command, kind, memory))
            found.append(Competitor("DyNet autobatch", command, kind, [*memory, "--dynet-autobatch", "1"]))
        else:
            found.append(Competitor({"jax": "JAX", "mlx": "MLX"}.get(kind, kind), command, kind))
    return [*found, OURS]


def with_little_memory(competitors: Iterable[Competitor]) -> list[Competitor]:
    """The competitors, where real DyNet takes memory as it needs it, so that it can be seen how much that is.

    DyNet takes what it is told to when it is imported. Told to take little it grows, 16 MiB at a time for each of its
    pools; but not while it batches, so automatic batching is left out.
    """
    return [
        replace(one, flags=[LITTLE_MEMORY if flag == REFERENCE_MEMORY else flag for flag in one.flags])
        for one in competitors
        if "--dynet-autobatch" not in one.flags
    ]


class Worker:
    """A competitor at work on a row: `worker.py` in a process that waits for its turns.

    What goes wrong there ends up in `failure`, and the worker takes no further turns. One whose task has no file for
    its kind takes none at all.
    """

    def __init__(self, competitor: Competitor, row: Row, core: int, **more):
        self.loss: float | None = None
        self.turns: list[dict] = []
        self.failure: str | None = None
        self.present = has_task(competitor.kind, row.task)
        if not self.present:
            return
        order = {"kind": competitor.kind, "task": row.task, "row": row.name, "minibatch": row.minibatch}
        order |= {"seed": SEED, "core": core, **more}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*competitor.command, str(HERE / "worker.py"), json.dumps(order), *competitor.flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def begin(self) -> None:
        if self.present:
            answer = self.answer()
            self.loss = answer.get("loss")
            self.present = not answer.get("absent")

    def turn(self, **request) -> dict | None:
        """The answer to a request for a number of `seconds` or `steps`."""
        if self.failure or not self.present:
            return None
        with contextlib.suppress(BrokenPipeError):  # the answer will say so
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self.answer() or None

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.errors.seek(0)
        last = self.errors.read().strip().splitlines()[-1:]
        self.failure = ", ".join([*last, f"exit code {code}"])  # a killed process has said nothing of it
        return {}

    def end(self) -> None:
        if hasattr(self, "process"):
            self.process.communicate()
            self.errors.close()

    def speed(self) -> float | None:
        """Sentences a second: the median of all turns."""
        return statistics.median(turn["sentences"] / turn["seconds"] for turn in self.turns) if self.turns else None


WARM_UP = 6
"""How many times as long as a turn each competitor works before the first turn. This is not counted: caches warm up,
memory grows to the size that large minibatches need, and what is done once for each shape is done for most of them."""


def measure(
    row: Row, competitors: list[Competitor], rounds: int, seconds: float, works: Iterable[str] = ("train",)
) -> list[Worker]:
    """Workers, for each kind of work and competitor, after their turns, taken one after another, round by round."""
    steps = 0 if "build" in works else row.steps  # to build takes little time, whatever is built
    with at_work(row, competitors, works) as workers:
        for worker in workers:
            worker.turn(seconds=WARM_UP * seconds)
        for _ in range(rounds):
            take_turns(workers, **({"steps": steps} if steps else {"seconds": seconds}))
    return workers


@contextlib.contextmanager
def at_work(row: Row, competitors: list[Competitor], works: Iterable[str]) -> Iterator[list[Worker]]:
    """Workers that have taken their first step, for each kind of work and competitor. They end with the block."""
    workers = [Worker(competitor, row, core(), work=work) for work in works for competitor in competitors]
    try:
        for worker in workers:
            worker.begin()
        yield workers
    finally:
        for worker in workers:
            worker.end()


def take_turns(workers: Iterable[Worker], **request) -> None:
    """A turn of each, one after another."""
    for worker in workers:
        turn = worker.turn(**request)
        if turn is not None:
            worker.turns.append(turn)


@dataclass
class Result:
    """What a row's measurement gave: speeds by competitor, None where there is none."""

    row: Row
    speeds: dict[str, float | None]
    losses: list[float]  # of the competitors that draw the same initial values

    def ratio(self, theirs: str = "") -> float | None:
        """This project's speed, the last, against the best of the others, or of those whose name begins so."""
        *others, ours = self.speeds.items()
        best = max((speed for name, speed in others if speed and name.startswith(theirs)), default=None)
        return ours[1] / best if ours[1] and best else None

    def agrees(self) -> bool:
        losses = self.losses
        return not losses or max(losses) - min(losses) <= SAME_LOSS * abs(losses[0])


def report_failures(row: Row, competitors: list[Competitor], workers: list[Worker]) -> None:
    for competitor, worker in zip(competitors, workers):
        if worker.failure:
            print(f"{row}, {competitor.name}: {worker.failure}", file=sys.stderr)


def core() -> int:
    """The core on which all compete."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def cpu_model() -> str:
    """What this CPU calls itself, with its family and model, where it says them.

    A virtual machine's name often tells no more. A family alone is several kinds: AMD's 25 is Zen 3 and Zen 4.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return cpu_named(lines)


def cpu_named(lines: Iterable[str]) -> str:
    """What `cpu_model` returns for the lines of /proc/cpuinfo."""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed([*lines]))}
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{word} {facts[key]}" for key, word in (("cpu family", "family"), ("model", "model")) if key in facts]
    return ", ".join([name, *numbers])
