"""How the time and memory of a graph grow with its size, under real DyNet and this project.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/growth.py

Two kinds of graphs of 1,000 to 100,000 nodes are built and run forward and backward: a chain, where each node depends
on the one before, and a wide graph, where all similar nodes can be batched. Reported per node: CPU microseconds, the
median of several graphs, and bytes, the peak of a separate process above its memory after the smallest graph. Then the
fixed cost of a graph, from forward passes of chains of 1 to 33 nodes, and the process's memory while 10,000 graphs of
varying sizes are built and discarded. (The smallest graphs fit into the memory that a process has from the start.)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

from competitors import ONE_THREAD, Competitor, core, cpu_model, find_competitors, with_little_memory
from worker import Memory

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
WIDTH = 16
SMALL = (1, 33)
LARGEST = 400  # largest of the graphs that are built and discarded
REPORTS = 10  # how often memory is reported


def graphs_of(dy, model) -> dict:
    """Return, for each kind, a function that records a graph of about this many nodes and returns its loss."""
    W, b = model.add_parameters((WIDTH, WIDTH)), model.add_parameters(WIDTH)
    table = model.add_lookup_parameters((1000, WIDTH))

    def chain(nodes: int):
        x, shift = table[0], b.expr()
        for _ in range(nodes // 2):
            x = dy.tanh(x + shift)
        return dy.sum_elems(x)

    def wide(nodes: int):
        losses = [dy.sum_elems(dy.tanh(dy.affine_transform([b, W, table[k % 1000]]))) for k in range(nodes // 4)]
        return dy.esum(losses)

    return {"chain": chain, "wide": wide}


def work(question: str, kind: str, number: str) -> None:
    """Print one process's answer as JSON on its original stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core()})
    import dynet as dy

    model = dy.ParameterCollection()  # kept because DyNet 2.1's parameters do not keep it alive
    graph = graphs_of(dy, model)[kind]

    def run(nodes: int) -> None:
        dy.renew_cg()
        loss = graph(nodes)
        loss.scalar_value()
        loss.backward()

    run(10)
    answer = {"grow": grow, "fixed": fixed, "stay": stay}[question](dy, run, graph, int(number))
    print(json.dumps(answer), file=answers)


def grow(dy, run, graph, size: int) -> dict:
    """Return the seconds and bytes per node."""
    memory = Memory()
    run(size)
    peak = memory.peak_above()
    times = []
    while len(times) < 3 or sum(times) < 0.3:
        start = time.process_time()
        run(size)
        times.append(time.process_time() - start)
    return {"seconds": statistics.median(times) / size, "bytes": None if peak is None else 1024 * peak / size}


def fixed(dy, run, graph, repeats: int) -> dict:
    """Return the seconds of a graph beyond its nodes: renewing, and reading a value."""

    def seconds(nodes: int) -> float:
        start = time.process_time()
        for _ in range(repeats):
            dy.renew_cg()
            graph(nodes).scalar_value()
        return (time.process_time() - start) / repeats

    few, many = SMALL
    rounds = [(seconds(few), seconds(many)) for _ in range(7)]
    least, most = (min(times) for times in zip(*rounds))
    return {"seconds": least - (most - least) / (many - few) * (few + 1)}


def stay(dy, run, graph, graphs: int) -> dict:
    """Return the process's KiB while this many graphs are built and discarded, the largest first."""
    rng = random.Random(1)
    run(LARGEST)
    sizes = []
    for number in range(1, graphs + 1):
        run(rng.randrange(4, LARGEST))
        if number % (graphs // REPORTS) == 0:
            sizes.append(Memory().before)
    return {"kibibytes": sizes}


def ask(competitor: Competitor, *question) -> dict | None:
    command = [*competitor.command, __file__, "work", *map(str, question), *competitor.flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD})
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="NODES")
    parser.add_argument("--graphs", type=int, default=10_000, help="that come and go (default: 10,000)")
    options = parser.parse_args()
    competitors = with_little_memory(find_competitors(["dynet"]))
    print(f"{cpu_model()}, one core, CPU time; microseconds and bytes a node, forwards and backwards")
    print(f"{'graph':8}{'nodes':>9}" + "".join(f"{one.name:>24}" for one in competitors))
    for kind in ("chain", "wide"):
        for size in options.sizes:
            answers = [ask(competitor, "grow", kind, size) for competitor in competitors]
            print(f"{kind:8}{size:>9,}" + "".join(f"{cost(answer):>24}" for answer in answers), flush=True)
    answers = [ask(competitor, "fixed", "chain", 2_000) for competitor in competitors]
    cells = ["-" if answer is None else f"{1e6 * answer['seconds']:.2f} us" for answer in answers]
    print(f"{'fixed cost':17}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
    for competitor in competitors:
        answer = ask(competitor, "stay", "wide", options.graphs)
        sizes = answer["kibibytes"] if answer else []
        if all(sizes) and sizes:
            graphs = f"each {options.graphs // REPORTS:,} of {options.graphs:,} graphs"
            every = " ".join(f"{size / 1024:.1f}" for size in sizes)
            print(f"MiB of {competitor.name} after {graphs}: {every}", flush=True)


def cost(answer: dict | None) -> str:
    if answer is None:
        return "-"
    bytes_a_node = "-" if answer["bytes"] is None else f"{answer['bytes']:,.0f}"
    return f"{1e6 * answer['seconds']:.3f} us {bytes_a_node:>7} B"


if __name__ == "__main__":
    work(*sys.argv[2:5]) if sys.argv[1:2] == ["work"] else main()
