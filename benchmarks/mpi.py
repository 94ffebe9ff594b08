"""The cost of data parallel training: seconds and bytes per step for 1, 2 and 4 ranks, and a forecast for clusters.

    python benchmarks/mpi.py

Each rank has its own minibatch, so n ranks do n times the work in a step. If there are fewer cores than ranks, the
ranks take turns on them. The forecast comes from a cost model, which is first compared with the measurements made here.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TASKS = {"tagger": ("tagger", 10), "parser": ("parser, blind", 10), "rnnlm": ("rnnlm", 16)}
"""The row of each task, and the sentences per rank."""
NODES = (16, 32, 64, 128, 256)
STREAM = 256
"""The number of minibatches from which to count the lookup rows that n ranks use together."""


@dataclass(frozen=True)
class Network:
    """The time of a message: `latency` seconds plus its bytes divided by `bandwidth`, in bytes per second."""

    name: str
    latency: float
    bandwidth: float


NETWORKS = (Network("10 Gbit/s, TCP", 30e-6, 10e9 / 8), Network("100 Gbit/s, RDMA", 3e-6, 100e9 / 8))


def allreduce_seconds(network: Network, ranks: int, size: float) -> float:
    """Return the time of an Allreduce of `size` bytes by the fastest of three known algorithms.

    These are a ring, recursive doubling, and Rabenseifner's (a reduce-scatter by halving and an allgather by doubling).
    """
    rounds = math.ceil(math.log2(ranks))
    sent = 2 * (ranks - 1) / ranks * size / network.bandwidth
    return min(
        2 * (ranks - 1) * network.latency + sent,
        rounds * (network.latency + size / network.bandwidth),
        2 * rounds * network.latency + sent,
    )


def allgather_seconds(network: Network, ranks: int, size: float) -> float:
    """Return the time of an Allgather by recursive doubling, after which each rank has `size` bytes in all."""
    return math.ceil(math.log2(ranks)) * network.latency + (ranks - 1) / ranks * size / network.bandwidth


def exchange_seconds(network: Network, ranks: int, dense: float, rows: float, indices: float, packing: float) -> float:
    """Return the time of one exchange of gradients.

    Args:
        dense, rows: bytes of the dense gradients, and of the lookup rows that all ranks use together.
        indices: bytes of the indices of all ranks.
        packing: seconds per byte to pack and unpack, on each rank.
    """
    if ranks == 1:
        return 0.0
    header = allgather_seconds(network, ranks, 48 * ranks)
    gathered = allgather_seconds(network, ranks, indices)
    return header + gathered + allreduce_seconds(network, ranks, dense + rows) + packing * (dense + rows)


# The code of a rank, which mpiexec starts.


def work(task: str, steps: int) -> None:
    """Train, and print the times of the steps as JSON from rank 0."""
    import dynet as dy
    from dynet_optim.parallel import DataParallel, Gradients

    made: list[DataParallel] = []
    spent: dict[str, list[float]] = {"exchange": [], "summing": []}

    def timed(name: str, function):
        @functools.wraps(function)
        def call(*arguments):
            began = time.perf_counter()
            result = function(*arguments)
            spent[name].append(time.perf_counter() - began)
            return result

        return call

    DataParallel._add_up_gradients = timed("exchange", DataParallel._add_up_gradients)
    Gradients.add_up = timed("summing", Gradients.add_up)

    def trainer(parameters):
        made.append(dy.DataParallel(dy.AdamTrainer(parameters)))
        return made[0]

    library = types.SimpleNamespace(**{**vars(dy), "AdamTrainer": trainer})
    rank = dy.DataParallel(dy.AdamTrainer(dy.ParameterCollection())).rank
    module, row, minibatch = importlib.import_module(f"tasks.{task}"), *TASKS[task]
    (settings,) = [settings for name, _, settings in module.ROWS if name == row]
    train = module.make(library, minibatch, 1 + rank, **settings).train
    parallel = made[0]
    times: list[float] = []
    sent: list[float] = []
    for _ in range(steps + 5):
        began = time.perf_counter()
        train()
        times.append(time.perf_counter() - began)
        sent.append(parallel._gradients.sent_bytes if parallel.size > 1 else 0)
    found = {"step": times, "bytes": sent, **spent}
    if rank == 0:
        print(json.dumps({name: numbers[5:] for name, numbers in found.items()}))


class NoMessages:
    """A stand-in for a communicator, which allows packing to be measured alone."""

    def Allreduce(self, own, everyone):
        pass

    def Allgatherv(self, own, everyone):
        everyone[0][:] = own


def touch(task: str) -> dict[str, Any]:
    """Return the bytes of the dense gradients, the rows that each of many minibatches uses, and the time of packing.

    It runs alone. Packing is measured as CPU time per byte, so other programs do not affect it.
    """
    import dynet as dy
    from dynet_optim import parallel

    seen: list[tuple[int, dict[int, int]]] = []
    found: list[list[int]] = []
    packing: list[float] = []
    parallel.mpi = lambda: types.SimpleNamespace(IN_PLACE=None)

    class Looking:
        """A trainer that only reads the gradients."""

        def __init__(self, parameters):
            self.trainer, self.looked = dy.SimpleSGDTrainer(parameters, 0), None

        def update(self):
            table = self.trainer._table.prepared()
            looked = self.looked = self.looked or parallel.Gradients(table, NoMessages())
            if not seen:
                widths = {int(f): s.gradient.floats // s.row_count for f, s in zip(looked.first_rows, looked.lookups)}
                seen.append((4 * sum(s.gradient.floats for s in looked.non_lookups), widths))
            rows = looked.touched_rows()
            found.append(rows.tolist())
            began = time.process_time()
            looked.add_up(rows, np.array([len(rows)]))
            packing.append((time.process_time() - began) / looked.sent_bytes)
            table.clear(0)

    library = types.SimpleNamespace(**{**vars(dy), "AdamTrainer": Looking})
    module, row, minibatch = importlib.import_module(f"tasks.{task}"), *TASKS[task]
    (settings,) = [settings for name, _, settings in module.ROWS if name == row]
    train = module.make(library, minibatch, 1, **settings).train
    for _ in range(STREAM):
        train()
    (dense, widths), rows = seen[0], found
    return {
        "dense": dense,
        "width": max(widths.values(), default=0),
        "rows": rows,
        "packing": statistics.median(packing),
    }


def latency_and_bandwidth() -> None:
    """Print, as JSON, the latency and bandwidth derived from Allreduces of two sizes."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD

    def seconds(count: int) -> float:
        numbers, spent = np.ones(count, np.float32), []
        for _ in range(60):
            comm.Barrier()
            began = time.perf_counter()
            comm.Allreduce(MPI.IN_PLACE, numbers)
            spent.append(time.perf_counter() - began)
        return statistics.median(spent)

    small, large = seconds(2), seconds(1 << 18)
    if comm.rank == 0:
        rounds = math.ceil(math.log2(comm.size))
        bandwidth = 2 * (comm.size - 1) / comm.size * 4 * (1 << 18) / (large - small)
        print(json.dumps({"latency": small / rounds, "bandwidth": bandwidth}))


