"""Times every task under real DyNet and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/run.py --tasks tagger xor --rounds 3

Each competitor is a process of its own that stays for all rounds of a row; rounds are interleaved (A B C
A B C), so that a change of the machine's speed meets all alike. A figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TASKS = ("small", "xor", "tagger", "tagger_char", "treelstm", "parser", "rnnlm")
SEED = 1
SAME_LOSS = 1e-4
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
REFERENCE_MEMORY = "4096"
"""Megabytes for real DyNet, which cannot grow its memory while it batches."""


@dataclass
class Competitor:
    name: str
    command: list[str]
    flags: list[str] = field(default_factory=list)


@dataclass
class Row:
    """One line of the table: a task's variant at a number of sentences a graph."""

    task: str
    name: str
    minibatch: int


class Worker:
    """A competitor at work on a row: `worker.py` in a process that waits for its turns.

    What goes wrong there ends up in `failure`, and the worker takes no further turns.
    """

    def __init__(self, competitor: Competitor, row: Row, core: int):
        self.loss: float | None = None
        self.speeds: list[float] = []
        self.failure: str | None = None
        self.errors = tempfile.TemporaryFile("w+")
        arguments = [row.task, row.name, str(row.minibatch), str(SEED), str(core)]
        self.process = subprocess.Popen(
            [*competitor.command, str(HERE / "worker.py"), *arguments, *competitor.flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def begin(self) -> None:
        self.loss = self.answer().get("loss")

    def turn(self, seconds: float) -> float | None:
        """Sentences a second over that much CPU time."""
        if self.failure:
            return None
        with contextlib.suppress(BrokenPipeError):  # the answer will say so
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        answer = self.answer()
        return answer["sentences"] / answer["seconds"] if answer else None

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.errors.seek(0)
        self.failure = (self.errors.read().strip().splitlines() or [f"exit code {code}"])[-1]
        return {}

    def end(self) -> None:
        self.process.communicate()
        self.errors.close()


def main() -> None:
    options = read_options()
    competitors = find_competitors()
    rows = [
        Row(task, name, minibatch)
        for task in options.tasks
        for name, minibatches, _ in importlib.import_module(f"tasks.{task}").ROWS
        for minibatch in minibatches
    ]
    print(f"{cpu_model()}, one core, CPU time; sentences/s (small: graphs, xor: examples)")
    print(line_of("task", "mb", [competitor.name for competitor in competitors], "ratio", "first loss"))
    differing = []
    for row in rows:
        workers = measure(row, competitors, options.rounds, options.seconds)
        speeds = [statistics.median(worker.speeds) if worker.speeds else None for worker in workers]
        losses = [worker.loss for worker in workers if worker.loss is not None]
        cells = [number(speed) for speed in speeds]
        firsts = " ".join(f"{loss:.6g}" for loss in losses)
        print(line_of(row.name, row.minibatch, cells, ratio(speeds), firsts), flush=True)
        for competitor, worker in zip(competitors, workers):
            if worker.failure:
                print(f"{row.name} at {row.minibatch}, {competitor.name}: {worker.failure}", file=sys.stderr)
        if not agree(losses):
            differing.append(f"{row.name} at {row.minibatch}")
    if differing:
        sys.exit(f"first losses differ by more than {SAME_LOSS:g} of their size: {', '.join(differing)}")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    parser.add_argument("--seconds", type=float, help="CPU time of one measurement (default: 1, quick: 0.2)")
    parser.add_argument("--quick", action="store_true", help="short measurements, for a first look")
    options = parser.parse_args()
    options.seconds = options.seconds or (0.2 if options.quick else 1.0)
    return options


def find_competitors() -> list[Competitor]:
    reference = os.environ.get("DYNET_REFERENCE_PYTHON")
    ours = Competitor("this project", [sys.executable])
    if not reference:
        print("DYNET_REFERENCE_PYTHON is not set: no comparison with real DyNet", file=sys.stderr)
        return [ours]
    real = [reference, "-E"]  # lest PYTHONPATH lead it to our `dynet`
    memory = ["--dynet-mem", REFERENCE_MEMORY]
    return [
        Competitor("DyNet", real, memory),
        Competitor("DyNet autobatch", real, [*memory, "--dynet-autobatch", "1"]),
        ours,
    ]


def measure(row: Row, competitors: list[Competitor], rounds: int, seconds: float) -> list[Worker]:
    """The competitors' workers after their turns, which they took one after another, round by round."""
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    workers = [Worker(competitor, row, core) for competitor in competitors]
    for worker in workers:
        worker.begin()
        worker.turn(seconds / 3)  # caches warm up; not counted
    for _ in range(rounds):
        for worker in workers:
            speed = worker.turn(seconds)
            if speed is not None:
                worker.speeds.append(speed)
    for worker in workers:
        worker.end()
    return workers


def ratio(speeds: list[float | None]) -> str:
    """This project's speed, the last, against the best of the others."""
    *others, ours = speeds
    best = max((speed for speed in others if speed), default=None)
    return f"{ours / best:.2f}" if ours and best else "-"


def agree(losses: list[float]) -> bool:
    return not losses or max(losses) - min(losses) <= SAME_LOSS * abs(losses[0])


def line_of(name: str, minibatch: int | str, cells: list[str], ratio: str, firsts: str) -> str:
    return f"{name:20} {minibatch:>3} " + " ".join(f"{cell:>15}" for cell in cells) + f" {ratio:>6}  {firsts}"


def number(speed: float | None) -> str:
    if speed is None:
        return "-"
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.1f}"


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
