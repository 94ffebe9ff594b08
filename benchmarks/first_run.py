"""Measures the first run on a machine: programs that find no compiled kernels, in CPU time, children included.

    python benchmarks/first_run.py
    python benchmarks/first_run.py /path/to/old/tree --rounds 3

Each run is a separate process with an empty cache directory; a second run uses the cache that the first one filled.
"own op" is a program with a user-defined op, after the same program without this op has run. If another source tree is
given, the two trees take turns, and both run this tree's programs. Each figure is the median over the rounds: CPU
seconds and wall time of the first run, CPU seconds of the second, and the number of files in the cache afterwards.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from competitors import cpu_model

NEW = Path(__file__).resolve().parents[1]
TANH = "import dynet as dy; dy.tanh(dy.scalarInput(1.0)).value()"
WITHOUT_OP = """
import dynet as dy
from dynet_kernels import formula as f
from dynet_ops.kinds import elementwise
m = dy.ParameterCollection()
W, x = m.add_parameters((20, 20)), m.add_parameters(20)
act = dy.tanh
"""
OWN_OP = """
@elementwise(reference=None)
def act(x: dy.Expression) -> dy.Expression:
    return x * f.logistic(1.702 * x)
"""
TRAINED = """
dy.squared_norm(act(dy.logistic(W * x))).backward()
dy.SimpleSGDTrainer(m).update()
"""
BEFORE = {"own op": ["-c", WITHOUT_OP + TRAINED]}
"""Unmeasured programs that run in the same cache before another program's first run."""
TAGGER = [str(NEW / "examples" / "tagger" / "train.py"), "--epochs", "1", "--limit", "50"]


def programs() -> dict[str, list[str]]:
    """Return the arguments to Python for each program, by name."""
    (readme,) = re.findall(r"```python\n(.*?)```", (NEW / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    found = {"tanh": ["-c", TANH], "README": ["-c", readme], "own op": ["-c", WITHOUT_OP + OWN_OP + TRAINED]}
    if importlib.util.find_spec("tqdm") and importlib.util.find_spec("conllu"):  # the dependency group `examples`
        found["tagger"] = TAGGER
    return found


def seconds_of(tree: Path, program: list[str], cache: Path, folder: Path) -> tuple[float, float]:
    """Return the CPU and wall seconds of a program that runs in `folder` with kernels in `cache`."""
    sources = os.pathsep.join(str(source) for source in sorted(tree.glob("packages/*/src")))
    environment = {**os.environ, "PYTHONPATH": sources, "DYNET_CACHE_DIR": str(cache)}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, *program]
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"the program ended with status {process.returncode}:\n{said.read().decode()}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def measure(tree: Path, program: list[str], before: list[str] | None = None) -> tuple[float, float, float, int]:
    with tempfile.TemporaryDirectory() as name:
        cache, folder = Path(name) / "cache", Path(name) / "empty"
        folder.mkdir()
        if before:
            seconds_of(tree, before, cache, folder)
        cold, wall = seconds_of(tree, program, cache, folder)
        warm, _ = seconds_of(tree, program, cache, folder)
        return cold, wall, warm, len(list(cache.glob("*.o")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, nargs="?", help="the root of another source tree")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    parser.add_argument("--programs", nargs="+", choices=programs(), default=list(programs()))
    options = parser.parse_args()
    trees = {"new": NEW}
    if options.old:
        if not any(options.old.glob("packages/*/src")):
            parser.error(f"{options.old} has no packages/*/src")
        trees = {"old": options.old.resolve(), **trees}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cpu_model()}, {cores} cores; seconds, medians of {options.rounds}")
    print(f"{'program':10}{'tree':6}{'first, CPU':>12}{'wall':>8}{'second, CPU':>13}{'files':>7}", flush=True)
    for name in options.programs:
        rounds = [
            {tree: measure(root, programs()[name], BEFORE.get(name)) for tree, root in trees.items()}
            for _ in range(options.rounds)
        ]
        for tree in trees:
            cold, wall, warm, files = map(statistics.median, zip(*(each[tree] for each in rounds)))
            print(f"{name:10}{tree:6}{cold:>12.1f}{wall:>8.1f}{warm:>13.1f}{files:>7.0f}", flush=True)


if __name__ == "__main__":
    main()
