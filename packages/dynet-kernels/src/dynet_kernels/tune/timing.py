"""Compiles kernels with given tuning parameters, and times them on tapes that repeat one instruction."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import tuning, tuning_records
from ..cuda import codegen, compiler, driver
from ..cuda.machine import LAUNCH_SHARD, Context, Launch
from ..kernels import RUN_SHARD, Kernel, function_name
from ..layout import CACHE_LINE, INSTRUCTION
from ..machine import modules
from ..target import CpuTarget, host_cpu
from ..tuning import Parameters

MEASUREMENT_SECONDS = 1e-3  # one measurement repeats an instruction for about this many seconds
TOLERANCE = 2e-4  # allowed error of an element: this times (its magnitude + the largest magnitude in the result)


class Workload:
    """A computation to time: a kernel, and the columns on which it works.

    Args:
        label: the sizes as text for users, which differs between the workloads of a family.
        kernel: the name of the kernel within its family.
        arrays: for each address list, an array of shape (columns, floats). Row c has the floats for column c.
        parameters: the integer parameters of the instruction, which the kernel reads.
        expected: number of an address list -> numpy's result, for each array that the kernel writes.
        constant_lists: the numbers of the address lists that have the address of row 0 for all columns.
        float64_lists: the numbers of the address lists whose arrays hold float64s, each in the space of two floats.
    """

    def __init__(
        self,
        label: str,
        kernel: str,
        arrays: Sequence[np.ndarray],
        parameters: Sequence[int],
        expected: dict[int, np.ndarray],
        constant_lists: Iterable[int] = (),
        float64_lists: Iterable[int] = (),
    ):
        self.label, self.kernel, self.expected = label, kernel, expected
        self.float64_lists = frozenset(float64_lists)
        self.initial_arrays = [np.ascontiguousarray(array, np.float32) for array in arrays]
        self.arrays = [_on_cache_line(array) for array in self.initial_arrays]
        self.columns = max(len(array) for array in self.arrays)
        self.constant_lists = frozenset(constant_lists)
        self.index = self.address_lists([array.ctypes.data for array in self.arrays])
        self.table = np.array(parameters, np.int64)

    def address_lists(self, addresses: Sequence[int]) -> np.ndarray:
        """Return all address lists, in floats, given the addresses of the arrays in bytes."""
        index = []
        for k, (address, array) in enumerate(zip(addresses, self.arrays, strict=True)):
            stride = 0 if k in self.constant_lists else array.strides[0] // 4
            index += [address // 4 + stride * column for column in range(self.columns)]
        return np.array(index, np.int64)

    def has_expected_results(self, arrays: Sequence[np.ndarray]) -> bool:
        """Return whether the arrays that the kernel writes hold numpy's results, and all other arrays are unchanged."""
        for k, (array, start) in enumerate(zip(arrays, self.initial_arrays, strict=True)):
            if k not in self.expected:
                if not np.array_equal(array, start):
                    return False
                continue
            expected = self.expected[k]
            result = array.view(np.float64) if k in self.float64_lists else array
            if not np.allclose(result, expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max()):
                return False
        return True

    def tape(self, opcode: int, row_count: int) -> np.ndarray:
        row = np.zeros(len(INSTRUCTION), np.int64)
        row[INSTRUCTION.opcode], row[INSTRUCTION.count] = opcode, self.columns
        return np.tile(row, row_count)


def _on_cache_line(array: np.ndarray) -> np.ndarray:
    """Return a copy of `array` that starts at a cache line, as the values of nodes do in programs."""
    line = 4 * CACHE_LINE
    buffer = np.empty(array.nbytes + line, np.uint8)
    offset = -buffer.ctypes.data % line
    copy = buffer[offset : offset + array.nbytes].view(np.float32).reshape(array.shape)
    copy[...] = array
    return copy


