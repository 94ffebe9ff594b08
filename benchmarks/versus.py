"""Times this source tree against an older one, one core, CPU time, and prints the ratios of their speeds.

    python benchmarks/versus.py /path/to/old/tree xor "tagger at 1" --rounds 15

Rows are all rows of a task in `tasks/`, or single ones by name and minibatch; both trees run this tree's programs. A
pair is two new processes, because speed varies by some percent from process to process. They take turns with the same
minibatches, and alternate in going first. The pair's ratio, new speed over old, is the median over its turns. Each
figure is the median over the pairs, with its 95 % interval (by order statistics, which assume nothing about the noise).
Rows whose interval is wider than 0.06 of the median get more pairs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from competitors import TASKS, Competitor, Row, at_work, cpu_model, report_failures, rows_of, take_turns

NEW = Path(__file__).resolve().parents[1]
ROW_TASKS = (*TASKS, "small_graphs")
WIDTH = 0.06
DOUBT = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("old", type=Path, help="the root of the other source tree")
    add("rows", nargs="*", default=ROW_TASKS, metavar="ROW", help=f"{', '.join(ROW_TASKS)}, or one row's name")
    add("--rounds", type=int, default=15, help="pairs of processes at least (default: 15)")
    add("--most", type=int, default=60, help="pairs at most, where an interval is wide (default: 60)")
    add("--turns", type=int, default=5, help="turns of each process (default: 5)")
    add("--seconds", type=float, default=0.1, help="CPU time of a turn, about (default: 0.1)")
    add("--work", choices=("train", "infer", "build"), default="train")
    options = parser.parse_args()
    if not any(options.old.glob("packages/*/src")):
        parser.error(f"{options.old} has no packages/*/src")
    rows, unknown = chosen(options.rows)
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    competitors = [of_tree("old", options.old.resolve()), of_tree("new", NEW)]
    print(f"{cpu_model()}, one core, CPU time; {options.work}; new speed over old")
    print(f"{'row':30}{'ratio':>8}   {'95 % interval':18}{'pairs':>6}")
    for row in rows:
        pairs = ratios(row, competitors, options)
        if pairs:
            low, high = interval(pairs)
            figures = f"{statistics.median(pairs):>8.3f}   {f'{low:.3f} to {high:.3f}':18}{len(pairs):>6}"
            print(f"{str(row):30}{figures}", flush=True)


def chosen(names: Iterable[str]) -> tuple[list[Row], list[str]]:
    """Return the rows with these task or row names, and the names that match nothing."""
    every = rows_of(ROW_TASKS)
    rows = [row for name in names for row in every if name in (row.task, str(row))]
    return rows, [name for name in names if not any(name in (row.task, str(row)) for row in every)]


def of_tree(name: str, root: Path) -> Competitor:
    sources = ":".join(str(source) for source in sorted(root.glob("packages/*/src")))
    return Competitor(name, ["env", f"PYTHONPATH={sources}", sys.executable])


def ratios(row: Row, competitors: list[Competitor], options: argparse.Namespace) -> list[float]:
    """Return the ratios of as many pairs as needed, or of fewer if one fails."""
    pairs: list[float] = []
    while len(pairs) < options.rounds or (
        len(pairs) < options.most and width(pairs) > WIDTH * statistics.median(pairs)
    ):
        ratio = ratio_of_pair(row, competitors, options)
        if ratio is None:
            break
        pairs.append(ratio)
    return pairs


def ratio_of_pair(row: Row, competitors: list[Competitor], options: argparse.Namespace) -> float | None:
    with at_work(row, competitors, [options.work]) as workers:
        old, new = workers
        # Both run the same minibatches: as many steps as the old tree does in this time. This turn is not counted.
        tried = old.turn(seconds=options.seconds)
        if tried:
            steps = tried["sentences"] // row.minibatch
            new.turn(steps=steps)
            for number in range(options.turns):
                take_turns((new, old) if number % 2 else (old, new), steps=steps)
    if old.failure or new.failure:
        report_failures(row, competitors, workers)
        return None
    return statistics.median(a["seconds"] / b["seconds"] for a, b in zip(old.turns, new.turns))


def interval(values: list[float]) -> tuple[float, float]:
    """Return two values, equally far from the ends, between which the median lies with a probability of at least 95 %.

    The probability that fewer than k of n values lie below the median equals that of fewer than k heads in n coin
    tosses. Five or fewer values give no bounds.
    """
    ordered, below = sorted(values), 0.0
    for k in range(len(ordered) // 2 + 1):
        below += math.comb(len(ordered), k) / 2 ** len(ordered)
        if below > DOUBT / 2:
            return (ordered[k - 1], ordered[-k]) if k else (0.0, math.inf)
    return 0.0, math.inf


def width(values: list[float]) -> float:
    low, high = interval(values)
    return high - low


if __name__ == "__main__":
    main()
