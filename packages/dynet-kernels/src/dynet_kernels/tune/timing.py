"""Compiles kernels with given tuning parameters, and times them.

Kernels run as they do in programs, from a *tape*: a list of instructions, each of which calls a kernel. The tapes here
repeat one instruction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import layout as at
from .. import machine, tuning
from ..kernels import RUN_SHARD, Kernel
from ..layout import CONTEXT
from ..target import CpuTarget

ROW_SECONDS = 1e-3  # repeat an instruction for about this long in one measurement
TOLERANCE = 2e-4  # allowed error of a result, relative to the largest one


class Workload:
    """A computation to time: a kernel and the columns that it works on.

    The kernel finds each operand by an address list, which has the address of that operand for every column.

    Args:
        label: the sizes, as a text for people.
        kernel: the name of the kernel within its family.
        arrays: for each address list, an array of shape (columns, floats). Row c is the operand of column c.
        parameters: the integer parameters of the instruction.
        expected: the arrays that the kernel writes, by number of their address list, as numpy computes them.
        work: floating point operations or elements, from which the speed is computed.
        shared: numbers of address lists that have the address of the array's first row for all columns.
        doubles: numbers of address lists whose arrays hold float64.
    """

    def __init__(
        self,
        label: str,
        kernel: str,
        arrays: Sequence[np.ndarray],
        parameters: Sequence[int],
        expected: dict[int, np.ndarray],
        work: float,
        shared: Iterable[int] = (),
        doubles: Iterable[int] = (),
    ):
        self.label, self.kernel, self.expected, self.work = label, kernel, expected, work
        self.doubles = frozenset(doubles)
        self.start = [np.ascontiguousarray(array, np.float32) for array in arrays]
        self.arrays = [_on_cache_line(array) for array in self.start]
        self.columns = max(len(array) for array in self.arrays)
        addresses = []
        for number, array in enumerate(self.arrays):
            first, step = array.ctypes.data // 4, array.strides[0] // 4
            addresses += [first + step * (0 if number in shared else column) for column in range(self.columns)]
        self.index = np.array(addresses, np.int64)
        self.table = np.array(parameters, np.int64)

    def reset(self) -> None:
        """Restore the arrays to what they held before a kernel ran."""
        for array, start in zip(self.arrays, self.start, strict=True):
            array[...] = start

    def tape(self, opcode: int, rows: int) -> np.ndarray:
        """Return a list of instructions that calls the kernel `rows` times. `opcode` is the kernel's number."""
        row = np.zeros(len(at.INSTRUCTION), np.int64)
        row[[at.INSTRUCTION.opcode, at.INSTRUCTION.base, at.INSTRUCTION.count, at.INSTRUCTION.parameters]] = (
            opcode,
            0,
            self.columns,
            0,
        )
        return np.tile(row, rows)


def _on_cache_line(array: np.ndarray) -> np.ndarray:
    """Return a copy that begins at the start of a cache line."""
    line = 4 * at.CACHE_LINE
    room = np.empty(array.nbytes + line, np.uint8)
    skip = -room.ctypes.data % line
    copy = room[skip : skip + array.nbytes].view(np.float32).reshape(array.shape)
    copy[...] = array
    return copy


@dataclass
class Candidate:
    """The kernels of a family, compiled with some tuning parameters.

    Args:
        parameters: these parameters.
        run: runs a list of instructions, given the address of the integers that `layout.CONTEXT` names.
        opcodes: the number of each kernel in instructions, by name.
    """

    parameters: tuning.Cpu
    run: Callable[[int], None]
    opcodes: dict[str, int]

    def once(self, workload: Workload, rows: int = 1) -> float:
        """Run a workload `rows` times. Return the seconds of CPU time that this thread took."""
        tape = workload.tape(self.opcodes[workload.kernel], rows)
        slots = np.zeros(len(CONTEXT), np.int64)
        slots[CONTEXT.tape], slots[CONTEXT.tape_count] = tape.ctypes.data, rows
        slots[CONTEXT.table], slots[CONTEXT.index] = workload.table.ctypes.data, workload.index.ctypes.data
        address = slots.ctypes.data
        began = time.thread_time_ns()
        self.run(address)
        return (time.thread_time_ns() - began) / 1e9

    def is_right(self, workload: Workload) -> bool:
        """Return whether the kernel writes what numpy computed, and changes no other array."""
        workload.reset()
        self.once(workload)
        for number, (array, start) in enumerate(zip(workload.arrays, workload.start, strict=True)):
            if number not in workload.expected:
                if not np.array_equal(array, start):
                    return False
                continue
            expected = workload.expected[number]
            got = array.view(np.float64) if number in workload.doubles else array
            if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max()):
                return False
        return True


def compiled(kernels: dict[str, Kernel], parameters: tuning.Cpu, target: CpuTarget) -> Candidate:
    """Compile kernels with these tuning parameters, in this process."""
    opcodes = {name: number for number, name in enumerate(kernels)}
    with tuning.using(parameters):
        module = machine.shard_module({opcodes[name]: (name, k) for name, k in kernels.items()}, target.lanes)
    return Candidate(parameters, machine.compile_cpu(module, target.tvm_target())[RUN_SHARD], opcodes)


def rows_for(candidate: Candidate, workload: Workload, seconds: float = ROW_SECONDS) -> int:
    """Return how many times to run a workload so that this takes about `seconds`."""
    rows = 1
    workload.reset()
    while (spent := candidate.once(workload, rows)) < seconds / 4 and rows < 1 << 16:
        rows *= 4
    return max(1, min(1 << 16, round(rows * seconds / max(spent, 1e-9))))


def ratio(
    candidate: Candidate, best: Candidate, workloads: Sequence[Workload], rounds: int = 7, hopeless: float = 1.05
) -> tuple[float, float]:
    """Divide the time of a candidate by that of the best one. Return the geometric mean and maximum over workloads.

    Both run in turns, so that other programs on the machine slow down both. For each workload the least time counts. If
    the mean is more than `hopeless` after three rounds, stop early.
    """
    least = {workload.label: [math.inf, math.inf] for workload in workloads}
    rows = {workload.label: rows_for(best, workload) for workload in workloads}
    mean = largest = math.inf
    for number in range(rounds):
        for workload in workloads:
            pair = [(0, candidate), (1, best)]
            for place, each in pair if number % 2 else reversed(pair):
                spent = each.once(workload, rows[workload.label])
                least[workload.label][place] = min(least[workload.label][place], spent)
        ratios = [ours / others for ours, others in least.values()]
        mean, largest = math.exp(sum(map(math.log, ratios)) / len(ratios)), max(ratios)
        if number >= 2 and mean > hopeless:
            break
    return mean, largest


def speeds(candidates: Sequence[Candidate], workloads: Sequence[Workload], rounds: int = 15) -> dict[str, list[float]]:
    """Return the most work per second of each candidate, by label of the workload. The candidates run in turns."""
    found = {}
    for workload in workloads:
        rows = rows_for(candidates[0], workload)
        least = [math.inf] * len(candidates)
        for _ in range(rounds):
            for place, candidate in enumerate(candidates):
                least[place] = min(least[place], candidate.once(workload, rows))
        found[workload.label] = [workload.work * rows / seconds for seconds in least]
    return found
