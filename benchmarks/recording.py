"""Times the building of graphs alone under real DyNet and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/recording.py --tasks tagger treelstm

A step is `renew_cg` and the task's own code with all the ops that it records; only the first is computed. A figure is
microseconds a sentence, the median over interleaved rounds. The parser that reads its scores computes while it builds,
so it is left out.
"""

from __future__ import annotations

import argparse

from competitors import TASKS, Row, cpu_model, find_competitors, measure, report_failures, rows_of, with_little_memory

READS = "parser, scores read"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU time of one measurement (default: 0.5)")
    options = parser.parse_args()
    # Without automatic batching, which changes nothing before a graph is computed.
    competitors = with_little_memory(find_competitors(["dynet"]))
    print(f"{cpu_model()}, one core, CPU time; microseconds to build a sentence's graph")
    print(line_of("task", "mb", [competitor.name for competitor in competitors], "ratio"))
    for row in rows_of(options.tasks):
        if row.name == READS:
            continue
        workers = measure(row, competitors, options.rounds, options.seconds, ["build"])
        report_failures(row, competitors, workers)
        print(
            line_of_times(row, [1e6 / speed if (speed := worker.speed()) else None for worker in workers]), flush=True
        )


def line_of_times(row: Row, times: list[float | None]) -> str:
    *theirs, ours = times
    cells = ["-" if time is None else f"{time:,.2f}" for time in times]
    ratio = f"{theirs[0] / ours:.2f}" if theirs and theirs[0] and ours else "-"
    return line_of(row.name, row.minibatch, cells, ratio)


def line_of(name: str, minibatch: int | str, cells: list[str], ratio: str) -> str:
    return f"{name:20} {minibatch:>3} " + " ".join(f"{cell:>15}" for cell in cells) + f" {ratio:>6}"


if __name__ == "__main__":
    main()
