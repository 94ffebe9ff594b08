"""How near this project's training steps come to what the core allows: one core, CPU time, and prints one table.

    python benchmarks/floor.py --tasks tagger rnnlm

The floor of a step is the time that nothing of ours can save:

- `products`: the operations of all matrix products of a step, forwards and backwards, at the rate that numpy's BLAS
  reaches on large matrices;
- or `memory`, if that takes longer: weights, their gradients and Adam's averages are read and written, at the rate at
  which numpy adds arrays of that size;
- and `program`: the task's own Python, which is its program under `nothing.py`.

The rest of a step is planning, everything elementwise, reading and writing of values, and products at less than the
peak. Rows of lookup tables are not counted. Rows that read values while they build are left out. Figures are
microseconds a sentence, medians over the rounds; `times` is this project's time over the floor's.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from competitors import ONE_THREAD, OURS, READS, SEED, TASKS, Row, core, cpu_model, measure, report_failures, rows_of

READS_AND_WRITES = 11
"""A weight is read in both passes, its gradient is written; Adam reads and writes it, two averages and the gradient."""
STEPS = 16
"""Minibatches over which the operations of products are averaged."""
LARGE = 768
LEAST = 0.05  # seconds for which a rate is measured


@dataclass
class Work:
    """What a sentence needs: operations of matrix products, and bytes of weights that are read and written."""

    operations: float
    bytes: float
    weights: int


def work_of(row: Row) -> Work:
    """Plan some minibatches of a row, and count."""
    import dynet as dy

    module = importlib.import_module(f"tasks.{row.task}")
    options = next(options for name, _, options in module.ROWS if name == row.name)
    steps = module.make(dy, row.minibatch, SEED, **options)
    counts = [operations_of(steps.build()) for _ in range(STEPS)]
    weights = sum(parameter.npvalue().size for parameter in steps.parameters.parameters_list())
    size = 4.0 * READS_AND_WRITES * weights
    return Work(statistics.mean(counts) / row.minibatch, size / row.minibatch, weights)


def operations_of(loss) -> float:
    """Multiplications and additions in the matrix products of a graph, forwards and backwards."""
    from dynet_core.encode import TABLE
    from dynet_core.graph import current
    from dynet_core.plan_text import Planned
    from dynet_kernels import layout as at
    from dynet_kernels.families.products import ColumnGradient, MatrixGradient, Product
    from dynet_kernels.table import KERNELS

    products = {
        opcode
        for opcode, _, kernel in KERNELS.numbered()
        if isinstance(kernel, (Product, ColumnGradient, MatrixGradient))
    }
    planned = Planned(current())
    planned.backward_from(loss.at, 1)
    total = 0.0
    for instruction in [*planned.forward, *planned.backward]:
        if instruction[at.INSTRUCTION.opcode] in products:
            first = instruction[at.INSTRUCTION.parameters]
            rows, inner = TABLE[first : first + 2]
            total += 2.0 * rows * inner * instruction[at.INSTRUCTION.count]
    return total


def operations_a_second() -> float:
    """The rate of numpy's BLAS on large matrices."""
    import numpy as np

    a = np.ones((LARGE, LARGE), np.float32)
    out = np.empty_like(a)
    return 2.0 * LARGE**3 / seconds_of(lambda: np.dot(a, a, out=out))


def bytes_a_second(weights: int) -> float:
    """The rate at which numpy adds arrays of that many floats. There are four: weights, gradients and two averages."""
    import numpy as np

    arrays = [np.ones(max(weights, 1), np.float32) for _ in range(4)]

    def add() -> None:
        for one, other in zip(arrays, arrays[1:]):
            np.add(one, other, out=one)

    return 3 * 12.0 * arrays[0].size / seconds_of(add)


def seconds_of(call: Callable[[], object]) -> float:
    """The least time of a call."""
    call()
    least, spent = float("inf"), 0.0
    while spent < LEAST:
        start = time.process_time()
        call()
        took = time.process_time() - start
        least, spent = min(least, took or least), spent + max(took, 1e-6)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    add("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    add("--seconds", type=float, default=0.5, help="CPU time of one measurement (default: 0.5)")
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)  # before numpy is imported
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core()})
    rate = operations_a_second()
    print(f"{cpu_model()}, one core, CPU time; microseconds a sentence; products at {rate / 1e9:.0f} GFLOP/s")
    columns = ("products", "memory", "program", "floor", "here", "times")
    print(f"{'task':28} " + " ".join(f"{column:>9}" for column in columns))
    for row in rows_of(options.tasks):
        if row.name in READS:
            continue
        found = floor_of(row, options.rounds, options.seconds)
        if found:
            *times, here = found
            floor = max(times[0], times[1]) + times[2]
            cells = " ".join(f"{1e6 * cell:>9,.1f}" for cell in (*times, floor, here))
            print(f"{str(row):28} {cells} {here / floor:>9.2f}", flush=True)


def floor_of(row: Row, rounds: int, seconds: float) -> tuple[float, float, float, float] | None:
    """Seconds a sentence: products, memory, the program, and the step; None if the row cannot be measured."""
    work = work_of(row)
    rates = [(operations_a_second(), bytes_a_second(work.weights)) for _ in range(rounds)]
    program = replace(OURS, name="program", kind="nothing")
    (ours,) = measure(row, [OURS], rounds, seconds)
    (alone,) = measure(row, [program], rounds, seconds / 2, ["build"])
    report_failures(row, [OURS, program], [ours, alone])
    here, own = ours.speed(), alone.speed()
    if not here or not own:
        return None
    operations, size = (statistics.median(rate) for rate in zip(*rates))
    return work.operations / operations, work.bytes / size, 1 / own, 1 / here


if __name__ == "__main__":
    main()
