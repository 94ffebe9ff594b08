"""`GpuTensor`: a copy of an expression's value that stays on the GPU. Its methods `argmax` and `topk` run there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels import layout as at
from dynet_kernels.families.selection import FallingOrder, LargestInOrder
from dynet_kernels.layout import CONTEXT
from dynet_kernels.table import KERNELS

from . import device, dlpack
from .memory import GpuBlock
from .tensor import Tensor

KERNELS.add("largest_in_order", LargestInOrder())
KERNELS.add("falling_order", FallingOrder())
Layout = list[tuple[int, int, int]]  # loops of `Tape.copy`, innermost first: (count, target stride, source stride)


class GpuTensor(Tensor):
    """A tensor on a GPU. numpy gets a copy of it on the host; DLPack gives other libraries its memory.

    The block has float32 or int64 values, column-major, the batch last; an int64 takes the room of two floats. `dims`
    is the number of axes without the batch.
    """

    __slots__ = ("_block", "_integers", "_shape")

    def __init__(self, block: GpuBlock, shape: tuple[int, ...], dims: int, integers: bool = False):
        self._block, self._shape, self._dims, self._integers = block, shape, dims, integers

    def argmax(self, dim: int = 0, num: int = 1) -> Tensor:
        """Return the indices of the largest values; see `Tensor.argmax`."""
        return self.topk(dim, num)[1]

    def topk(self, dim: int = 0, num: int = 1) -> tuple[Tensor, Tensor]:
        """Return the largest values and their indices; see `Tensor.topk`."""
        dim, num = self._checked_topk(dim, num)
        if self._integers:
            host = Tensor(self._values(), self._dims)  # the kernels do not handle integers, so numpy does it
            values, places = host.topk(dim, num)
            return self._like(values._values()), self._like(places._values())
        size = self._shape[dim]
        inner, outer = math.prod(self._shape[:dim]), math.prod(self._shape[dim + 1 :])
        columns = inner * outer
        tape, source = Tape(self._block.gpu), self._block
        if inner > 1:  # the kernel compares adjacent numbers, so make those along `dim` adjacent by a copy
            source = tape.scratch(columns * size)
            tape.copy(source, self._block, [(size, 1, inner), (inner, size, 1), (outer, inner * size, inner * size)])
        found = [tape.scratch(columns * num) for _ in range(2)]
        starts = num * np.arange(columns)
        y, places = (block.address + starts for block in found)
        x = source.address + size * np.arange(columns)
        tape.add("largest_in_order", (size, num, 0, 1, 2), [y, x, places])
        if num > 1:
            ordered = [tape.scratch(columns * num) for _ in range(2)]
            lists = [block.address + starts for block in (*ordered, *found)]
            tape.add("falling_order", (num, 0, 1, 2, 3), lists)
            found = ordered
        values = GpuBlock(self._block.gpu, columns * num)
        # The kernels write 32-bit indices, in the room of one float. Each becomes the lower half of a zeroed int64.
        indices = GpuBlock(self._block.gpu, 2 * columns * num, zero=True)
        back = [(num, inner, 1), (inner, 1, num), (outer, inner * num, inner * num)]
        tape.copy(values, found[0], back)
        tape.copy(indices, found[1], [(extent, 2 * target, source) for extent, target, source in back])
        tape.run()
        shape = (*self._shape[:dim], num, *self._shape[dim + 1 :])
        return GpuTensor(values, shape, self._dims), GpuTensor(indices, shape, self._dims, integers=True)

    def _values(self) -> npt.NDArray[Any]:
        numbers = self._block.array.view(np.int64 if self._integers else np.float32)
        return numbers.reshape(self._shape, order="F")

    def _like(self, array: npt.NDArray[Any]) -> Tensor:
        integers = array.dtype != np.float32
        numbers = array.astype(np.int64 if integers else np.float32).ravel(order="F").view(np.float32)
        block = GpuBlock(self._block.gpu, numbers.size)
        block.write(numbers)
        return GpuTensor(block, array.shape, self._dims, integers)

    def _axes(self) -> tuple[int, ...]:
        return self._shape

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self!r} is on a GPU: as an array it can only be copied")
        return np.array(self._values(), dtype, order="K")

    def __dlpack__(self, **options: Any) -> Any:
        strides = (1, *itertools.accumulate(self._shape[:-1], lambda stride, extent: stride * extent))
        return dlpack.capsule(self._block, self._shape, strides, self._integers)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self._block.gpu.number


class Tape:
    """A list of kernel calls for the GPU."""

    def __init__(self, gpu):
        self._gpu = gpu
        self._blocks: list[GpuBlock] = []
        self._rows: list[int] = []
        self._table: list[int] = []
        self._lists: list[np.ndarray] = []

    def scratch(self, floats: int) -> GpuBlock:
        """Allocate GPU memory that is freed together with this tape."""
        self._blocks.append(GpuBlock(self._gpu, floats))
        return self._blocks[-1]

    def add(self, kernel: str, parameters: Sequence[int], lists: Sequence[np.ndarray]) -> None:
        """Append a kernel call. `lists` has, for each array, the addresses at which its columns start.

        `parameters` are sizes, and for each array its place in `lists`.
        """
        base = sum(len(each) for each in self._lists)
        self._rows += [KERNELS.opcode(kernel), base, len(lists[0]), len(self._table), 0, 0]
        self._table += parameters
        self._lists += lists

    def copy(self, target: GpuBlock, source: GpuBlock, loops: Layout) -> None:
        """Append a copy in up to four loops of (count, target stride, source stride) in floats, the innermost first."""
        loops = [*loops, *[(1, 0, 0)] * (4 - len(loops))]
        lists = [np.array([block.address]) for block in (target, source)]
        self.add("copy", (0, 1, *itertools.chain(*zip(*loops))), lists)

    def run(self) -> None:
        index, table, tape = (
            np.array(numbers, np.int64) for numbers in (np.concatenate(self._lists), self._table, self._rows)
        )
        context = np.zeros(len(CONTEXT), np.int64)
        for name, buffer in (("index", index), ("table", table), ("tape", tape)):
            context[CONTEXT[name]] = buffer.ctypes.data
        context[CONTEXT.index_top], context[CONTEXT.tape_count] = len(index), len(tape) // len(at.INSTRUCTION)
        device.machine_of(self._gpu).run(context.ctypes.data)
