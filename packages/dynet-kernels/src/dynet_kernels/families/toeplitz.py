"""Products of a vector `a` with a matrix whose diagonals, or if `step` is 1 antidiagonals, are constant: array `b`.

Examples are circular convolution and correlation, where b consists of two copies of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import FLOP, Effects, Kernel
from ..tir import let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each_element

Y_VECTORS = 8  # this many vectors of y are computed together, with their sums in registers
A_FLOATS = 4  # this many elements of a are used together: a[i], a[i + lanes], a[i + 2 * lanes] and so on


@dataclass(frozen=True)
class Toeplitz(Kernel):
    """y[k] += sum over i < size of a[i] * b[offset + k + step * i] for 0 <= k < size; `step` is 1 or -1."""

    parameters = ("y", "a", "b", "size", "offset", "step")

    def effects(self, parameters):
        y, _, _, size, *_ = parameters
        return Effects(((y, size),), 2 * FLOP * size * size)

    def on_cpu(self, instruction, lanes):
        """Use several elements of `a` together, `lanes` apart: they need almost the same elements of b."""
        y_role, a_role, b_role, size, offset, step = instruction.parameters
        memory = instruction.memory

        def add_to_tile(y, a, b, tile_index):
            """Add all terms to Y_VECTORS adjacent vectors of y, starting with vector `tile_index` * Y_VECTORS."""
            first = let(tile_index * (Y_VECTORS * lanes))
            sums = [tir.Accumulator(lanes, load(memory, let(y + first + k * lanes), lanes)) for k in range(Y_VECTORS)]
            stretch = A_FLOATS * lanes
            whole_stretches = let(T.floordiv(size, stretch))

            def add_elements(start, is_forward):
                """Add the terms of the A_FLOATS elements a[start], a[start + lanes], and so on."""
                # Each element needs Y_VECTORS vectors of b. These begin one vector later than those of the previous
                # element if `is_forward`, else one vector earlier.
                factors = [tir.broadcast(load(memory, let(a + start + q * lanes)), lanes) for q in range(A_FLOATS)]
                low = let(b + first + (start if is_forward else 0 - start))
                shift = 0 if is_forward else -(A_FLOATS - 1)
                vectors = [load(memory, let(low + (shift + m) * lanes), lanes) for m in range(Y_VECTORS + A_FLOATS - 1)]
                for q, factor in enumerate(factors):
                    for k, total in enumerate(sums):
                        total.value = vmath.fma(factor, vectors[k + q if is_forward else k - q - shift], total.value)

            def add_stretches(is_forward):
                with serial(whole_stretches) as index:
                    with serial(lanes) as lane:
                        add_elements(let(index * stretch + lane), is_forward)

            tir.choose(step > 0, lambda: add_stretches(True), lambda: add_stretches(False))
            with serial(let(whole_stretches * stretch), size) as i:
                factor = tir.broadcast(load(memory, let(a + i)), lanes)
                for k, total in enumerate(sums):
                    vector = load(memory, let(b + first + step * i + k * lanes), lanes)
                    total.value = vmath.fma(factor, vector, total.value)
            for k, total in enumerate(sums):
                store(memory, let(y + first + k * lanes), let(total.value))

        def add_to_vector(y, a, b, start, mask):
            """Add all terms to one vector of y, which begins with element `start`."""
            total = tir.Accumulator(lanes, load(memory, let(y + start), lanes, mask))
            with serial(size) as i:
                factor = tir.broadcast(load(memory, let(a + i)), lanes)
                total.value = vmath.fma(factor, load(memory, let(b + start + step * i), lanes, mask), total.value)
            store(memory, let(y + start), let(total.value), mask)

        with serial(instruction.count) as column:
            y, a, b = instruction.addresses(column, y_role, a_role, b_role)
            b = let(b + offset)
            tiles = let(T.floordiv(size, Y_VECTORS * lanes))
            with serial(tiles) as tile_index:
                add_to_tile(y, a, b, tile_index)
            done = let(tiles * (Y_VECTORS * lanes))
            rest = let(size - done)
            vector_loop(rest, lanes, lambda start, mask: add_to_vector(y, a, b, let(done + start), mask))  # noqa: B023

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
