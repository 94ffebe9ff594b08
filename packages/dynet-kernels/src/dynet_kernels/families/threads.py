"""How the threads of a GPU share work: a thread for each number, or a block for each column, with sums over threads."""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir, tuning
from ..lazy import T, tirx
from ..tir import int64, let

WARP = 32  # threads that run together and can read each other's registers


@contextmanager
def thread_each(instruction, count, size=None):
    """One thread for each number below `count`, in blocks of `size`. Gives the number of the thread."""
    size = size or tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + int64(size - 1), int64(size)))
    number = let(block * int64(size) + instruction.thread("threadIdx.x", size))
    with tir.when(number < count):
        yield number


def block_of_products(instruction, group, extents, height, width):
    """Divide products into blocks of `height` x `width` results; find the work of this block.

    Args:
        group: how many columns share one matrix; 0 means all of them.
        extents: of the number of columns that share a matrix: (rows, columns, inner).

    Returns:
        Those extents, the first of the columns that share the matrix, and where this block begins in it.
    """
    sharing = let(T.Select(group == int64(0), instruction.count, group))
    rows, columns, inner = extents(sharing)
    down = let(T.floordiv(rows + int64(height - 1), int64(height)))
    across = let(T.floordiv(columns + int64(width - 1), int64(width)))
    # All blocks are on one axis: the other axes have at most 65535.
    block = instruction.thread("blockIdx.x", down * across * T.floordiv(instruction.count, sharing))
    first_row = settled(T.truncmod(block, down) * int64(height))
    block = settled(T.truncdiv(block, down))
    first_column = settled(T.truncmod(block, across) * int64(width))
    first = settled(T.truncdiv(block, across) * sharing)
    return (rows, columns, inner), first, first_row, first_column


@contextmanager
def share_of(lane, threads, size):
    """Loop over this thread's share of the numbers below `size`, which `threads` threads share."""
    place = tir.Counter(lane)
    with T.While(place.get() < size):
        yield let(place.get())
        place.set(place.get() + threads)


def settled(value):
    """Compute an int64 once and keep it in a register.

    TVM replaces other names by their values wherever they occur. Selections and divisions in addresses then become long
    expressions, for which its simplifier takes minutes.
    """
    return let(tir.Counter(value).get())


def wait():
    """Wait for all threads of the block. Call it outside of conditions only."""
    T.evaluate(T.tvm_storage_sync("shared"))


def add_atomically(memory, at, value):
    """Add to a number that other threads may be adding to."""
    T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(memory[at]), value))


class Sums:
    """Combines numbers over the threads of a block. Can be used several times.

    Args:
        thread: this thread's number in the block.
        threads: of the block, a power of two from 32 on.
        dtype: of the numbers.
    """

    def __init__(self, thread, threads, dtype="float32"):
        self.lane, self.warp = let(T.floormod(thread, int64(WARP))), let(T.floordiv(thread, int64(WARP)))
        self.warps, self.dtype = threads // WARP, dtype
        self.shared = T.alloc_buffer((self.warps,), dtype, scope="shared")

    def of_warp(self, value, combine):
        """Combine the numbers of this thread's warp; every thread gets the result. Not within a condition."""
        everybody = tirx.const(0xFFFFFFFF, "uint32")
        total = tir.Accumulator(1, value, self.dtype)
        width = WARP // 2
        while width:
            own = let(total.get())
            other = T.call_extern(self.dtype, "__shfl_xor_sync", everybody, own, tirx.const(width, "int32"))
            total.set(combine(own, let(other)))
            width //= 2
        return let(total.get())

    def of_block(self, value, combine):
        """Combine the numbers of all threads; every thread gets the result. Not within a condition."""
        return self.of_warps(int64(0), int64(self.warps), value, combine)

    def of_warps(self, first, count, value, combine):
        """Combine the numbers of `count` warps from `first` on, for every thread. Not within a condition."""
        value = self.of_warp(value, combine)
        with tir.when(self.lane == int64(0)):
            T.buffer_store(self.shared, value, [self.warp])
        wait()
        total = tir.Accumulator(1, self.shared[first], self.dtype)
        with T.serial(int64(1), count) as number:
            total.set(combine(let(total.get()), let(self.shared[first + number])))
        wait()  # all threads must have read these before the next are written
        return let(total.get())
