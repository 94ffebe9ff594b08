"""Products of a vector with a Toeplitz matrix, whose diagonals are constant.

Circular convolution and correlation are such products, where b holds two copies of a vector side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import FLOP, Effects, Kernel
from ..tir import int64, let, load, store, vector_loop
from ..tvm_modules import T
from .threads import add_atomically, thread_each

OUTPUTS = 8  # how many vectors of y are computed together, with their sums in registers
INPUTS = 4  # how many elements of a are used together: a[i], a[i + lanes], a[i + 2 * lanes] and so on


@dataclass(frozen=True)
class Toeplitz(Kernel):
    """y[k] += sum over i < size of a[i] * b[offset + k + step * i] for 0 <= k < size; `step` is 1 or -1."""

    parameters = ("y", "a", "b", "size", "offset", "step")
    name = "toeplitz"

    def effects(self, parameters):
        y, _, _, size, *_ = parameters
        return Effects(((y, size),), 2 * FLOP * size * size)

    def on_cpu(self, instruction, lanes):
        """Handle several elements of `a` together that are one vector length apart: they need almost the same of b."""
        y_role, a_role, b_role, size, offset, step = instruction.parameters
        memory = instruction.memory

        def tile(y, a, b, block):
            """Compute OUTPUTS neighboring vectors of y, from vector `block` * OUTPUTS on."""
            first = let(block * int64(OUTPUTS * lanes))
            sums = [
                tir.Accumulator(lanes, load(memory, let(y + first + int64(k * lanes)), lanes)) for k in range(OUTPUTS)
            ]
            stretch = INPUTS * lanes
            whole = let(T.floordiv(size, int64(stretch)))

            def together(start, forwards):
                """Add the terms of the INPUTS elements a[start], a[start + lanes], and so on."""
                # Each needs OUTPUTS vectors of b, which begin one vector after those of the element before if
                # `forwards`, else one before.
                factors = [tir.wide(load(memory, let(a + start + int64(q * lanes)), 1), lanes) for q in range(INPUTS)]
                low = let(b + first + (start if forwards else int64(0) - start))
                shift = 0 if forwards else -(INPUTS - 1)
                vectors = [
                    load(memory, let(low + int64((shift + m) * lanes)), lanes) for m in range(OUTPUTS + INPUTS - 1)
                ]
                for q, factor in enumerate(factors):
                    for k, total in enumerate(sums):
                        total.set(vmath.fma(factor, vectors[k + q if forwards else k - q - shift], total.get()))

            def all_together(forwards):
                with T.serial(int64(0), whole) as part:
                    with T.serial(int64(0), int64(lanes)) as residue:
                        together(let(part * int64(stretch) + residue), forwards)

            tir.choose(step > int64(0), lambda: all_together(True), lambda: all_together(False))
            with T.serial(let(whole * int64(stretch)), size) as i:
                factor = tir.wide(load(memory, let(a + i), 1), lanes)
                for k, total in enumerate(sums):
                    vector = load(memory, let(b + first + step * i + int64(k * lanes)), lanes)
                    total.set(vmath.fma(factor, vector, total.get()))
            for k, total in enumerate(sums):
                store(memory, let(y + first + int64(k * lanes)), let(total.get()))

        def single(y, a, b, at, mask):
            """Compute one vector of y, from element `at` on."""
            total = tir.Accumulator(lanes, load(memory, let(y + at), lanes, mask))
            with T.serial(int64(0), size) as i:
                factor = tir.wide(load(memory, let(a + i), 1), lanes)
                total.set(vmath.fma(factor, load(memory, let(b + at + step * i), lanes, mask), total.get()))
            store(memory, let(y + at), let(total.get()), mask)

        with T.serial(int64(0), instruction.count) as number:
            y, a = instruction.address(y_role, number), instruction.address(a_role, number)
            b = let(instruction.address(b_role, number) + offset)
            tiles = let(T.floordiv(size, int64(OUTPUTS * lanes)))
            with T.serial(int64(0), tiles) as block:
                tile(y, a, b, block)
            done = let(tiles * int64(OUTPUTS * lanes))
            vector_loop(
                let(size - done),
                lanes,
                lambda at, mask: single(y, a, b, let(done + at), mask),  # noqa: B023
            )

    def on_gpu(self, instruction):
        """Launch one thread per element of y."""
        y_role, a_role, b_role, size, offset, step = instruction.parameters
        memory = instruction.memory
        with thread_each(instruction, instruction.count * size) as number:
            column, k = let(T.floordiv(number, size)), let(T.floormod(number, size))
            a = instruction.address(a_role, column)
            b = let(instruction.address(b_role, column) + offset + k)
            total = tir.Accumulator(1, tir.float32(0.0))
            with T.serial(int64(0), size) as i:
                total.set(let(total.get()) + load(memory, let(a + i), 1) * load(memory, let(b + step * i), 1))
            add_atomically(memory, let(instruction.address(y_role, column) + k), let(total.get()))
