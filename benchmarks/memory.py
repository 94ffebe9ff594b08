"""The peak of each competitor's memory on each task, above what it took to import the library.

Real DyNet takes its memory when it is imported, as much as it is told to. Here it is told to take little, so that it
grows by what a task needs, in steps of 16 MiB for each of its pools. Where it cannot, as it may not while it batches,
there is no figure.
"""

from __future__ import annotations

from dataclasses import replace

from competitors import REFERENCE_MEMORY, Competitor, Row, Worker, core, cpu_model, report_failures

LITTLE = "4"
"""Megabytes for real DyNet."""
SENTENCES = 320
"""How many are trained on, in five steps at least."""


def print_table(rows: list[Row], competitors: list[Competitor]) -> None:
    print(f"{cpu_model()}; MiB at the peak while training on {SENTENCES} sentences, above the memory after the import")
    competitors = [with_little_memory(competitor) for competitor in competitors]
    print(f"{'task':20} {'mb':>3} " + " ".join(f"{competitor.name:>15}" for competitor in competitors))
    for row in rows:
        workers = []
        for competitor in competitors:
            worker = Worker(competitor, row, core())
            worker.begin()
            worker.turns = [worker.turn(steps=max(5, SENTENCES // row.minibatch)) or {}]
            worker.end()
            workers.append(worker)
        peaks = [worker.turns[0].get("memory") for worker in workers]
        cells = " ".join(f"{'-' if peak is None else f'{peak / 1024:,.1f}':>15}" for peak in peaks)
        print(f"{row.name:20} {row.minibatch:>3} {cells}", flush=True)
        report_failures(row, competitors, workers)


def with_little_memory(competitor: Competitor) -> Competitor:
    flags = [LITTLE if flag == REFERENCE_MEMORY else flag for flag in competitor.flags]
    return replace(competitor, flags=flags)
