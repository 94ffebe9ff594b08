"""One competitor at one row of the table, in a process of its own that waits to be asked.

    python worker.py TASK ROW MINIBATCH SEED CORE [--dynet-...]

Answers in JSON, a line each, on the stdout it was started with: first the first step's loss, then for every
number of seconds it reads the sentences done in that much CPU time.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable


def main() -> None:
    task, row, minibatch, seed, core = sys.argv[1:6]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})

    import dynet

    module = importlib.import_module(f"tasks.{task}")
    options = next(options for name, _, options in module.ROWS if name == row)
    step = module.make(dynet, int(minibatch), int(seed), **options)
    print(json.dumps({"loss": step()}), file=answers)
    for line in sys.stdin:
        steps, seconds = run(step, float(line))
        print(json.dumps({"sentences": steps * int(minibatch), "seconds": seconds}), file=answers)


def run(step: Callable[[], float], seconds: float) -> tuple[int, float]:
    """Steps until that much CPU time has passed; the steps done and the time they took."""
    steps, chunk = 0, 1
    start = time.process_time()
    while True:
        for _ in range(chunk):
            step()
        steps += chunk
        spent = time.process_time() - start
        if spent >= seconds:
            return steps, spent
        if spent < seconds / 20:
            chunk *= 2  # the clock is read rarely enough to cost nothing


if __name__ == "__main__":
    main()
