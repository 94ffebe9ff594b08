"""The gain from tuned parameters on one core, against untuned defaults, numpy's OpenBLAS and TVM's MetaSchedule.

    nox -s tuning_table                       # everything, in an environment that has what MetaSchedule needs
    python benchmarks/tuning.py --rounds 7    # everything but MetaSchedule

Each competitor is a separate process, pinned to the same core; they take turns. Each figure is the best over the
rounds, in CPU time. Products are timed as kernels, other ops as chains of ten nodes through the API. "Tuned" means the
records that the package ships.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

PRODUCTS = {"512x512x1": (512, 512, 1), "1024x256x16": (1024, 256, 16), "512x512x512": (512, 512, 512)}
SKINNY = {f"512x512x{n}": (512, 512, n) for n in (1, 2, 4, 8, 16, 32, 64)}
DEPTH = 10  # nodes of a chain
OPS = ("softmax 64x1000", "layer_norm 64x1000", "conv2d 32x32x16, 16 filters 3x3, batch 8")
BLAS = ("", "SkylakeX", "Haswell")  # OpenBLAS's kernels: its own choice, AVX-512, AVX2


@dataclass
class Competitor:
    """A process that reports how fast it is.

    Args:
        name: a column of a table.
        kind: a function in RATES.
        environment: the environment it starts with.
    """

    name: str
    kind: str
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, core: int) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **self.environment}
        environment = {name: value for name, value in environment.items() if value}
        self.log = tempfile.TemporaryFile("w+")  # MetaSchedule prints a lot
        self.process = subprocess.Popen(
            [sys.executable, __file__, "work", self.kind, str(core)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment,
        )  # fmt: skip

    def rate(self, case: str, seconds: float) -> float | None:
        """Return the work per second, the best in a turn of this many seconds; None if there is no such case."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([case, seconds]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.log.seek(0)
            raise SystemExit(f"{self.name} ended while it ran {case}:\n{self.log.read()[-4000:]}")
        return json.loads(answer)

    def stop(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()
        for file in (self.process.stdout, self.log):
            if file:
                file.close()


def best(run, seconds: float) -> float:
    """Return the least CPU time of `run(times)`, divided by `times`, over runs of a millisecond."""
    times = 1
    while (spent := clocked(run, times)) < 5e-4:
        times *= 2
    end = time.process_time() + seconds
    least = spent / times
    while time.process_time() < end:
        least = min(least, clocked(run, times) / times)
    return least


def clocked(run, times: int) -> float:
    began = time.thread_time_ns()
    run(times)
    return (time.thread_time_ns() - began) / 1e9


def kernel(case: str):
    """A product by this project's kernel, with the current parameters."""
    from dynet_kernels import tuning_records
    from dynet_kernels.target import host_cpu
    from dynet_kernels.tune import shapes, timing

    if case not in PRODUCTS | SKINNY:
        return None
    candidate = timing.CpuTimer(host_cpu(), tuning_records.for_cpu(host_cpu())).compiled(
        shapes.STUDIES["product"].kernels
    )
    rows, inner, columns = (PRODUCTS | SKINNY)[case]
    workload = shapes.product(rows, inner, columns)
    if not candidate.is_right(workload):
        raise SystemExit(f"{case} is computed wrongly")
    return lambda times: candidate.measure(workload, times), 2.0 * rows * inner * columns


def blas(case: str):
    """The same product by numpy."""
    import numpy as np

    if case not in PRODUCTS | SKINNY:
        return None
    rows, inner, columns = (PRODUCTS | SKINNY)[case]
    x, w = (np.random.default_rng(1).random(shape, np.float32) for shape in ((columns, inner), (inner, rows)))
    y = np.empty((columns, rows), np.float32)

    def run(times: int) -> None:
        for _ in range(times):
            np.matmul(x, w, out=y)

    return run, 2.0 * rows * inner * columns


def metaschedule(case: str):
    """The same product, by the best kernel that MetaSchedule finds for exactly this shape."""
    import numpy as np
    import tvm
    from tvm import te
    from tvm.s_tir import meta_schedule

    from dynet_kernels.target import host_cpu

    if case not in PRODUCTS:
        return None
    rows, inner, columns = PRODUCTS[case]
    x, w = te.placeholder((columns, inner), name="x"), te.placeholder((inner, rows), name="w")
    k = te.reduce_axis((0, inner), name="k")
    y = te.compute((columns, rows), lambda j, i: te.sum(x[j, k] * w[k, i], axis=k), name="y")
    function = te.create_prim_func([x, w, y])
    target = tvm.target.Target({**dict(host_cpu().tvm_target().attrs), "kind": "llvm", "num-cores": 1})
    trials = int(os.environ["TRIALS"])
    builder = meta_schedule.builder.LocalBuilder(max_workers=1, timeout_sec=300)  # 30 s is too short on a busy machine
    with tempfile.TemporaryDirectory() as directory:
        database = meta_schedule.tune_tir(
            function,
            target,
            directory,
            trials,
            num_trials_per_iter=min(trials, 16),
            builder=builder,
            num_tuning_cores=1,
            seed=1,
        )
        schedule = meta_schedule.tir_integration.compile_tir(database, function, target)
    compiled = tvm.compile(schedule.mod, target=target)
    rng = np.random.default_rng(1)
    values = [rng.random(shape, np.float32) for shape in ((columns, inner), (inner, rows), (columns, rows))]
    tensors = [tvm.runtime.tensor(value) for value in values]
    main = compiled["main"]
    main(*tensors)
    np.testing.assert_allclose(tensors[2].numpy(), values[0] @ values[1], rtol=1e-3)

    def run(times: int) -> None:
        for _ in range(times):
            main(*tensors)

    return run, 2.0 * rows * inner * columns


def op(case: str):
    """A forward pass of a chain of an op's nodes; also the backward pass if the name contains "and backward"."""
    import numpy as np

    import dynet as dy

    name = case.split()[0]
    if name not in ("softmax", "layer_norm", "conv2d"):
        return None
    model, rng = dy.ParameterCollection(), np.random.default_rng(1)
    if name == "conv2d":
        x = model.add_parameters(
            (32 * 32 * 16 * 8,), init=dy.NumpyInitializer(rng.random(32 * 32 * 16 * 8, np.float32))
        )
        f = model.add_parameters((3, 3, 16, 16), init=dy.NumpyInitializer(rng.random((3, 3, 16, 16), np.float32) / 144))
    else:
        x = model.add_parameters((64 * 1000,), init=dy.NumpyInitializer(rng.random(64 * 1000, np.float32)))
        g, b = (model.add_parameters((1000,), init=dy.NumpyInitializer(rng.random(1000, np.float32))) for _ in "gb")

    def chain():
        dy.renew_cg()
        y = dy.reshape(x, (32, 32, 16), 8) if name == "conv2d" else dy.reshape(x, (1000,), 64)
        for _ in range(DEPTH):
            if name == "conv2d":
                y = dy.conv2d(y, f, [1, 1], is_valid=False)
            else:
                y = dy.softmax(y) if name == "softmax" else dy.layer_norm(y, g, b)
        return y

    spent = 0.0

    def run(times: int) -> float:
        nonlocal spent
        spent = 0.0
        for _ in range(times):
            y = chain()
            loss = dy.sum_batches(dy.sum_elems(y)) if "backward" in case else y
            began = time.thread_time_ns()
            loss.forward()
            if "backward" in case:
                loss.backward()
            spent += (time.thread_time_ns() - began) / 1e9
        return spent

    run.seconds = lambda: spent  # building the graph is not timed
    return run, float(DEPTH)


RATES = {"kernel": kernel, "blas": blas, "metaschedule": metaschedule, "op": op}


def work(kind: str, core: str) -> None:
    """Run one competitor: answer each line (case, seconds) with its rate."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep a library's output out of the answers
    ready = {}
    for line in sys.stdin:
        case, seconds = json.loads(line)
        if case not in ready:
            ready[case] = RATES[kind](case)
        answer = None
        if ready[case]:
            run, amount = ready[case]
            answer = amount / (best_of_op(run, seconds) if kind == "op" else best(run, seconds))
        print(json.dumps(answer), file=answers)


def best_of_op(run, seconds: float) -> float:
    run(2)
    end, least = time.process_time() + seconds, float("inf")
    while time.process_time() < end:
        least = min(least, run(1))
    return least


def measured(competitors: list[Competitor], cases: list[str], rounds: int, seconds: float, core: int):
    """Return the best rate of each competitor, by case and name."""
    found: dict[str, dict[str, float | None]] = {case: {} for case in cases}
    for competitor in competitors:
        competitor.start(core)
    try:
        for case in cases:
            for _ in range(rounds):
                for competitor in competitors:
                    rate = competitor.rate(case, seconds)
                    if rate is not None:
                        found[case][competitor.name] = max(rate, found[case].get(competitor.name) or 0.0)
    finally:
        for competitor in competitors:
            competitor.stop()
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def gigaflops(rate: float | None) -> str:
    return "" if rate is None else f"{rate / 1e9:.1f}"


def products(chosen: argparse.Namespace, cpu: str) -> None:
    """Products, with kernels for one kind of CPU."""
    from dynet_kernels.tuning_records import SHIPPED_RECORDS

    competitors = [
        Competitor("default", "kernel", {"DYNET_CPU": cpu, "DYNET_RECORDS": "off"}),
        Competitor("tuned", "kernel", {"DYNET_CPU": cpu, "DYNET_RECORDS": str(SHIPPED_RECORDS)}),
    ]
    cores = BLAS if cpu != "avx2" else ("Haswell",)
    competitors += [Competitor(f"OpenBLAS {core}".strip(), "blas", {"OPENBLAS_CORETYPE": core}) for core in cores]
    if chosen.trials:
        competitors.append(Competitor("MetaSchedule", "metaschedule", {"DYNET_CPU": cpu, "TRIALS": str(chosen.trials)}))
    found = measured(competitors, list(PRODUCTS | SKINNY), chosen.rounds, chosen.seconds, chosen.core)
    rows = []
    for case, rates in found.items():
        blas_rate = max(rate or 0.0 for name, rate in rates.items() if name.startswith("OpenBLAS"))
        meta, tuned, default = rates.get("MetaSchedule"), rates["tuned"], rates["default"]
        assert tuned and default
        rows.append(
            [case, gigaflops(default), gigaflops(tuned), gigaflops(blas_rate), gigaflops(meta)]
            + [f"{tuned / default:.2f}", f"{tuned / blas_rate:.2f}", f"{tuned / meta:.2f}" if meta else ""]
        )
    head = ["W x, GFLOP/s", "default", "tuned", "OpenBLAS", "MetaSchedule", "tuned/default", "tuned/OpenBLAS"]
    print(f"\n{cpu or 'native'}:\n\n{table([*head, 'tuned/MetaSchedule'], rows)}", flush=True)


def ops(chosen: argparse.Namespace) -> None:
    """Other ops, on this CPU."""
    from dynet_kernels.tuning_records import SHIPPED_RECORDS

    competitors = [
        Competitor("default", "op", {"DYNET_RECORDS": "off"}),
        Competitor("tuned", "op", {"DYNET_RECORDS": str(SHIPPED_RECORDS)}),
    ]
    cases = [case + more for case in OPS for more in ("", " and backward")]
    found = measured(competitors, cases, chosen.rounds, chosen.seconds * 2, chosen.core)
    rows = [
        [
            case,
            f"{1e6 / rates['default']:.1f}",
            f"{1e6 / rates['tuned']:.1f}",
            f"{rates['tuned'] / rates['default']:.2f}",
        ]
        for case, rates in found.items()
    ]
    print(f"\n{table(['op, microseconds a node', 'default', 'tuned', 'ratio'], rows)}", flush=True)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--trials", type=int, default=0, help="of MetaSchedule; 0 leaves it out")
    parser.add_argument("--cpus", nargs="*", default=["", "avx2"], help="kinds of CPU for products, '' for this one")
    parser.add_argument("--no-ops", action="store_true", help="products alone")
    parser.add_argument(
        "--core", type=int, default=max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    )
    chosen = parser.parse_args(given)
    for cpu in chosen.cpus:
        products(chosen, cpu)
    if not chosen.no_ops:
        ops(chosen)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    else:
        main()