# The tables.


def started(ranks: int, *arguments: object) -> dict[str, Any]:
    """Start this file on the given number of ranks, and return what it prints."""
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if mpiexec is None and ranks > 1:
        sys.exit("there is no mpiexec: pip install mpi4py mpich")
    launch = [mpiexec, "-n", str(ranks)] if ranks > 1 else []
    command = [*launch, sys.executable, __file__, "--work", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return json.loads(done.stdout)


def together(rows: Sequence[Iterable[int]], ranks: int) -> tuple[float, float]:
    """Return the mean number of distinct rows that the minibatches of all ranks use, and the mean sum of their row
    counts."""
    groups = [rows[first : first + ranks] for first in range(0, len(rows) - ranks + 1, ranks)]
    return (
        statistics.mean(len(set(itertools.chain(*group))) for group in groups),
        statistics.mean(sum(len(list(each)) for each in group) for group in groups),
    )


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=60, help="steps that are timed (default: 60)")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        what, *rest = options.work
        if what == "network":
            latency_and_bandwidth()
        elif what == "touch":
            print(json.dumps(touch(rest[0])))
        else:
            work(what, int(rest[0]))
        return
    report(options.tasks, options.ranks, options.steps)


def report(tasks: Sequence[str], ranks: Sequence[int], steps: int) -> None:
    """Measure, and print the tables."""
    here = {}
    for count in ranks:
        if count > 1:
            found = started(count, "network")
            here[count] = Network("here", found["latency"], found["bandwidth"])
            print(f"{count} ranks here: {1e6 * found['latency']:.1f} us a message, {found['bandwidth'] / 1e9:.2f} GB/s")
    print("\nMedians, and in brackets the least, of one step. To wait is to wait for ranks that take longer.\n")
    row("task", "ranks", "kB sent", "step, ms", "waiting, ms", "summing, ms", "forecast of it, ms")
    row(*["---"] * 7)
    uses, alone = {}, {}
    for task in tasks:
        uses[task] = used = started(1, "touch", task)
        for count in ranks:
            found = started(count, task, steps)
            step = statistics.median(found["step"])
            alone.setdefault(task, step)
            if count == 1:
                row(task, 1, 0, f"{1e3 * step:.2f} ({1e3 * min(found['step']):.2f})", "", "", "")
                continue
            summing = statistics.median(found["summing"])
            waiting = statistics.median(a - b for a, b in zip(found["exchange"], found["summing"]))
            expected = forecast(here[count], count, used)
            row(
                task, count, f"{statistics.median(found['bytes']) / 1e3:.0f}",
                f"{1e3 * step:.2f} ({1e3 * min(found['step']):.2f})", f"{1e3 * waiting:.2f}",
                f"{1e3 * summing:.2f} ({1e3 * min(found['summing']):.2f})", f"{1e3 * expected:.2f}",
            )  # fmt: skip
    print("\nOn paper: a step that takes as long as alone, and then the exchange. Efficiency is the share of work.\n")
    row("task", "network", *(f"{count} nodes: kB, exchange in ms, efficiency" for count in NODES))
    row(*["---"] * (2 + len(NODES)))
    for task in tasks:
        for network in NETWORKS:
            cells = []
            for count in NODES:
                size = uses[task]["dense"] + 4 * uses[task]["width"] * together(uses[task]["rows"], count)[0]
                seconds = forecast(network, count, uses[task])
                cells.append(f"{size / 1e3:.0f}, {1e3 * seconds:.2f}, {alone[task] / (alone[task] + seconds):.2f}")
            row(task, network.name, *cells)


def forecast(network: Network, ranks: int, used: dict[str, Any]) -> float:
    """Return the seconds of one exchange of a task whose row use is known."""
    rows, indices = together(used["rows"], ranks)
    return exchange_seconds(network, ranks, used["dense"], 4 * used["width"] * rows, 8 * indices, used["packing"])


if __name__ == "__main__":
    main()
