"""Runs everything that needs a GPU: compares it with the CPU, times kernels against their floor, and trains on both.

    python benchmarks/gpu.py                 # all of it, on GPU 0
    python benchmarks/gpu.py --only checks
    python tests/cuda/emulation benchmarks/gpu.py --only checks    # without a GPU, by emulation

Prints tables with the card's name and the date, and fails if GPU results differ from the CPU's. A kernel's floor is the
time to move its bytes at the measured bandwidth, or to do its operations at the measured rate of fused multiply-adds,
whichever is longer. If torch is installed, the same work is timed with torch on the same card.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import dynet as dy
import gpu_checks
import gpu_torch
from dynet_core.compute import device
from dynet_kernels.cuda import compiler, driver

SECONDS = 0.2  # how long one timing repeats its work
CHAINS, ROUNDS = 8, 4096  # multiply-adds in each thread that measures their rate
PEAK = """
extern "C" __global__ void __launch_bounds__(256) peak(float* memory, float factor) {
  float x[%d];
  for (int k = 0; k < %d; k++) x[k] = (float)(threadIdx.x + k);
  for (int round = 0; round < %d; round++)
    #pragma unroll
    for (int k = 0; k < %d; k++) x[k] = x[k] * factor + 1.0f;
  float total = 0.0f;
  for (int k = 0; k < %d; k++) total += x[k];
  memory[blockIdx.x * 256 + threadIdx.x] = total;
}
"""


def seconds_of(gpu: driver.Gpu, work: Callable[[], None]) -> float:
    """Return how long some work takes on the GPU: the mean of many repetitions after an uncounted first one."""
    watch = driver.Stopwatch(gpu)
    work()
    gpu.synchronize()
    repeat = 1
    while True:
        watch.start()
        for _ in range(repeat):
            work()
        seconds = watch.stop()
        if seconds > SECONDS:
            watch.close()
            return seconds / repeat
        repeat = max(2 * repeat, int(repeat * SECONDS / max(seconds, 1e-6)))


def bandwidth(gpu: driver.Gpu, size: int) -> float:
    """Return the bytes per second, read and written together, of a copy within the GPU."""
    source, target = gpu.allocate(size), gpu.allocate(size)
    seconds = seconds_of(gpu, lambda: driver.call("cuMemcpyDtoD_v2", target, source, size))
    gpu.free(source)
    gpu.free(target)
    return 2 * size / seconds


def flops(gpu: driver.Gpu, blocks: int) -> float:
    """Return the rate of float32 multiply-adds in registers, in operations per second."""
    function = gpu.load(compiler.compile(PEAK % (CHAINS, CHAINS, ROUNDS, CHAINS, CHAINS), gpu.arch)).handle_of("peak")
    memory = ctypes.c_uint64(gpu.allocate(4 * 256 * blocks))
    factor = ctypes.c_float(0.5)
    arguments = (ctypes.c_void_p * 2)(ctypes.addressof(memory), ctypes.addressof(factor))
    launch = driver._library().cuLaunchKernel
    launch.argtypes = [ctypes.c_void_p, *[ctypes.c_uint] * 7, *[ctypes.c_void_p] * 3]

    def work() -> None:
        if status := launch(function, blocks, 1, 1, 256, 1, 1, 0, None, arguments, None):
            raise driver.CudaError(driver.explain(status))

    seconds = seconds_of(gpu, work)
    gpu.free(memory.value)
    return 2 * 256 * blocks * CHAINS * ROUNDS / seconds


@dataclass
class Case:
    """A graph to time: its name, a function that records it, and the floats and operations of its forward pass."""

    name: str
    record: Callable[[], dy.Expression]
    floats: int
    operations: int
    torch: Callable | None = None  # given the module torch, returns the same work as a function


def cases(n: int) -> Iterator[Case]:
    """Yield kernels of each family, on n x n matrices."""
    model = dy.ParameterCollection()
    a, b = (model.add_parameters((n, n)) for _ in range(2))
    table = model.add_lookup_parameters((n, n))
    tables = np.random.default_rng(1).integers(0, n, n).tolist()

    def pair(torch):
        return torch.randn(n, n, device="cuda"), torch.randn(n, n, device="cuda")

    def timed(function):
        def made(torch):
            x, y = pair(torch)
            return lambda: function(torch, x, y)

        return made

    yield Case("tanh", lambda: dy.tanh(a), 2 * n * n, 0, timed(lambda t, x, y: t.tanh(x)))
    yield Case("x + y", lambda: a + b, 3 * n * n, 0, timed(lambda t, x, y: x + y))
    yield Case("cmult", lambda: dy.cmult(a, b), 3 * n * n, 0, timed(lambda t, x, y: x * y))
    yield Case("softmax", lambda: dy.softmax(a), 2 * n * n, 0, timed(lambda t, x, y: t.softmax(x, 0)))
    yield Case("sum_elems", lambda: dy.sum_elems(a), n * n, 0, timed(lambda t, x, y: x.sum()))
    yield Case("transpose", lambda: dy.transpose(a), 2 * n * n, 0, timed(lambda t, x, y: x.t().contiguous()))
    yield Case("lookup_batch", lambda: table.batch(tables), 2 * n * n, 0, timed(lambda t, x, y: x[tables]))
    yield Case("W * X", lambda: a * b, 3 * n * n, 2 * n**3, timed(lambda t, x, y: x @ y))
    yield Case("W * x", lambda: a * dy.pick(b, 0), n * n, 2 * n * n, timed(lambda t, x, y: x @ y[0]))


def time_kernels(number: int, n: int, tf32: bool) -> None:
    """Print how close kernels come to their floor."""
    with device.using(number, tf32):
        gpu = device.gpu_in_use()
        assert gpu is not None
        bytes_a_second, rate = bandwidth(gpu, 64 * n * n), flops(gpu, 4096 if n > 256 else 4)
        print(f"\nbandwidth {bytes_a_second / 1e9:,.0f} GB/s, {rate / 1e9:,.0f} GFLOP/s; matrices of {n} x {n}\n")
        print("| graph | pass | microseconds | floor | torch |\n|---|---|---|---|---|")
        for case in cases(n):
            dy.renew_cg()
            result = case.record()
            result.forward()
            graph = dy.cg()
            engine = graph.engine
            floor = max(4 * case.floats / bytes_a_second, case.operations / rate)
            forward = seconds_of(gpu, lambda engine=engine: engine.machine.run(engine.context_address))
            theirs = torch_time(case, gpu, tf32)
            print(f"| {case.name} | forward | {forward * 1e6:,.1f} | {floor * 1e6:,.1f} | {theirs} |")
            if case.name != "sum_elems":
                result = dy.sum_elems(result) if result.dim()[1] == 1 else dy.sum_batches(dy.sum_elems(result))
            result.backward()
            backward = seconds_of(gpu, lambda engine=engine: engine.machine.run(engine.context_address))
            print(f"| {case.name} | backward | {backward * 1e6:,.1f} | | |")


def torch_time(case: Case, gpu: driver.Gpu, tf32: bool) -> str:
    """Return torch's time on the same card, in microseconds; empty without torch."""
    try:
        import torch
    except ImportError:
        return ""
    if case.torch is None or not torch.cuda.is_available():
        return ""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    return f"{seconds_of(gpu, case.torch(torch)) * 1e6:,.1f}"


