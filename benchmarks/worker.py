"""A process that runs one competitor on one row of the table on request.

    python worker.py '{"kind": "dynet", "task": "tagger", "row": "tagger", "minibatch": 1, "seed": 1}' [--dynet-...]

Optional keys: `work` ("train", or "infer", "build", "phases"), `core` to run on, and `initial`, a file of initial
values for a peer (see `peers.initial.save`).

Answers are JSON, one line each, on the stdout it was started with: first the loss of the first step. The answer to each
request `{"seconds": 1}` or `{"steps": 10}` has the sentences done, their CPU time, and the peak memory above the memory
after the library was imported, in KiB. A step that times its phases also reports these.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from split import Split

MODULES = {
    "dynet": "tasks",
    "nothing": "tasks",
    "torch": "peers.torch_tasks",
    "pyg": "peers.pyg_tasks",
    "jax": "peers.jax_tasks",
    "mlx": "peers.mlx_tasks",
}
LIBRARIES = {"pyg": "torch_geometric", "mlx": "mlx.core"}  # importing `mlx` alone would load nothing


def main() -> None:
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    if "core" in order and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {order["core"]})
    library = importlib.import_module(LIBRARIES.get(order["kind"], order["kind"]))
    imported = Memory()

    steps = made(library, order)
    if steps is None:
        print(json.dumps({"absent": True}), file=answers)
        return
    work = order.get("work", "train")
    if steps.prepare:
        steps.prepare(work)
    if work == "build":
        steps.infer()  # as in a real program: code loaded by computing may speed up recording
    step = Split(steps) if work == "phases" else getattr(steps, work)
    loss = step()
    if work == "phases":
        step.take()  # this step belongs to no turn
    print(json.dumps({"loss": None if work == "build" else loss}), file=answers)
    for line in sys.stdin:
        count, seconds = run(step, **json.loads(line))
        answer = {"sentences": count * order["minibatch"], "seconds": seconds, "memory": imported.peak_above()}
        if hasattr(step, "take"):
            answer["parts"] = step.take()
        print(json.dumps(answer), file=answers)


def made(library, order: dict):
    """Return the steps of a task, from DyNet's file or a peer's; None if the peer leaves out this row."""
    minibatch, seed = order["minibatch"], order["seed"]
    options = next(options for name, _, options in task_of(order).ROWS if name == order["row"])
    if MODULES[order["kind"]] == "tasks":
        return task_of(order).make(library, minibatch, seed, **options)
    peer = importlib.import_module(f"{MODULES[order['kind']]}.{order['task']}")
    from peers import initial  # needs numpy, which must not count as the task's memory

    values = initial.load(order["initial"]) if "initial" in order else initial.Drawn(seed)
    return peer.make(values, minibatch, seed, **options)


def task_of(order: dict):
    return importlib.import_module(f"tasks.{order['task']}")


def has_task(kind: str, task: str) -> bool:
    """Return whether the kind has a file for the task."""
    return (Path(__file__).parent / MODULES[kind].replace(".", "/") / f"{task}.py").exists()


def run(step: Callable, seconds: float = 0.0, steps: int = 0) -> tuple[int, float]:
    """Run some steps, or run until this much CPU time has passed; return the number of steps and their time."""
    done, chunk = 0, steps or 1
    start = time.process_time()
    while True:
        for _ in range(chunk):
            step()
        done += chunk
        spent = time.process_time() - start
        if steps or spent >= seconds:
            return done, spent
        if spent < seconds / 20:
            chunk *= 2  # read the clock rarely, so that its cost is negligible


class Memory:
    """This process's memory at one moment, and the peak since then. Known only on Linux."""

    STATUS = Path("/proc/self/status")

    def __init__(self):
        self.before = self._kibibytes("VmRSS")
        if self.before is not None:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak

    def peak_above(self) -> int | None:
        return None if self.before is None else self._kibibytes("VmHWM") - self.before

    def _kibibytes(self, name: str) -> int | None:
        try:
            lines = self.STATUS.read_text().splitlines()
        except OSError:
            return None
        return int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    main()