class Candidate:
    """The kernels of a family, compiled with tuning parameters for the CPU.

    A kernel's opcode is its position in `kernels`. `run` runs a tape, given the address of a Context.
    """

    def __init__(self, parameters: Parameters | None, kernels: Iterable[str], run: Callable[..., None]):
        self.parameters, self.run = parameters, run
        self.opcodes = {name: index for index, name in enumerate(kernels)}

    def measure(self, workload: Workload, row_count: int = 1) -> float:
        """Run a workload `row_count` times. Return the seconds that it took: CPU time, or time on the GPU's clock."""
        tape = workload.tape(self.opcodes[workload.kernel], row_count)
        context = Context(tape=tape.ctypes.data, tape_count=row_count, table=workload.table.ctypes.data)
        context.index = workload.index.ctypes.data
        address = ctypes.addressof(context)
        began = time.thread_time_ns()
        self.run(address)
        return (time.thread_time_ns() - began) / 1e9

    def reset(self, workload: Workload) -> None:
        for array, start in zip(workload.arrays, workload.initial_arrays, strict=True):
            array[...] = start

    def arrays(self, workload: Workload) -> Sequence[np.ndarray]:
        return workload.arrays

    def is_right(self, workload: Workload) -> bool:
        """Run a workload. Return whether the kernel has written numpy's results and changed no other array."""
        self.reset(workload)
        self.measure(workload)
        return workload.has_expected_results(self.arrays(workload))


class GpuCandidate(Candidate):
    """A candidate for a GPU. `launch` is from `codegen.launch_module`; `handles` are the driver's kernel handles."""

    def __init__(self, parameters: Parameters, kernels: Iterable[str], timer: GpuTimer, launch, handles: list[int]):
        super().__init__(parameters, kernels, launch)
        self._timer, self._device = timer, Launch(handles)

    def measure(self, workload: Workload, row_count: int = 1) -> float:
        timer, tape = self._timer, workload.tape(self.opcodes[workload.kernel], row_count)
        context = Context(tape=tape.ctypes.data, tape_count=row_count, table=workload.table.ctypes.data)
        _, self._device.index = timer.gpu_addresses(workload)
        timer.stopwatch.start()
        self.run(ctypes.addressof(context), ctypes.addressof(self._device))
        seconds = timer.stopwatch.stop()
        self._device.check(workload.kernel)
        return seconds

    def reset(self, workload: Workload) -> None:
        addresses, _ = self._timer.gpu_addresses(workload)
        for address, array in zip(addresses, workload.initial_arrays, strict=True):
            self._timer.gpu.upload(address, array)

    def arrays(self, workload: Workload) -> Sequence[np.ndarray]:
        copies = [np.empty_like(array) for array in workload.initial_arrays]
        addresses, _ = self._timer.gpu_addresses(workload)
        for address, array in zip(addresses, copies, strict=True):
            self._timer.gpu.download(address, array)
        return copies


class Timer:
    """A device on which candidates are timed."""

    target: Any  # the CPU, or the compute capability of the GPU, such as "sm_90"
    register_count: int  # the number of vector registers of a CPU core; 0 for a GPU

    def default_parameters(self, family: str) -> Parameters:
        return tuning_records.default_parameters(self.target)[family]

    def compiled(self, kernels: dict[str, Kernel], family: str = "", values: Parameters | None = None) -> Candidate:
        """Compile kernels in this process, without the cache, with `values` as the tuning parameters of `family`."""
        raise NotImplementedError


class CpuTimer(Timer):
    def __init__(self, target: CpuTarget, parameters: tuning.Cpu):
        self.target, self.parameters = target, parameters
        self.register_count = tuning_records.KINDS[tuning_records.kind_of(target)][1]

    def compiled(self, kernels: dict[str, Kernel], family: str = "", values: Parameters | None = None) -> Candidate:
        parameters = replace(self.parameters, **({family: values} if values else {}))
        with tuning.using(parameters), self.target.tvm_target() as target:
            module = modules.shard_module(dict(enumerate(kernels.items())), self.target.lanes)
        return Candidate(values, kernels, modules.compile_cpu(module, target)[RUN_SHARD])


