"""The competitors, the rows they run, and the processes that run them alternately on one core."""

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
    "functions",
    "parser",
    "biaffine",
    "rnnlm",
    "seq2seq",
    "beam_search",
    "transformer",
    "transformer_builder",
)
READS = ("parser, scores read", "beam_search")
"""Rows that read values while they build a graph, so building cannot be timed separately."""
SEED = 1
SAME_LOSS = 1e-4
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ONE_THREAD["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
REFERENCE_MEMORY = "4096"
LITTLE_MEMORY = "4"
"""Megabytes for real DyNet, which cannot grow its memory while it batches."""
BFLOAT16 = "--dynet-bf16"
"""The flag for factors in bfloat16, which torch's tasks know too."""
PYTHONS = {
    "dynet": "DYNET_REFERENCE_PYTHON",
    "torch": "TORCH_PYTHON",
    "pyg": "PYG_PYTHON",
    "jax": "JAX_PYTHON",
    "mlx": "MLX_PYTHON",
}
"""The environment variables that name the interpreters of peers."""


@dataclass
class Competitor:
    name: str
    command: list[str]
    kind: str = "dynet"
    flags: list[str] = field(default_factory=list)


OURS = Competitor("this project", [sys.executable])


@dataclass
class Row:
    """One line of the table: a variant of a task at a number of sentences per graph.

    A turn takes this many `steps`, or lasts for a given time if `steps` is 0.
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
    """Return the peers of the given kinds whose interpreters are set, then this project as the last."""
    found = []
    for kind in kinds:
        python = os.environ.get(PYTHONS[kind])
        if not python:
            print(f"{PYTHONS[kind]} is not set: no comparison with {kind}", file=sys.stderr)
            continue
        command = [python, "-E"]  # ignore PYTHONPATH, which may point to our `dynet`
        if kind == "dynet":
            memory = ["--dynet-mem", REFERENCE_MEMORY]
            found.append(Competitor("DyNet", command, kind, memory))
            found.append(Competitor("DyNet autobatch", command, kind, [*memory, "--dynet-autobatch", "1"]))
        else:
            found.append(Competitor({"pyg": "PyG", "jax": "JAX", "mlx": "MLX"}.get(kind, kind), command, kind))
    return [*found, OURS]


def with_bfloat16(competitors: Iterable[Competitor]) -> list[Competitor]:
    """Return the competitors, each that can round factors to bfloat16 followed by itself with the flag for this."""
    found = []
    for one in competitors:
        found.append(one)
        if one is OURS or one.kind == "torch":
            found.append(replace(one, name="here, bf16" if one is OURS else "torch, bf16", flags=[BFLOAT16]))
    return found


def with_little_memory(competitors: Iterable[Competitor]) -> list[Competitor]:
    """Return the competitors, with real DyNet set to allocate memory as it needs it, so that its use can be measured.

    DyNet allocates a fixed amount at import. If told to allocate little, it grows by 16 MiB at a time in each of its
    pools. It cannot grow while it batches, so automatic batching is left out.
    """
    return [
        replace(one, flags=[LITTLE_MEMORY if flag == REFERENCE_MEMORY else flag for flag in one.flags])
        for one in competitors
        if "--dynet-autobatch" not in one.flags
    ]


class Worker:
    """A process that runs one competitor on a row (`worker.py`) and waits for its turns.

    An error there is stored in `failure`, and the worker takes no further turns. A worker whose task has no file for
    its kind takes no turns.
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
        """Return the answer to a request for a number of `seconds` or `steps`."""
        if self.failure or not self.present:
            return None
        with contextlib.suppress(BrokenPipeError):  # `answer` reports this
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
        self.failure = ", ".join([*last, f"exit code {code}"])  # a killed process prints no error
        return {}

    def end(self) -> None:
        if hasattr(self, "process"):
            self.process.communicate()
            self.errors.close()

    def speed(self) -> float | None:
        """Return sentences per second, the median of all turns."""
        return statistics.median(turn["sentences"] / turn["seconds"] for turn in self.turns) if self.turns else None


WARM_UP = 6
"""How long each competitor runs before its first turn, in turns. This time is not counted: caches warm up, memory grows
to the size that large minibatches need, and work that is done once per shape is done for most shapes."""


def measure(
    row: Row, competitors: list[Competitor], rounds: int, seconds: float, works: Iterable[str] = ("train",)
) -> list[Worker]:
    """Return a worker for each kind of work and competitor, after interleaved rounds of turns."""
    steps = 0 if "build" in works else row.steps  # building is fast for any graph, so turns are timed
    with at_work(row, competitors, works) as workers:
        for worker in workers:
            worker.turn(seconds=WARM_UP * seconds)
        for _ in range(rounds):
            take_turns(workers, **({"steps": steps} if steps else {"seconds": seconds}))
    return workers


@contextlib.contextmanager
def at_work(row: Row, competitors: list[Competitor], works: Iterable[str]) -> Iterator[list[Worker]]:
    """Yield a worker for each kind of work and competitor, after its first step; the workers end with the block."""
    workers = [Worker(competitor, row, core(), work=work) for work in works for competitor in competitors]
    try:
        for worker in workers:
            worker.begin()
        yield workers
    finally:
        for worker in workers:
            worker.end()


def take_turns(workers: Iterable[Worker], **request) -> None:
    """Let each worker take a turn, one after another."""
    for worker in workers:
        turn = worker.turn(**request)
        if turn is not None:
            worker.turns.append(turn)


@dataclass
class Result:
    """The result of measuring a row: the speed of each competitor, or None if it has none."""

    row: Row
    speeds: dict[str, float | None]
    losses: list[float]  # from competitors that draw the same initial values

    def ratio(self, theirs: str = "") -> float | None:
        """Return the last speed, this project's, over the best of the peers whose names start with `theirs`."""
        *others, ours = self.speeds.items()
        peers = [speed for name, speed in others if speed and name.startswith(theirs) and name != OURS.name]
        best = max(peers, default=None)
        return ours[1] / best if ours[1] and best else None

    def agrees(self) -> bool:
        losses = self.losses
        return not losses or max(losses) - min(losses) <= SAME_LOSS * abs(losses[0])


def report_failures(row: Row, competitors: list[Competitor], workers: list[Worker]) -> None:
    for competitor, worker in zip(competitors, workers):
        if worker.failure:
            print(f"{row}, {competitor.name}: {worker.failure}", file=sys.stderr)


def core() -> int:
    """Return the core on which all competitors run."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def cpu_model() -> str:
    """Return the CPU's name, with its family and model if known.

    The name in a virtual machine is often generic. A family alone is ambiguous: AMD's 25 is both Zen 3 and Zen 4.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return cpu_named(lines)


def cpu_named(lines: Iterable[str]) -> str:
    """Return the result of `cpu_model` for the lines of /proc/cpuinfo."""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed([*lines]))}
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{word} {facts[key]}" for key, word in (("cpu family", "family"), ("model", "model")) if key in facts]
    return ", ".join([name, *numbers])
