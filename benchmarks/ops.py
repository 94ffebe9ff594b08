"""Times ops one by one under real DyNet and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/ops.py --ops tanh conv2d --rounds 3

A graph holds 200 nodes of the op on 20 sets of operands, summed to one loss. Forward and backward are timed, building
is not. A cell is DyNet's time, with the faster setting of autobatch, divided by this project's. Ops below their target
ratio (1, or 1.5 for products, softmaxes and convolutions) are listed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import competitors as benchmark

NODES, SETS = 200, 20
SIZES, BATCHES = (16, 256, 4096), (1, 32)
Dims = tuple[int, ...]


def vector(n: int) -> Dims:
    return (n,)


def square(n: int) -> Dims:
    return (math.isqrt(n), math.isqrt(n))


def side(n: int) -> Dims:
    """The dims of a vector that fits a square matrix of n values."""
    return (math.isqrt(n),)


def number(n: int) -> Dims:
    return (1,)


def cube(n: int) -> Dims:
    """Image dims, with depth 1, 4 or 16."""
    depth = {16: 1, 256: 4, 4096: 16}[n]
    return (math.isqrt(n // depth), math.isqrt(n // depth), depth)


def filters(n: int) -> Dims:
    depth = cube(n)[2]
    return (3, 3, depth, depth)


def narrow(n: int) -> Dims:
    return (math.isqrt(n), 3)


def depth(n: int) -> Dims:
    return (cube(n)[2],)


def height(n: int) -> Dims:
    return cube(n)[:1]


def plane(n: int) -> Dims:
    return cube(n)[:2]


def quarter(n: int) -> Dims:
    """The dims of an LSTM state whose gates have n values."""
    return (n // 4,)


def half_side(n: int) -> Dims:
    return (math.isqrt(n) // 2,)


def gates(n: int) -> Dims:
    return (4 * math.isqrt(n),)


def gate_weights(n: int) -> Dims:
    return (4 * math.isqrt(n), math.isqrt(n))


@dataclass(frozen=True)
class Case:
    """One op: how to call it, the shapes of its operands by the number of elements, and its target ratio.

    `single` operands have no batch, like weights.
    """

    call: Callable
    operands: tuple[Callable[[int], Dims], ...] = (vector,)
    low: float = 0.2
    high: float = 0.9
    wanted: float = 1.0
    single: tuple[int, ...] = ()


def named(name: str, *arguments) -> Callable:
    return lambda dy, *xs: getattr(dy, name)(*xs, *arguments)


def listed(name: str) -> Callable:
    return lambda dy, *xs: getattr(dy, name)(list(xs))


def by_batch(name: str) -> Callable:
    """Call the op with an index for each batch element."""
    return lambda dy, x: getattr(dy, name)(x, [1] * x.dim()[1])


def plus(name: str, *arguments) -> Callable:
    """x plus the result of an op that has no operands, in x's shape."""
    return lambda dy, x: x + getattr(dy, name)(x.dim()[0], *arguments, batch_size=x.dim()[1])


