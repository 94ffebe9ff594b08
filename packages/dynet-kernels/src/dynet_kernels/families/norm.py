"""The sum of squared gradients, from which trainers compute the norm for clipping."""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, tuning
from ..kernels import Kernel
from ..layout import ALONE
from ..tir import int64, let, load, serial, vector_loop
from ..tvm_modules import T, tirx
from .threads import BlockReducer, share_of


@dataclass(frozen=True)
class GradientNorm(Kernel):
    """Adds the squares of gradients' elements to a total. List 0 has the address of each gradient, of `size` floats.

    The total is an initialized float64 at the first address of list 1, which must be even, because addresses count
    float32s. In float64, squares of finite float32s do not overflow, and sums of millions of terms stay precise.
    """

    parameters = ("size",)
    shared = ALONE

    def on_cpu(self, instruction, lanes):
        float64s = tir.vector_type("float64", lanes)
        sizes = tuning.cpu(lanes).norm
        stretch_count, vector_count = sizes.stretches, sizes.vectors
        # The stretches of a column are read in parallel, each with `vector_count` vectors of independent partial sums.
        sum_count = stretch_count * vector_count
        (size,) = instruction.parameters
        sums = tir.on_stack(sum_count * lanes, "float64")

        def load_sum(sum_index):
            return sums.vload((int64(sum_index * lanes),), float64s)

        def store_sum(sum_index, value):
            T.add_to_parent(sums.vstore((int64(sum_index * lanes),), value))

        def add_squares(sum_index, address, mask=None):
            g = load(instruction.memory, address, lanes, mask)
            if mask is not None:
                g = let(T.Select(mask, g, tir.broadcast(0.0, lanes)))
            g = let(T.Cast(float64s, g))
            store_sum(sum_index, load_sum(sum_index) + g * g)

        for sum_index in range(sum_count):
            store_sum(sum_index, tir.broadcast(tirx.const(0.0, "float64"), lanes))
        with serial(instruction.count) as column:
            start = instruction.address(int64(0), column)
            stretch_size = let(T.floordiv(size, int64(sum_count * lanes)) * int64(vector_count * lanes))
            with serial(T.floordiv(stretch_size, int64(vector_count * lanes))) as step:
                for sum_index in range(sum_count):
                    stretch, vector = divmod(sum_index, vector_count)
                    begin = start + stretch_size * int64(stretch) + int64(vector * lanes)
                    add_squares(sum_index, let(begin + step * int64(vector_count * lanes)))
            done = let(stretch_size * int64(stretch_count))
            vector_loop(let(size - done), lanes, lambda offset, mask: add_squares(0, let(start + done + offset), mask))
        total = let(load_sum(0))
        for sum_index in range(1, sum_count):
            total = let(total + load_sum(sum_index))
        store_sum(0, total)
        with serial(int64(lanes)) as lane:
            value, total = let(sums[lane]), _total_buffer(instruction)
            T.buffer_store(total, total[int64(0)] + value, [int64(0)])

    def on_gpu(self, instruction):
        """Launch one block of threads per column. The block adds the column's sum to the total, atomically."""
        threads = tuning.cuda().threads
        (size,) = instruction.parameters
        start = instruction.address(int64(0), instruction.thread("blockIdx.x", instruction.count))
        thread = instruction.thread("threadIdx.x", threads)
        total = tir.Accumulator(1, tirx.const(0.0, "float64"), "float64")
        with share_of(thread, int64(threads), size) as element:
            g = let(T.Cast("float64", instruction.memory[start + element]))
            total.value += g * g
        block_total = BlockReducer(thread, threads, "float64").fold_block(let(total.value), lambda a, b: a + b)
        with tir.when(thread == int64(0)):
            target = T.address_of(_total_buffer(instruction)[int64(0)])
            T.evaluate(T.call_extern("float64", "atomicAdd", target, block_total))


def _total_buffer(instruction):
    """Return a buffer whose first element is the float64 to which the kernel adds."""
    return tir.buffer_at(instruction.address(int64(1), int64(0)) * int64(4), "float64")
