"""How CUDA kernels divide their work among threads, and how the threads of a block combine numbers.

There are three ways: one thread per element (`thread_each`); one block of threads per column, whose elements the
threads share (`share_of`); or one block per rectangle of a matrix product (`block_of_products`). `Sums` adds up numbers
of several threads. All functions emit TIR, TVM's intermediate code. The argument `instruction` is the `tir.Instruction`
of the kernel that is being built; TIR expressions such as its `count` are known only when the kernel runs. An
instruction is one call of a kernel, and a column is one unit of its work.
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir, tuning
from ..tir import int64, let, settled
from ..tvm_modules import T, tirx

WARP = 32  # threads in a warp: they run together and can read each other's registers


@contextmanager
def thread_each(instruction, count, size=None):
    """Launch `count` threads in blocks of `size`. The body of the `with` statement emits the code that each one runs.

    Yields the number of the thread, below `count`. By default, `size` is the tuned block size.
    """
    size = size or tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + int64(size - 1), int64(size)))
    number = let(block * int64(size) + instruction.thread("threadIdx.x", size))
    with tir.when(number < count):
        yield number


def block_of_products(instruction, group, extents, height, width):
    """Launch one CUDA block of threads per `height` x `width` results of matrix products, and find each block's work.

    Several neighbouring columns of the instruction share one matrix. There is one product for each matrix.

    Args:
        group: how many columns of the instruction share one matrix; 0 means all of them.
        extents: extents(n) returns the extents (rows, columns, inner) of the product if n columns of the instruction
            share the matrix. The result of the product has rows x columns elements, each a sum of `inner` terms.

    Returns:
        The extents; the first column of the instruction that belongs to this block's product; and the row and column
        of the product's result at which the block begins.
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

    This yields the number, and the body of the `with` statement emits the work on it.

    Args:
        lane: the number of this thread among those that share the work.
        threads: how many threads share it.
    """
    place = tir.IntVariable(lane)
    with T.While(place.get() < size):
        yield let(place.get())
        place.set(place.get() + threads)


def wait():
    """Emit a barrier, at which each thread waits for all threads of its block. It must not be in an emitted `if`."""
    T.evaluate(T.tvm_storage_sync("shared"))


def add_atomically(memory, at, value):
    """Emit memory[at] += value as one atomic operation, because other threads may add to the same number."""
    T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(memory[at]), value))


class Sums:
    """Emits code that combines numbers, one from each of several threads, into their sum or maximum, for example.

    The methods can be called several times. Their argument `combine` emits the combination of two numbers.

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
        """Combine the `value` of all threads of a warp. Each gets the result. Must not be in an emitted `if`."""
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
        """Combine the `value` of all threads of a block. Each gets the result. Must not be in an emitted `if`."""
        return self.of_warps(int64(0), int64(self.warps), value, combine)

    def of_warps(self, first, count, value, combine):
        """Combine the `value` of all threads in `count` warps of the block, from warp `first` on. Return the result.

        `first` and `count` may differ between the warps of a block. Must not be in an emitted `if`, because all threads
        of the block must reach the barriers.
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