class GpuTimer(Timer):
    register_count = 0

    def __init__(self, gpu: driver.Gpu):
        self.gpu, self.stopwatch, self.target = gpu, driver.Stopwatch(gpu), gpu.arch
        self._gpu_addresses_by_label: dict[str, tuple[list[int], int]] = {}

    def gpu_addresses(self, workload: Workload) -> tuple[list[int], int]:
        """Return the GPU addresses of a workload's arrays and address lists, which are never freed."""
        if workload.label not in self._gpu_addresses_by_label:
            arrays = [self.gpu.allocate(array.nbytes) for array in workload.initial_arrays]
            lists = workload.address_lists(arrays)
            index = self.gpu.allocate(lists.nbytes)
            self.gpu.upload(index, lists)
            self._gpu_addresses_by_label[workload.label] = arrays, index
        return self._gpu_addresses_by_label[workload.label]

    def compiled(self, kernels: dict[str, Kernel], family: str = "", values: Parameters | None = None) -> Candidate:
        values = values or tuning_records.for_cuda(self.gpu.arch)
        assert isinstance(values, tuning.Cuda)
        by_slot = codegen.functions_by_slot(dict(enumerate(kernels.items())))
        with tuning.using(values):
            source, module = codegen.device_source(by_slot), codegen.launch_module(by_slot, LAUNCH_SHARD)
        gpu_module = self.gpu.load(compiler.compile(source, self.target))
        launch = modules.compile_cpu(module, host_cpu().tvm_target())[LAUNCH_SHARD]
        handles = [gpu_module.handle_of(function_name(name)) for name in kernels]
        return GpuCandidate(values, kernels, self, launch, handles)


def row_count_for(candidate: Candidate, workload: Workload, seconds: float = MEASUREMENT_SECONDS) -> int:
    """Return how many rows of a tape, each of which runs the workload, take about `seconds`; at most 65536."""
    rows = 1
    candidate.reset(workload)
    while (seconds_spent := candidate.measure(workload, rows)) < seconds / 4 and rows < 1 << 16:
        rows *= 4
    return max(1, min(1 << 16, round(rows * seconds / max(seconds_spent, 1e-9))))


def least_times(
    candidates: Sequence[Candidate], workloads: Sequence[Workload], rounds: int
) -> Iterator[dict[str, list[float]]]:
    """Time candidates. After each round, yield a dict label of a workload -> least seconds per row of each candidate.

    The candidates take turns, so that other programs on the machine slow down all candidates alike.
    """
    rows = {workload.label: row_count_for(candidates[-1], workload) for workload in workloads}
    least = {workload.label: [math.inf] * len(candidates) for workload in workloads}
    for turn in range(rounds):
        for workload in workloads:
            count, seconds = rows[workload.label], least[workload.label]
            for index, candidate in list(enumerate(candidates))[:: 1 if turn % 2 else -1]:
                seconds[index] = min(seconds[index], candidate.measure(workload, count) / count)
        yield least


def time_ratio(
    candidate: Candidate, best: Candidate, workloads: Sequence[Workload], rounds: int = 7, stop_above: float = 1.05
) -> tuple[float, float]:
    """Compare a candidate's least time for each workload with that of the best candidate so far.

    Return the geometric mean and the maximum of the ratios. Stop if the mean exceeds `stop_above` after three rounds.
    """
    mean = largest = math.inf
    for turn, least in enumerate(least_times([candidate, best], workloads, rounds)):
        ratios = [new_seconds / best_seconds for new_seconds, best_seconds in least.values()]
        mean, largest = math.exp(sum(map(math.log, ratios)) / len(ratios)), max(ratios)
        if turn >= 2 and mean > stop_above:
            break
    return mean, largest
