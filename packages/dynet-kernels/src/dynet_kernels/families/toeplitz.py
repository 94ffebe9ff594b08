"""Products with Toeplitz matrices, whose diagonals are constant: y[k] += sum over i of a[i] b[offset + k + step i].

Circular convolution and correlation are such products, with two copies of b side by side.

Parameters: the lists of y, a and b, the size of y and a, offset, and step, which is 1 or -1.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..functions import vmath
from ..kernels import FLOP, Adds, ByColumns
from ..lazy import T
from ..tir import int64, let, load, store, vector_loop
from .threads import add_atomically, thread_each

OUTPUTS = 8  # vectors of y in a register tile
INPUTS = 4  # elements of a, one vector apart, in a tile: two neighbours share all vectors of b but one


@dataclass(frozen=True)
class Toeplitz(Adds, ByColumns):
    """y[k] += sum over i of a[i] b[offset + k + step i]."""

    parameters = ("y", "a", "b", "size", "offset", "step")
    key = "toeplitz"

    def targets(self, parameters):
        y, _, _, size, *_ = parameters
        return ((y, size),)

    def work(self, parameters):
        _, _, _, size, *_ = parameters
        return 2 * FLOP * size * size

    def cpu(self, lanes):
        """Elements of a that are a whole vector apart need the same vectors of b, which are loaded once."""

        def body(instruction):
            y_role, a_role, b_role, size, offset, step = instruction.parameters
            memory = instruction.memory

            def tile(y, a, b, block):
                """Compute OUTPUTS whole vectors of y."""
                first = let(block * int64(OUTPUTS * lanes))
                sums = [
                    tir.Accumulator(lanes, load(memory, let(y + first + int64(k * lanes)), lanes))
                    for k in range(OUTPUTS)
                ]
                stretch = INPUTS * lanes
                whole = let(T.floordiv(size, int64(stretch)))

                def together(start, forwards):
                    """Use a[start], a[start + lanes], ...: each needs the vectors of b one further, or one back."""
                    factors = [
                        tir.wide(load(memory, let(a + start + int64(q * lanes)), 1), lanes) for q in range(INPUTS)
                    ]
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
                """Compute one vector of y."""
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

        return tir.kernel(body, self.parameters, shared=tir.COLUMNS)

    def cuda(self):
        """A thread for each element of y."""

        def body(instruction):
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

        return tir.kernel(body, self.parameters)
