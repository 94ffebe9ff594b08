"""How CUDA kernels divide work among threads, and how the threads of a block combine values.

The work is divided in one of three ways: a thread per element (`thread_each`), a block of threads per column
(`share_of`), or a block per rectangle of a matrix product (`block_of_products`).
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir, tuning
from ..tir import int64, let, quotient_and_remainder, serial, settled
from ..tvm_modules import T, tirx

WARP_SIZE = 32  # threads in a warp: they run together and can read each other's registers


@contextmanager
def thread_each(instruction, count, block_size=None):
    """Launch `count` threads in blocks of `block_size`. The body of the `with` statement emits the code of each thread.

    Yields the thread's number, which is less than `count`. By default, the block size is the tuned one.
    """
    block_size = block_size or tuning.cuda().block
    block = instruction.thread("blockIdx.x", T.floordiv(count + (block_size - 1), block_size))
    thread = let(block * block_size + instruction.thread("threadIdx.x", block_size))
    with tir.when(thread < count):
        yield thread


@contextmanager
def thread_each_element(instruction, size):
    """Launch a thread for each of `size` elements of each column. Yields the column and the index of the element."""
    with thread_each(instruction, instruction.count * size) as thread:
        yield quotient_and_remainder(thread, size)


def block_of_products(instruction, group, extents, height, width):
    """Launch a block of threads per `height` x `width` results of matrix products. There is one product per matrix.

    `group` adjacent columns of the instruction share a matrix; 0 means all. If n columns share it, extents(n) returns
    the extents (rows, columns, inner) of their product: rows x columns results, each a sum of `inner` terms. Return the
    extents, the first column that shares this block's matrix, and the row and column of the block's first result.
    """
    columns_per_matrix = let(T.Select(group == 0, instruction.count, group))
    rows, columns, inner = extents(columns_per_matrix)
    down = let(T.floordiv(rows + (height - 1), height))  # the number of blocks that cover the rows of a product
    across = let(T.floordiv(columns + (width - 1), width))
    # Use only the x axis, because CUDA allows no more than 65535 blocks on the other axes.
    block = instruction.thread("blockIdx.x", down * across * T.floordiv(instruction.count, columns_per_matrix))
    first_row = settled(T.truncmod(block, down) * height)
    block = settled(T.truncdiv(block, down))
    first_column = settled(T.truncmod(block, across) * width)
    first = settled(T.truncdiv(block, across) * columns_per_matrix)
    return (rows, columns, inner), first, first_row, first_column


@contextmanager
def share_of(thread, thread_count, size):
    """Emit a loop over one thread's share of [0, `size`): `thread`, `thread` + `thread_count`, ... Yields the index."""
    index = tir.IntVariable(thread)
    with T.While(index.value < size):
        yield let(index.value)
        index.value += thread_count


def barrier():
    """Make the threads of the block wait for each other. All must get here, so do not call this in an emitted `if`."""
    T.evaluate(T.tvm_storage_sync("shared"))


class BlockReducer:
    """Combines the values of a block's threads; `combine` emits the combination of two values, such as their maximum.

    `thread` is this thread's number. `thread_count` is a power of two, at least 32. The methods emit barriers,
    which all threads must reach, so call no method in an emitted `if`.
    """

    def __init__(self, thread, thread_count, dtype="float32"):
        self.lane, self.warp = let(T.floormod(thread, WARP_SIZE)), let(T.floordiv(thread, WARP_SIZE))
        self.warp_count, self.dtype = thread_count // WARP_SIZE, dtype
        self.shared_buffer = T.alloc_buffer((self.warp_count,), dtype, scope="shared")

    def fold_warp(self, value, combine):
        """Combine the `value` of all threads of a warp. Every thread gets the result."""
        all_threads = tirx.const(0xFFFFFFFF, "uint32")  # a mask: all threads of the warp take part
        total = tir.Accumulator(1, value, self.dtype)
        width = WARP_SIZE // 2
        while width:
            own = let(total.value)
            other = T.call_extern(self.dtype, "__shfl_xor_sync", all_threads, own, tirx.const(width, "int32"))
            total.value = combine(own, let(other))
            width //= 2
        return let(total.value)

    def fold_block(self, value, combine):
        """Combine the `value` of all threads of a block. Every thread gets the result."""
        return self.fold_warps(0, self.warp_count, value, combine)

    def fold_warps(self, first, count, value, combine):
        """Combine the `value` of all threads of `count` warps, from warp `first`. Each warp may pass its own range."""
        value = self.fold_warp(value, combine)
        with tir.when(self.lane == 0):
            T.buffer_store(self.shared_buffer, value, [self.warp])
        barrier()
        total = tir.Accumulator(1, self.shared_buffer[int64(first)], self.dtype)
        with serial(1, count) as k:
            total.value = combine(let(total.value), let(self.shared_buffer[first + k]))
        barrier()  # all threads must have read `shared_buffer` before the next call writes to it
        return let(total.value)
