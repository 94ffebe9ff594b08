"""The time of each phase of a training step in this project: building, planning, forward, backward, updating.

`split.py` measures these times. The column `whole` is the step without clocks, measured alternately with it.
"""

from __future__ import annotations

import statistics

from competitors import OURS, cpu_model, measure, report_failures
from split import PARTS


def print_table(rows, rounds: int, seconds: float) -> None:
    print(f"{cpu_model()}, one core; microseconds of CPU time a sentence; whole: without reading clocks")
    print(f"{'task':20} {'mb':>3} " + " ".join(f"{part:>9}" for part in (*PARTS, "sum", "whole")))
    for row in rows:
        workers = measure(row, [OURS], rounds, seconds, ("train", "phases"))
        report_failures(row, [OURS, OURS], workers)
        plain, split = workers
        if plain.failure or split.failure:
            continue
        cells = [
            1e6 * statistics.median(turn["parts"][part] / turn["sentences"] for turn in split.turns) for part in PARTS
        ]
        cells += [sum(cells), 1e6 / plain.speed()]
        print(f"{row.name:20} {row.minibatch:>3} " + " ".join(f"{cell:>9,.1f}" for cell in cells), flush=True)