def torch_speed(name: str, minibatch: int, steps: int, number: int) -> str:
    """Return torch's training steps per second on the same card; empty without torch or its version of the task."""
    try:
        import torch
    except ImportError:
        return ""
    if name not in gpu_torch.TASKS or not torch.cuda.is_available():
        return ""
    step = gpu_torch.TASKS[name](torch, minibatch, 1, f"cuda:{number}")
    step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return f"{steps / (time.perf_counter() - start):,.1f}"


def time_training(number: int, steps: int) -> None:
    """Print the losses and speed of the tasks on both devices; fail if the losses differ."""
    print("\n| task | loss on the CPU | on the GPU | steps a second, CPU | GPU | torch |\n|---|---|---|---|---|---|")
    wrong = []
    for name in gpu_checks.TASKS:
        results = []
        for where in (None, number):
            with device.using(where):
                dy.reset_random_seed(11)
                task = gpu_checks.importlib.import_module(f"tasks.{name}")
                minibatch = task.ROWS[0][1][-1] if steps > 1 else 1
                step = task.make(dy, minibatch, seed=1, **gpu_checks.TASKS[name]).train
                loss = step()
                start = time.perf_counter()
                losses = [loss] + [step() for _ in range(steps)]
                results.append((losses, steps / (time.perf_counter() - start)))
        (cpu, cpu_speed), (gpu, gpu_speed) = results
        theirs = torch_speed(name, minibatch, steps, number)
        print(
            f"| {name} | {cpu[-1]:.5f} | {gpu[-1]:.5f} | {cpu_speed:,.1f} | {gpu_speed:,.1f} | {theirs} |", flush=True
        )
        if not np.allclose(cpu, gpu, rtol=gpu_checks.LOSS_TOLERANCE):
            wrong.append(name)
    if wrong:
        sys.exit(f"losses differ by more than {gpu_checks.LOSS_TOLERANCE}: {', '.join(wrong)}")


def check_everything(number: int) -> None:
    """Compare every sample, builder, trainer and example with the CPU, and report differences."""
    checks: dict[str, list[tuple[str, Callable[[], None]]]] = {
        "samples": [
            (f"{name} {place}", lambda name=name, place=place: gpu_checks.check_op(name, place, number))
            for name, place in gpu_checks.samples()
        ],
        "builders": [
            (name, lambda name=name: gpu_checks.check_losses(lambda: gpu_checks.train_builder(name), number))
            for name in gpu_checks.BUILDERS
        ],
        "trainers": [(name, lambda name=name: gpu_checks.check_trainer(name, number)) for name in gpu_checks.TRAINERS],
        "examples": [
            (name, lambda name=name: gpu_checks.check_losses(lambda: gpu_checks.train_example(name), number))
            for name in gpu_checks.EXAMPLES
        ],
    }
    failed = False
    for kind, these in checks.items():
        good = 0
        for name, check in these:
            try:
                check()
                good += 1
            except (AssertionError, driver.CudaError) as problem:
                print(f"{name}: {problem}")
        print(f"{good} of {len(these)} {kind} are as on the CPU", flush=True)
        failed |= good < len(these)
    if failed:
        sys.exit(1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", type=int, default=0, help="which GPU")
    parser.add_argument("--only", choices=["checks", "kernels", "training"], help="one part")
    parser.add_argument("--size", type=int, default=2048, help="of matrices in the table of kernels")
    parser.add_argument("--tf32", action="store_true", help="products on tensor cores, in the table of kernels")
    parser.add_argument("--steps", type=int, default=20, help="of training")
    options = parser.parse_args(arguments)
    with device.using(options.gpu):
        gpu = device.gpu_in_use()
        assert gpu is not None
        print(f"{gpu.name}, {gpu.arch}, {datetime.date.today()}", flush=True)
    if options.only in (None, "checks"):
        check_everything(options.gpu)
    if options.only in (None, "kernels"):
        time_kernels(options.gpu, options.size, options.tf32)
    if options.only in (None, "training"):
        time_training(options.gpu, options.steps)


if __name__ == "__main__":
    main()
