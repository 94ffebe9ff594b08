"""Times parameter updates alone under real DyNet and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/optim.py --rounds 5

Each step builds a graph and runs it backward, which makes every gradient 1; only `update()` is timed. The two libraries
take turns.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import competitors as benchmark

ROW_SIZE, TABLE_ROWS, USED_ROWS = 128, 100_000, 64


def dense(dy, trainer: str, tensors: int, size: int):
    """`tensors` square matrices, all of whose values are updated."""
    model = dy.ParameterCollection()
    parameters = [model.add_parameters((size, size)) for _ in range(tensors)]

    def gradients():
        dy.renew_cg()
        loss = dy.sum_elems(parameters[0])
        for parameter in parameters[1:]:
            loss = loss + dy.sum_elems(parameter)
        loss.value()
        loss.backward()

    return model, getattr(dy, trainer)(model), gradients


def sparse(dy, trainer: str):
    """A few rows of a large table."""
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((TABLE_ROWS, ROW_SIZE))
    rng = random.Random(1)

    def gradients():
        dy.renew_cg()
        rows = [dy.sum_elems(table[rng.randrange(TABLE_ROWS)]) for _ in range(USED_ROWS)]
        loss = rows[0]
        for row in rows[1:]:
            loss = loss + row
        loss.value()
        loss.backward()

    return model, getattr(dy, trainer)(model), gradients


ROWS: dict[str, Callable] = {
    "SGD, 1M": lambda dy: dense(dy, "SimpleSGDTrainer", 16, 256),
    "SGD, 16M": lambda dy: dense(dy, "SimpleSGDTrainer", 16, 1024),
    "Adam, 1M": lambda dy: dense(dy, "AdamTrainer", 16, 256),
    "Adam, 16M": lambda dy: dense(dy, "AdamTrainer", 16, 1024),
    "Momentum, 1M": lambda dy: dense(dy, "MomentumSGDTrainer", 16, 256),
    "Adagrad, 1M": lambda dy: dense(dy, "AdagradTrainer", 16, 256),
    "Adadelta, 1M": lambda dy: dense(dy, "AdadeltaTrainer", 16, 256),
    "RMSProp, 1M": lambda dy: dense(dy, "RMSPropTrainer", 16, 256),
    "Amsgrad, 1M": lambda dy: dense(dy, "AmsgradTrainer", 16, 256),
    "SGD, 64 rows of 100k": lambda dy: sparse(dy, "SimpleSGDTrainer"),
    "Adam, 64 rows of 100k": lambda dy: sparse(dy, "AdamTrainer"),
}


def work(row: str, core: str) -> None:
    """Run one competitor on one row: for every number of seconds read, print the mean microseconds of an update."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    import dynet

    model, trainer, gradients = ROWS[row](dynet)  # DyNet 2.1's trainers do not keep their model alive
    clock = time.thread_time_ns
    overhead = statistics.median(-clock() + clock() for _ in range(1000))  # the cost of reading the clock
    for line in sys.stdin:
        spent, updates, end = 0, 0, time.process_time() + float(line)
        while not updates or time.process_time() < end:
            gradients()
            start = clock()
            trainer.update()
            spent += clock() - start - overhead
            updates += 1
        print(json.dumps(spent / updates / 1000), file=answers)


class Worker:
    def __init__(self, command: list[str], flags: list[str], row: str, core: int):
        self.process = subprocess.Popen(
            [*command, __file__, "work", row, str(core), *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **benchmark.ONE_THREAD},
        )  # fmt: skip

    def turn(self, seconds: float) -> float:
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(ROWS)
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=str(names))
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time of one turn (default: 1)")
    options = parser.parse_args()
    reference = os.environ.get("DYNET_REFERENCE_PYTHON")
    real = [([reference, "-E"], ["--dynet-mem", benchmark.REFERENCE_MEMORY])] if reference else []
    competitors = [*real, ([sys.executable], [])]
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    print(f"{benchmark.cpu_model()}, one core, CPU time; microseconds an update")
    print(f"{'':24}{'DyNet':>12}{'this project':>14}{'ratio':>8}")
    for row in options.rows:
        workers = [Worker(command, flags, row, core) for command, flags in competitors]
        turns = [[worker.turn(options.seconds) for worker in workers] for _ in range(options.rounds + 1)]
        figures = [statistics.median(figure) for figure in zip(*turns[1:])]  # the first turn warms up
        for worker in workers:
            worker.process.communicate()
        *_, ours = figures
        theirs = figures[0] if real else math.nan
        print(f"{row:24}{theirs:>12.5g}{ours:>14.5g}{theirs / ours:>8.2f}", flush=True)


if __name__ == "__main__":
    work(*sys.argv[2:4]) if sys.argv[1:2] == ["work"] else main()
