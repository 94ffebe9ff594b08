"""The peak memory of each competitor on each task, above its memory after importing the library."""

from __future__ import annotations

from competitors import Competitor, Row, Worker, core, cpu_model, report_failures, with_little_memory

SENTENCES = 320
"""The number of training sentences, in at least five steps."""


def print_table(rows: list[Row], competitors: list[Competitor]) -> None:
    print(f"{cpu_model()}; MiB at the peak while training on {SENTENCES} sentences, above the memory after the import")
    competitors = with_little_memory(competitors)
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