CASES: dict[str, Case] = {
    name: Case(named(name))
    for name in (
        "tanh exp log sqrt square cube abs erf lgamma logistic rectify softsign sin cos tan asin acos atan sinh cosh "
        "asinh atanh elu selu silu log_sigmoid floor ceil round sum_elems squared_norm l2_norm mean_elems std_elems "
        "nobackprop flip_gradient sum_batches mean_batches std_batches cumsum max_dim min_dim"
    ).split()
}
CASES |= {name: Case(named(name), (vector, vector)) for name in ("cmult", "cdiv", "bmin", "bmax", "binary_log_loss")}
CASES |= {
    name: Case(named(name), (vector, vector))
    for name in ("dot_product", "squared_distance", "l1_distance", "huber_distance", "pairwise_rank_loss")
}
CASES |= {name: Case(listed(name), (vector, vector, vector)) for name in ("esum", "average", "emax", "logsumexp")}
CASES |= {
    name: Case(listed(name), (vector, vector)) for name in ("concatenate", "concatenate_cols", "concatenate_to_batch")
}
CASES |= {
    f"x + {name}": Case(plus(name, *arguments))
    for name, *arguments in (
        ("constant", 0.5), ("ones",), ("random_normal",), ("random_uniform", 0.0, 1.0), ("random_bernoulli", 0.5),
        ("random_gumbel",),
    )
}  # fmt: skip
CASES |= {
    "acosh": Case(named("acosh"), low=1.1, high=2.0),
    "+": Case(lambda dy, x, y: x + y, (vector, vector)),
    "-": Case(lambda dy, x, y: x - y, (vector, vector)),
    "negative": Case(lambda dy, x: -x),
    "x + number": Case(lambda dy, x: x + 1.5),
    "x * number": Case(lambda dy, x: x * 1.5),
    "pow": Case(named("pow"), (vector, number), single=(1,)),
    "colwise_add": Case(named("colwise_add"), (square, side), single=(1,)),
    "scale_gradient": Case(named("scale_gradient", 2.0)),
    "transpose": Case(named("transpose"), (square,)),
    "reshape": Case(lambda dy, x: dy.reshape(x, (2, x.dim()[0][0] // 2), x.dim()[1])),
    "pick": Case(named("pick", 1)),
    "pick_batch": Case(by_batch("pick_batch")),
    "pick_batch_elem": Case(named("pick_batch_elem", 0)),
    "pick_batch_elems": Case(lambda dy, x: dy.pick_batch_elems(x, range(0, x.dim()[1], 2))),
    "pickrange": Case(named("pick_range", 2, 12)),
    "select_rows": Case(named("select_rows", [1, 3]), (square,)),
    "select_cols": Case(named("select_cols", [1, 3]), (square,)),
    "strided_select": Case(named("strided_select", [2], [0], [16])),
    "sum_dim": Case(named("sum_dim", [1]), (square,)),
    "mean_dim": Case(named("mean_dim", [1], False), (square,)),
    "std_dim": Case(named("std_dim", [1], False), (square,)),
    "moment_elems": Case(named("moment_elems", 3)),
    "moment_dim": Case(named("moment_dim", [1], 3, False), (square,)),
    "moment_batches": Case(named("moment_batches", 3)),
    "logsumexp_dim": Case(named("logsumexp_dim", 0), (square,), wanted=1.5),
    "fold_rows": Case(named("fold_rows", 2), (square,)),
    "kmh_ngram": Case(named("kmh_ngram", 2), (square,)),
    "softmax": Case(named("softmax"), wanted=1.5),
    "softmax of a matrix": Case(named("softmax"), (square,), wanted=1.5),
    "log_softmax": Case(named("log_softmax"), wanted=1.5),
    "pickneglogsoftmax": Case(named("pickneglogsoftmax", 1), wanted=1.5),
    "pickneglogsoftmax_batch": Case(by_batch("pickneglogsoftmax_batch"), wanted=1.5),
    "constrained_softmax": Case(named("constrained_softmax"), (vector, vector), wanted=1.5),
    "sparsemax": Case(named("sparsemax")),
    "argmax": Case(named("argmax", "straight_through_gradient")),
    "hinge": Case(named("hinge", 1)),
    "hinge_batch": Case(by_batch("hinge_batch")),
    "hinge_dim": Case(lambda dy, x: dy.hinge_dim(x, [1] * x.dim()[0][1]), (square,)),
    "poisson_loss": Case(named("poisson_loss", 3), (number,)),
    "dropout": Case(named("dropout", 0.5)),
    "block_dropout": Case(named("block_dropout", 0.5)),
    "dropout_dim": Case(named("dropout_dim", 1, 0.5), (square,)),
    "dropout_batch": Case(named("dropout_batch", 0.5)),
    "noise": Case(named("noise", 0.1)),
    "layer_norm": Case(named("layer_norm"), (vector, vector, vector), single=(1, 2)),
    "weight_norm": Case(named("weight_norm"), (vector, number), single=(0, 1)),
    "circ_conv": Case(named("circ_conv"), (side, side)),
    "circ_corr": Case(named("circ_corr"), (side, side)),
    "W * x": Case(lambda dy, W, x: W * x, (square, side), wanted=1.5, single=(0,)),
    "W * X": Case(lambda dy, W, X: W * X, (square, square), wanted=1.5, single=(0,)),
    "affine_transform": Case(listed("affine_transform"), (side, square, side), wanted=1.5, single=(0, 1)),
    "contract3d_1d": Case(named("contract3d_1d"), (cube, depth), wanted=1.5, single=(0,)),
    "contract3d_1d_bias": Case(named("contract3d_1d_bias"), (cube, depth, plane), wanted=1.5, single=(0, 2)),
    "contract3d_1d_1d": Case(named("contract3d_1d_1d"), (cube, depth, height), wanted=1.5, single=(0, 1, 2)),
    "contract3d_1d_1d_bias": Case(
        named("contract3d_1d_1d_bias"), (cube, depth, height, height), wanted=1.5, single=(0, 1, 2, 3)
    ),
    "vanilla_lstm_gates": Case(
        named("vanilla_lstm_gates"), (side, side, gate_weights, gate_weights, gates), wanted=1.5, single=(2, 3, 4)
    ),
    "vanilla_lstm_gates_concat": Case(
        lambda dy, x, y, *others: dy.vanilla_lstm_gates_concat([x, y], *others),
        (half_side, half_side, side, gate_weights, gate_weights, gates),
        wanted=1.5,
        single=(3, 4, 5),
    ),
    "vanilla_lstm_c": Case(named("vanilla_lstm_c"), (quarter, vector)),
    "vanilla_lstm_h": Case(named("vanilla_lstm_h"), (quarter, vector)),
    "inverse": Case(lambda dy, x: dy.inverse(x), (square,), single=(0,)),
    "logdet": Case(lambda dy, x: dy.logdet(x), (square,), single=(0,)),
    "trace_of_product": Case(named("trace_of_product"), (square, square), single=(0, 1)),
    "conv2d": Case(named("conv2d", [1, 1], True), (cube, filters), wanted=1.5, single=(1,)),
    "conv2d same": Case(named("conv2d", [1, 1], False), (cube, filters), wanted=1.5, single=(1,)),
    "conv2d_bias": Case(named("conv2d_bias", [1, 1], True), (cube, filters, depth), wanted=1.5, single=(1, 2)),
    "maxpooling2d": Case(named("maxpooling2d", [2, 2], [2, 2]), (cube,)),
    "filter1d_narrow": Case(named("filter1d_narrow"), (square, narrow), wanted=1.5, single=(1,)),
    "kmax_pooling": Case(named("kmax_pooling", 2), (square,)),
}  # fmt: skip


class Graph:
    """Builds and times graphs of one case."""

    def __init__(self, dy, case: Case, size: int, batch: int):
        import numpy as np

        self.dy, self.case = dy, case
        self.model = dy.ParameterCollection()
        rng = random.Random(1)
        self.sets = []
        for _ in range(SETS):
            row = []
            for place, shape in enumerate(case.operands):
                dims = shape(size)
                copies = 1 if place in case.single else batch
                values = [rng.uniform(case.low, case.high) for _ in range(math.prod(dims) * copies)]
                if dims == square(size) and case.single == (0,):  # keep it far from singular
                    for k in range(dims[0]):
                        values[k * (dims[0] + 1)] += dims[0]
                array = np.array(values, np.float32).reshape(dims if copies == 1 else (-1,), order="F")
                parameter = self.model.add_parameters(array.shape, init=dy.NumpyInitializer(array))
                row.append((parameter, dims, copies))
            self.sets.append(row)

    def loss(self):
        dy = self.dy
        dy.renew_cg()
        sets = [[p if copies == 1 else dy.reshape(p, dims, copies) for p, dims, copies in row] for row in self.sets]
        results = [self.case.call(dy, *sets[node % SETS]) for node in range(NODES)]
        return dy.sum_batches(dy.sum_elems(dy.esum(results)))

    def batch(self) -> int:
        """The batch size of a result: for some ops, DyNet computes only the first element."""
        self.dy.renew_cg()
        operands = [p if copies == 1 else self.dy.reshape(p, dims, copies) for p, dims, copies in self.sets[0]]
        return self.case.call(self.dy, *operands).dim()[1]

    def seconds(self, budget: float) -> float:
        """Return the mean time of forward and backward."""
        spent, count, clock = 0, 0, time.thread_time_ns
        end = time.process_time() + budget
        while count < 4 or time.process_time() < end:
            loss = self.loss()
            start = clock()
            loss.forward()
            loss.backward()
            spent += clock() - start
            count += 1
        return spent / count / 1e9


def work(core: str) -> None:
    """Answer each line (case, size, batch, seconds) with the mean time and the result's batch size, or the error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    import dynet

    graphs = {}
    for line in sys.stdin:
        name, size, batch, seconds = json.loads(line)
        try:
            if (name, size, batch) not in graphs:
                graphs = {(name, size, batch): Graph(dynet, CASES[name], size, batch)}
            graph = graphs[name, size, batch]
            answer = [graph.seconds(seconds), graph.batch()]
        except Exception as error:  # not every library supports every call
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers)


class Worker:
    """A competitor's process. If it dies, it is restarted for the next row."""

    def __init__(self, command: list[str], flags: list[str], core: int):
        self.command = [*command, __file__, "work", str(core), *flags]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **benchmark.ONE_THREAD},
        )  # fmt: skip

    def turn(self, *request) -> list | str:
        with contextlib.suppress(BrokenPipeError):  # it died after its last answer, so there is no line to read
            print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.start()
        return f"the process ended with {code}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(CASES)
    parser.add_argument("--ops", nargs="+", choices=names, default=names, metavar="OP", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="CPU time of one turn, of at least 4 graphs (default: 0.1)"
    )
    options = parser.parse_args()
    reference = os.environ.get("DYNET_REFERENCE_PYTHON")
    if not reference:
        sys.exit("DYNET_REFERENCE_PYTHON is not set: there is nothing to compare with")
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    memory = ["--dynet-mem", benchmark.REFERENCE_MEMORY]
    workers = [
        Worker([reference, "-E"], memory, core),
        Worker([reference, "-E"], [*memory, "--dynet-autobatch", "1"], core),
        Worker([sys.executable], [], core),
    ]
    columns = [(size, batch) for size in SIZES for batch in BATCHES]
    print(f"{benchmark.cpu_model()}, one core, CPU time; DyNet's best time over this project's")
    print(f"{'elements x batch':24}" + "".join(f"{f'{size}x{batch}':>10}" for size, batch in columns))
    short: list[str] = []
    for name in options.ops:
        cells = []
        for size, batch in columns:
            turns = [[w.turn(name, size, batch, options.seconds) for w in workers] for _ in range(options.rounds + 1)]
            cell, problem = verdict(turns[1:], CASES[name].wanted)
            cells.append(cell)
            if problem:
                short.append(f"{name} {size}x{batch}: {problem}")
        print(f"{name:24}" + "".join(f"{cell:>10}" for cell in cells), flush=True)
    print("\n".join(["", f"{len(short)} fall short:", *short]) if short else "\nnone falls short")


def verdict(turns: list[list], wanted: float) -> tuple[str, str]:
    """Return the ratio as text, and any problem with it, from each competitor's answers."""
    *theirs, ours = [
        next((answer for answer in answers if isinstance(answer, str)), None)
        or (statistics.median(time for time, _ in answers), answers[0][1])
        for answers in zip(*turns)
    ]
    if isinstance(ours, str):
        return "fails", ours
    able = [found[0] for found in theirs if not isinstance(found, str) and found[1] == ours[1]]
    if not able:
        return "alone", ""
    ratio = min(able) / ours[0]
    return f"{ratio:.2f}", f"{ratio:.2f}, wanted {wanted:g}" if ratio < wanted else ""


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1:2] == ["work"] else main()
