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
    """Adds the squares of the gradients in address list 0, of `size` floats each, to a total.

    The total is an initialized float64 at the first address of list 1, which must be even, because addresses count
    float32s. In float64, squares of finite float32s do not overflow, and sums of millions of terms stay precise.
    """

    parameters = ("size",)
    shared = ALONE

    def on_cpu(self, instruction, lanes):
        float64s = tir.vector_type("float64", lanes)
        sizes = tuning.cpu(lanes).norm
        stretches, vectors = sizes.stretches, sizes.vectors
        # Each of a column's `stretches` has `vectors` independent partial sums, which hide the latency of additions.
        chains = stretches * vectors
        (size,) = instruction.parameters
        sums = tir.on_stack(chains * lanes, "float64")

        def load_chain(index):
            return sums.vload((int64(index * lanes),), float64s)

        def store_chain(index, value):
            T.add_to_parent(sums.vstore((int64(index * lanes),), value))

        def add(index, address, mask=None):
            g = load(instruction.memory, address, lanes, mask)
            if mask is not None:
                g = let(T.Select(mask, g, tir.broadcast(0.0, lanes)))
            g = let(T.Cast(float64s, g))
            store_chain(index, load_chain(index) + g * g)

        for index in range(chains):
            store_chain(index, tir.broadcast(tirx.const(0.0, "float64"), lanes))
        with serial(instruction.count) as column:
            start = instruction.address(int64(0), column)
            stretch_size = let(T.floordiv(size, int64(chains * lanes)) * int64(vectors * lanes))
            with serial(T.floordiv(stretch_size, int64(vectors * lanes))) as step:
                for index in range(chains):
                    stretch, vector = divmod(index, vectors)
                    begin = start + stretch_size * int64(stretch) + int64(vector * lanes)
                    add(index, let(begin + step * int64(vectors * lanes)))
            done = let(stretch_size * int64(stretches))
            vector_loop(let(size - done), lanes, lambda offset, mask: add(0, let(start + done + offset), mask))
        total = let(load_chain(0))
        for index in range(1, chains):
            total = let(total + load_chain(index))
        store_chain(0, total)
        with serial(int64(lanes)) as lane:
            value, total = let(sums[lane]), _total(instruction)
            T.buffer_store(total, total[int64(0)] + value, [int64(0)])

    def on_gpu(self, instruction):
        """Launch one block of threads per column. It adds its sum atomically to the total."""
        threads = tuning.cuda().threads
        (size,) = instruction.parameters
        start = instruction.address(int64(0), instruction.thread("blockIdx.x", instruction.count))
        thread = instruction.thread("threadIdx.x", threads)
        total = tir.Accumulator(1, tirx.const(0.0, "float64"), "float64")
        with share_of(thread, int64(threads), size) as element:
            g = let(T.Cast("float64", instruction.memory[start + element]))
            total.value += g * g
        block_total = BlockReducer(thread, threads, "float64").of_block(let(total.value), lambda a, b: a + b)
        with tir.when(thread == int64(0)):
            target = T.address_of(_total(instruction)[int64(0)])
            T.evaluate(T.call_extern("float64", "atomicAdd", target, block_total))


def _total(instruction):
    """Return a buffer whose first element is the float64 to which the kernel adds."""
    return tir.buffer_at(instruction.address(int64(1), int64(0)) * int64(4), "float64")
