"""Times saving and loading a model of 5M floats under real DyNet and this project, one core, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/files.py --rounds 5

Turns are interleaved. Each figure is the median CPU time in seconds, followed by the wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import competitors as benchmark

SHAPES = [(1000, 1000)] * 4 + [(500, 2000)]


def work(core: str, path: str) -> None:
    """Run one competitor: save and load once for each line read, and answer with CPU and wall-clock seconds of both."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    import dynet as dy

    model, other = (dy.ParameterCollection() for _ in range(2))
    for collection in (model, other):
        for shape in SHAPES:
            collection.add_parameters(shape)
    for _ in sys.stdin:
        print(json.dumps([timed(model.save, path), timed(other.populate, path)]), file=answers)


def timed(action, path: str) -> list[float]:
    cpu, wall = time.process_time(), time.perf_counter()
    action(path)
    return [time.process_time() - cpu, time.perf_counter() - wall]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (default: 5)")
    options = parser.parse_args()
    reference = os.environ.get("DYNET_REFERENCE_PYTHON")
    core = str(max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0)
    with tempfile.TemporaryDirectory() as folder:
        commands = {"text": [sys.executable], "safetensors": [sys.executable]}
        if reference:
            commands = {"DyNet's text": [reference, "-E"]} | commands
        workers = {}
        for number, (name, command) in enumerate(commands.items()):
            path = str(Path(folder) / f"model{number}") + (".safetensors" if name == "safetensors" else "")
            flags = ["--dynet-mem", benchmark.REFERENCE_MEMORY] if name.startswith("DyNet") else []
            workers[name] = subprocess.Popen(
                [*command, __file__, "work", core, path, *flags],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **benchmark.ONE_THREAD},
            )  # fmt: skip
        turns = {name: [] for name in workers}
        for _ in range(options.rounds + 1):
            for name, worker in workers.items():
                print(file=worker.stdin, flush=True)
                turns[name].append(json.loads(worker.stdout.readline()))
        for worker in workers.values():
            worker.communicate()
    print(f"{benchmark.cpu_model()}, one core; 5M floats; CPU seconds (wall-clock seconds)")
    print(f"{'':16}{'save':>20}{'load':>20}")
    for name, rows in turns.items():
        cells = []
        for place in range(2):
            cpu, wall = (statistics.median(row[place][k] for row in rows[1:]) for k in range(2))
            cells.append(f"{cpu:.4f} ({wall:.4f})")
        print(f"{name:16}{cells[0]:>20}{cells[1]:>20}")


if __name__ == "__main__":
    work(*sys.argv[2:4]) if sys.argv[1:2] == ["work"] else main()
