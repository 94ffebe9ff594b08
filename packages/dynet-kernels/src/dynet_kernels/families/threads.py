"""How the threads of a GPU share work: a thread for each number, or a block for columns, with sums over its threads."""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir, tuning
from ..lazy import T, tirx
from ..tir import int64, let

WARP = 32  # threads that run together and can read each other's registers


@contextmanager
def thread_each(instruction, count, size=None):
    """The code of one thread for each number below `count`, in blocks of `size`: its number."""
    size = size or tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + int64(size - 1), int64(size)))
    number = let(block * int64(size) + instruction.thread("threadIdx.x", size))
    with tir.when(number < count):
        yield number


def block_of_products(instruction, group, extents, height, width):
    """Blocks of `height` x `width` results for each matrix: what this block works on.

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
    # Blocks stand on one axis: the others end at 65535.
    block = instruction.thread("blockIdx.x", down * across * T.floordiv(instruction.count, sharing))
    first_row = settled(T.truncmod(block, down) * int64(height))
    block = settled(T.truncdiv(block, down))
    first_column = settled(T.truncmod(block, across) * int64(width))
    first = settled(T.truncdiv(block, across) * sharing)
    return (rows, columns, inner), first, first_row, first_column


@contextmanager
def share_of(lane, threads, size):
    """The numbers below `size` that are this thread's, of `threads` that share them, one after the other."""
    place = tir.Counter(lane)
    with T.While(place.get() < size):
        yield let(place.get())
        place.set(place.get() + threads)


def settled(value):
    """Name an int64 that is worked out once: TVM puts what other names stand for in place of them, wherever they occur.

    Selections and divisions in addresses can so become long code, which its simplifier takes minutes for.
    """
    return let(tir.Counter(value).get())


def wait():
    """Wait for all threads of the block. Not within a condition."""
    T.evaluate(T.tvm_storage_sync("shared"))


def add_atomically(memory, at, value):
    """Several columns may feed one gradient, so threads meet there."""
    T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(memory[at]), value))


class Sums:
    """Combines numbers of one type over the threads of a block, as often as is wanted.

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
        """The numbers of this thread's warp combined, for each of its threads. Not within a condition."""
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
        """The numbers of all threads combined, for each of them. Not within a condition."""
        return self.of_warps(int64(0), int64(self.warps), value, combine)

    def of_warps(self, first, count, value, combine):
        """The numbers of `count` warps from `first` on combined, for each thread. Not within a condition."""
        value = self.of_warp(value, combine)
        with tir.when(self.lane == int64(0)):
            T.buffer_store(self.shared, value, [self.warp])
        wait()
        total = tir.Accumulator(1, self.shared[first], self.dtype)
        with T.serial(int64(1), count) as number:
            total.set(combine(let(total.get()), let(self.shared[first + number])))
        wait()  # the next numbers must not come before all have read these
        return let(total.get())
