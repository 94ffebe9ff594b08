"""Compares training steps with the least time that one core needs for their operations, and prints one table.

    python benchmarks/floor.py --tasks tagger rnnlm

The floor of a step is the time that no optimization of this library can save: `program` plus the larger of `products`
and `memory`.

- `products`: the operations of all matrix products of a step, forward and backward, at the rate that numpy's BLAS
  reaches on large matrices.
- `memory`: reading and writing weights, their gradients and Adam's averages, at the rate at which numpy adds arrays of
  that size.
- `program`: the task's own Python code, timed by running it under `nothing.py`.

`BLAS` is the time that numpy's BLAS takes for the products themselves: each product that this project computes, at its
sizes, from contiguous arrays that have just been used. `times BLAS` is like `times`, with `BLAS` in place of
`products`.

The rest of a step is planning, elementwise work, reading and writing of values, and products below the peak rate. Rows
of lookup tables are not counted. Rows that read values while they build are left out. Figures are microseconds per
sentence, medians over the rounds; `times` is this project's time divided by the floor.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from competitors import ONE_THREAD, OURS, READS, SEED, TASKS, Row, core, cpu_model, measure, report_failures, rows_of

READS_AND_WRITES = 11
"""Both passes read a weight, one writes its gradient. Adam reads and writes the weight, gradient and two averages."""
STEPS = 16
"""The number of minibatches over which the operations of products are averaged."""
LARGE = 768
LEAST = 0.05  # seconds over which a rate is measured
TRIES = 5  # how often BLAS computes each product; the least time is used


Sizes = tuple[str, int, int, int]
"""A matrix product: "y", "dx" or "dW", the rows and columns of W, and the number of columns of x."""


@dataclass
class Work:
    """The work per sentence: how many matrix products of each size, and bytes of weights that are read and written."""

    products: dict[Sizes, float]
    bytes: float
    weights: int

    @property
    def operations(self) -> float:
        """Return the number of multiplications and additions in all products."""
        return sum(2.0 * rows * inner * columns * many for (_, rows, inner, columns), many in self.products.items())


def work_of(row: Row) -> Work:
    """Plan some minibatches of a row, and count their work."""
    import dynet as dy

    module = importlib.import_module(f"tasks.{row.task}")
    options = next(options for name, _, options in module.ROWS if name == row.name)
    steps = module.make(dy, row.minibatch, SEED, **options)
    found: Counter[Sizes] = Counter()
    for _ in range(STEPS):
        found.update(products_of(steps.build()))
    parameters = steps.parameters.parameters_list() if steps.parameters else []
    weights = sum(parameter.npvalue().size for parameter in parameters)
    size = 4.0 * READS_AND_WRITES * weights
    return Work({sizes: many / STEPS / row.minibatch for sizes, many in found.items()}, size / row.minibatch, weights)


def products_of(loss) -> Counter[Sizes]:
    """Count the matrix products of a graph by size, forward and backward."""
    from dynet_core.graph import current
    from dynet_core.pictures import ShownPlan
    from dynet_kernels import layout as at
    from dynet_kernels.encode import TABLE
    from dynet_kernels.families.products import ColumnGradient, MatrixGradient, Product
    from dynet_kernels.table import KERNELS

    kinds = {Product: "y", ColumnGradient: "dx", MatrixGradient: "dW"}
    products = {opcode: kinds[type(kernel)] for opcode, _, kernel in KERNELS.with_opcodes() if type(kernel) in kinds}
    planned = ShownPlan(current())
    instructions = planned.tape
    planned.plan_pass("backward", loss.at)
    found: Counter[Sizes] = Counter()
    for instruction in [*instructions, *planned.tape]:
        if kind := products.get(instruction[at.INSTRUCTION.opcode]):
            first = instruction[at.INSTRUCTION.parameters]
            rows, inner = TABLE.integers[first : first + 2]
            found[kind, int(rows), int(inner), int(instruction[at.INSTRUCTION.count])] += 1
    return found


def blas_seconds(products: dict[Sizes, float]) -> float:
    """Return the time that numpy's BLAS takes for these products, including numpy's call overhead."""
    import numpy as np

    def seconds(kind: str, rows: int, inner: int, columns: int) -> float:
        # Matrices here are stored column by column, so these C-order arrays are their transposes.
        W, x, y = (np.ones(shape, np.float32) for shape in ((inner, rows), (columns, inner), (columns, rows)))
        pairs = {"y": (x, W, y), "dx": (y, W.T, x), "dW": (x.T, y, W)}
        first, second, out = pairs[kind]
        np.dot(first, second, out=out)
        least = float("inf")
        for _ in range(TRIES):
            start = time.process_time()
            np.dot(first, second, out=out)
            least = min(least, time.process_time() - start)
        return least

    return sum(many * seconds(*sizes) for sizes, many in products.items())


def operations_a_second() -> float:
    """Return the rate of numpy's BLAS on large matrices."""
    import numpy as np

    a = np.ones((LARGE, LARGE), np.float32)
    out = np.empty_like(a)
    return 2.0 * LARGE**3 / seconds_of(lambda: np.dot(a, a, out=out))


def bytes_a_second(weights: int) -> float:
    """Return the rate at which numpy adds four arrays of this many floats: weights, gradients and two averages."""
    import numpy as np

    arrays = [np.ones(max(weights, 1), np.float32) for _ in range(4)]

    def add() -> None:
        for one, other in zip(arrays, arrays[1:]):
            np.add(one, other, out=one)

    return 3 * 12.0 * arrays[0].size / seconds_of(add)


def seconds_of(call: Callable[[], object]) -> float:
    """Return the least time of a call."""
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
    columns = ("products", "BLAS", "memory", "program", "floor", "here", "times", "times BLAS")
    print(f"{'task':28} " + " ".join(f"{column:>10}" for column in columns))
    for row in rows_of(options.tasks):
        if row.name in READS:
            continue
        found = floor_of(row, options.rounds, options.seconds)
        if found:
            products, blas, memory, program, here = found
            floor, by_blas = (max(each, memory) + program for each in (products, blas))
            cells = " ".join(f"{1e6 * cell:>10,.1f}" for cell in (products, blas, memory, program, floor, here))
            print(f"{str(row):28} {cells} {here / floor:>10.2f} {here / by_blas:>10.2f}", flush=True)


def floor_of(row: Row, rounds: int, seconds: float) -> tuple[float, ...] | None:
    """Return seconds per sentence: products, products by BLAS, memory, the program, and the step.

    Return None if the row cannot be measured.
    """
    work = work_of(row)
    rates = [
        (
            work.operations / operations_a_second(),
            blas_seconds(work.products),
            work.bytes / bytes_a_second(work.weights),
        )
        for _ in range(rounds)
    ]
    program = replace(OURS, name="program", kind="nothing")
    (ours,) = measure(row, [OURS], rounds, seconds)
    (alone,) = measure(row, [program], rounds, seconds / 2, ["build"])
    report_failures(row, [OURS, program], [ours, alone])
    here, own = ours.speed(), alone.speed()
    if not here or not own:
        return None
    return *(statistics.median(times) for times in zip(*rates)), 1 / own, 1 / here


if __name__ == "__main__":
    main()
