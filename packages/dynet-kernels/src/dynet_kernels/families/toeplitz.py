"""Products of a vector `a` with a Toeplitz matrix. Its diagonals are constant; array `b` has the value of each.

Examples are circular convolution and correlation, where b consists of two copies of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import FLOP, Effects, Kernel
from ..tir import let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each_element

OUTPUTS = 8  # this many vectors of y are computed together, with their sums in registers
INPUTS = 4  # this many elements of a are used together: a[i], a[i + lanes], a[i + 2 * lanes] and so on


@dataclass(frozen=True)
class Toeplitz(Kernel):
    """y[k] += sum over i < size of a[i] * b[offset + k + step * i] for 0 <= k < size; `step` is 1 or -1."""

    parameters = ("y", "a", "b", "size", "offset", "step")

    def effects(self, parameters):
        y, _, _, size, *_ = parameters
        return Effects(((y, size),), 2 * FLOP * size * size)

    def on_cpu(self, instruction, lanes):
        """Combine elements of `a` that are one vector length apart: they need almost the same elements of b."""
        y_role, a_role, b_role, size, offset, step = instruction.parameters
        memory = instruction.memory

        def tile(y, a, b, block):
            """Add all terms to OUTPUTS adjacent vectors of y, starting with vector `block` * OUTPUTS."""
            first = let(block * (OUTPUTS * lanes))
            sums = [tir.Accumulator(lanes, load(memory, let(y + first + k * lanes), lanes)) for k in range(OUTPUTS)]
            stretch = INPUTS * lanes
            whole = let(T.floordiv(size, stretch))

            def together(start, forwards):
                """Add the terms of the INPUTS elements a[start], a[start + lanes], and so on."""
                # Each element needs OUTPUTS vectors of b. They begin one vector later than the previous element's if
                # `forwards`, or else one vector earlier.
                factors = [tir.wide(load(memory, let(a + start + q * lanes)), lanes) for q in range(INPUTS)]
                low = let(b + first + (start if forwards else 0 - start))
                shift = 0 if forwards else -(INPUTS - 1)
                vectors = [load(memory, let(low + (shift + m) * lanes), lanes) for m in range(OUTPUTS + INPUTS - 1)]
                for q, factor in enumerate(factors):
                    for k, total in enumerate(sums):
                        total.value = vmath.fma(factor, vectors[k + q if forwards else k - q - shift], total.value)

            def all_together(forwards):
                with serial(whole) as part:
                    with serial(lanes) as residue:
                        together(let(part * stretch + residue), forwards)

            tir.choose(step > 0, lambda: all_together(True), lambda: all_together(False))
            with serial(let(whole * stretch), size) as i:
                factor = tir.wide(load(memory, let(a + i)), lanes)
                for k, total in enumerate(sums):
                    vector = load(memory, let(b + first + step * i + k * lanes), lanes)
                    total.value = vmath.fma(factor, vector, total.value)
            for k, total in enumerate(sums):
                store(memory, let(y + first + k * lanes), let(total.value))

        def single(y, a, b, start, mask):
            """Add all terms to one vector of y, which begins with element `start`."""
            total = tir.Accumulator(lanes, load(memory, let(y + start), lanes, mask))
            with serial(size) as i:
                factor = tir.wide(load(memory, let(a + i)), lanes)
                total.value = vmath.fma(factor, load(memory, let(b + start + step * i), lanes, mask), total.value)
            store(memory, let(y + start), let(total.value), mask)

        with serial(instruction.count) as column:
            y, a, b = instruction.addresses(column, y_role, a_role, b_role)
            b = let(b + offset)
            tiles = let(T.floordiv(size, OUTPUTS * lanes))
            with serial(tiles) as block:
                tile(y, a, b, block)
            done = let(tiles * (OUTPUTS * lanes))
            rest = let(size - done)
            vector_loop(rest, lanes, lambda start, mask: single(y, a, b, let(done + start), mask))  # noqa: B023

    def on_gpu(self, instruction):
        """Launch one thread per element of y."""
        y_role, a_role, b_role, size, offset, step = instruction.parameters
        memory = instruction.memory
        with thread_each_element(instruction, size) as (column, k):
            a = instruction.address(a_role, column)
            b = let(instruction.address(b_role, column) + offset + k)
            total = tir.Accumulator(1, 0.0)
            with serial(size) as i:
                total.value = let(total.value) + load(memory, let(a + i)) * load(memory, let(b + step * i))
            instruction.write(let(instruction.address(y_role, column) + k), let(total.value), add=True)
