"""Times graph building alone under real DyNet and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/recording.py --tasks tagger treelstm

A step is `renew_cg` and the task's own code with all the ops that it records; only the first step is computed. Each
figure is microseconds per sentence, the median over interleaved rounds. `program` is the same code under `nothing.py`,
a library of builtins that do nothing, in the Python of each competitor; the last columns exclude it. The parser that
reads its scores and the beam search compute while they build, so they are left out.

With `--ops`: nanoseconds of single ops (`tasks/single_ops.py`), with the loop around them and without. With `--small`:
microseconds of small graphs, built, run and read (`tasks/small_graphs.py`), and of a step of xor.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace

from competitors import (
    READS,
    TASKS,
    Competitor,
    Row,
    Worker,
    cpu_model,
    find_competitors,
    measure,
    report_failures,
    rows_of,
    with_little_memory,
)

Times = Sequence["float | None"]
"""A time for each competitor, with this project last."""


def main() -> None:
    options = read_options()
    # Automatic batching is left out because it has no effect until a graph is computed.
    competitors = with_little_memory(find_competitors(["dynet"]))
    table = print_ops if options.ops is not None else print_small if options.small else print_tasks
    table(competitors, options)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    ops = [row.name for row in rows_of(["single_ops"])]
    add("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    add("--ops", nargs="*", choices=ops, metavar="OP", help=f"single ops instead, all or some of {'; '.join(ops)}")
    add("--small", action="store_true", help="small graphs, built, run and read, instead")
    add("--rounds", type=int, help="rounds to take the median of (default: 3; with --ops and --small 15)")
    add("--seconds", type=float, help="CPU time of one measurement (default: 0.5; with --ops and --small 0.1)")
    options = parser.parse_args()
    brief = options.small or options.ops is not None
    options.rounds = options.rounds or (15 if brief else 3)
    options.seconds = options.seconds or (0.1 if brief else 0.5)
    return options


def print_tasks(competitors: list[Competitor], options: argparse.Namespace) -> None:
    print(f"{cpu_model()}, one core, CPU time; microseconds to build a sentence's graph")
    names = [competitor.name for competitor in competitors]
    print(line_of("task", names, "ratio", ["program", *[f"{name} less" for name in names]], "ratio"))
    programs = [replace(one, name=f"program of {one.name}", kind="nothing", flags=[]) for one in competitors]
    for row in rows_of(options.tasks):
        if row.name in READS:
            continue
        workers = measured(row, competitors + programs, options, "build")
        every = times_of(workers)
        times, of_programs = every[: len(competitors)], every[len(competitors) :]
        rest = less(times, of_programs)
        cells = [*map(cell, times)], ratio(times), [cell(of_programs[-1]), *map(cell, rest)], ratio(rest)
        print(line_of(str(row), *cells), flush=True)


def print_small(competitors: list[Competitor], options: argparse.Namespace) -> None:
    print(f"{cpu_model()}, one core, CPU time; microseconds to build, run and read a graph (xor: a training step)")
    print(line_of("graph", [competitor.name for competitor in competitors], "ratio"))
    for row in rows_of(["small_graphs", "xor"]):
        if row.minibatch == 1:
            times = times_of(measured(row, competitors, options, "train"))
            print(line_of(row.name, [*map(cell, times)], ratio(times)), flush=True)


def print_ops(competitors: list[Competitor], options: argparse.Namespace) -> None:
    print(f"{cpu_model()}, one core, CPU time; nanoseconds of one op; less: less an empty loop")
    names = [competitor.name for competitor in competitors]
    print(line_of("op", names, "", [f"{name} less" for name in names], "ratio"))
    for row in rows_of(["single_ops"]):
        if options.ops and row.name not in options.ops:
            continue
        workers = measured(row, competitors, options, "build")
        times, loops = [part_of(worker, "op") for worker in workers], [part_of(worker, "loop") for worker in workers]
        rest = less(times, loops)
        print(line_of(row.name, [*map(cell, times)], "", [*map(cell, rest)], ratio(rest)), flush=True)


def measured(row: Row, competitors: list[Competitor], options: argparse.Namespace, work: str) -> list[Worker]:
    workers = measure(row, competitors, options.rounds, options.seconds, [work])
    report_failures(row, competitors, workers)
    return workers


def times_of(workers: list[Worker]) -> Times:
    """Return microseconds per sentence."""
    return [1e6 / speed if (speed := worker.speed()) else None for worker in workers]


def part_of(worker: Worker, part: str) -> float | None:
    return statistics.median(turn["parts"][part] for turn in worker.turns) if worker.turns else None


def less(times: Times, others: Times) -> Times:
    """Return `times` minus `others`."""
    return [None if None in (time, other) else time - other for time, other in zip(times, others)]


def ratio(times: Times) -> str:
    """Return the speed of this project, the last, relative to the first."""
    *theirs, ours = times
    return f"{theirs[0] / ours:.2f}" if theirs and theirs[0] and ours else "-"


def cell(time: float | None) -> str:
    return "-" if time is None else f"{time:,.2f}"


def line_of(name: str, cells: list[str], ratio: str, others: Sequence[str] = (), other_ratio: str = "") -> str:
    columns = [*[f"{one:>12}" for one in cells], f"{ratio:>6}", *[f"{one:>17}" for one in others], f"{other_ratio:>6}"]
    return f"{name:28} " + " ".join(columns).rstrip()


if __name__ == "__main__":
    main()
