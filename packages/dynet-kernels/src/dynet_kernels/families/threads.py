"""How CUDA kernels divide their work among threads, and how the threads of a block combine numbers.

A kernel runs one thread per element (`thread_each`), one block of threads per column, whose elements the threads share
(`share_of`), or one block per rectangle of a matrix product (`block_of_products`). `Sums` adds up numbers over threads.
All functions emit TIR; `instruction` is the `tir.Instruction` of the kernel that is being built.
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir, tuning
from ..lazy import T, tirx
from ..tir import int64, let

WARP = 32  # threads in a warp: they run together and can read each other's registers


@contextmanager
def thread_each(instruction, count, size=None):
    """Launch `count` threads in blocks of `size`, and emit what each of them runs in the body of this `with` block.

    Yields the number of the thread, below `count`. By default, `size` is the tuned block size.
    """
    size = size or tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + int64(size - 1), int64(size)))
    number = let(block * int64(size) + instruction.thread("threadIdx.x", size))
    with tir.when(number < count):
        yield number


def block_of_products(instruction, group, extents, height, width):
    """Launch one CUDA block per `height` x `width` results of matrix products, and find the work of this block.

    An instruction has one product for each matrix. Several neighbouring columns of the instruction share the matrix.

    Args:
        group: how many columns share one matrix; 0 means all of them.
        extents: a function of the number of columns that share a matrix. It returns the extents (rows, columns, inner)
            of the product: its result is rows x columns, and each element is a sum of `inner` terms.

    Returns:
        The extents, the first column of the instruction that belongs to the product, and the row and column of the
        result where this block begins.
    """
    sharing = let(T.Select(group == int64(0), instruction.count, group))
    rows, columns, inner = extents(sharing)
    down = let(T.floordiv(rows + int64(height - 1), int64(height)))
    across = let(T.floordiv(columns + int64(width - 1), int64(width)))
    # All blocks are on the x axis of the grid, because CUDA allows only 65535 blocks on the other axes.
    block = instruction.thread("blockIdx.x", down * across * T.floordiv(instruction.count, sharing))
    first_row = settled(T.truncmod(block, down) * int64(height))
    block = settled(T.truncdiv(block, down))
    first_column = settled(T.truncmod(block, across) * int64(width))
    first = settled(T.truncdiv(block, across) * sharing)
    return (rows, columns, inner), first, first_row, first_column


@contextmanager
def share_of(lane, threads, size):
    """Loop over this thread's share of the numbers below `size`: lane, lane + threads, lane + 2 * threads and so on.

    Args:
        lane: the number of this thread among those that share the work.
        threads: how many threads share it.
    """
    place = tir.Counter(lane)
    with T.While(place.get() < size):
        yield let(place.get())
        place.set(place.get() + threads)


def settled(value):
    """Compute an int64 once and keep it in a register.

    TVM replaces a value that `let` has named by its formula wherever it is used. If the formula of an address has
    selections and divisions, this makes long expressions, for which TVM's simplifier takes minutes.
    """
    return let(tir.Counter(value).get())


def wait():
    """Emit a barrier: each thread waits for all threads of its block. Must not be in an `if`, as all must reach it."""
    T.evaluate(T.tvm_storage_sync("shared"))


def add_atomically(memory, at, value):
    """Emit memory[at] += value as one atomic operation, because other threads may add to the same number."""
    T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(memory[at]), value))


class Sums:
    """Emits code that combines one number of each thread, for example into their sum. Can be used several times.

    Args:
        thread: this thread's number in its block.
        threads: how many threads a block has: a power of two, at least 32.
        dtype: the type of the numbers.
    """

    def __init__(self, thread, threads, dtype="float32"):
        self.lane, self.warp = let(T.floormod(thread, int64(WARP))), let(T.floordiv(thread, int64(WARP)))
        self.warps, self.dtype = threads // WARP, dtype
        self.shared = T.alloc_buffer((self.warps,), dtype, scope="shared")

    def of_warp(self, value, combine):
        """Combine the `value` of all threads of this warp; each of them gets the result. Must not be in an `if`."""
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
        """Combine the `value` of all threads of the block; each of them gets the result. Must not be in an `if`."""
        return self.of_warps(int64(0), int64(self.warps), value, combine)

    def of_warps(self, first, count, value, combine):
        """Combine the `value` of all threads in the warps first to first + count - 1, and return the result.

        Threads of different warps may ask for different warps. Must not be in an `if`, because all threads of the
        block must reach the barriers.
        """
        value = self.of_warp(value, combine)
        with tir.when(self.lane == int64(0)):
            T.buffer_store(self.shared, value, [self.warp])
        wait()
        total = tir.Accumulator(1, self.shared[first], self.dtype)
        with T.serial(int64(1), count) as number:
            total.set(combine(let(total.get()), let(self.shared[first + number])))
        wait()  # all threads must have read `shared` before the next call writes to it
        return let(total.get())
