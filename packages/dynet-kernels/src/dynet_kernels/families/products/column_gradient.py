"""The gradient of the columns of a product y[j] = W x[j]: dx[j] += W' dy[j]."""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir, tuning, vmath
from ...kernels import Kernel
from ...layout import CACHE_LINE, EITHER
from ...tir import int64, let, load, quotient, remainder, store, vector_loop
from ...tvm_modules import T
from ..threads import add_atomically
from .panels import Sums, blocks, by_chunks, groups, tiles
from .shared import effects, tiled_product

# `one_matrix` estimates with these which of two ways to compute dx is faster.
ACROSS = 6  # adding up the n lanes of a vector takes as long as adding the terms of this many times n rows of W
READ_AGAIN = 1 << 17  # a matrix of up to this many floats stays in the cache, so it can be read again quickly
AS_IF = 96  # larger matrices are slow to read again; the estimate assumes at most this many rows for them


@dataclass(frozen=True)
class ColumnGradient(Kernel):
    """dx[j] += W' dy[j]. Several j may share dx[j], unless the instruction is fresh; dx overlaps neither W nor dy."""

    parameters = ("rows", "inner", "apart", "matrix", "dx", "dy", "group")
    name = "column_gradient"
    shared, may_set = EITHER, True

    def effects(self, parameters):
        _, inner, _, matrix, dx, dy, _ = parameters
        return effects(parameters, matrix, (dy,), (dx, inner), covers=True)

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        begin, stop = instruction.stretch(inner, lanes)

        def tile(w, columns, k, width, first_row, height):
            """Add the terms of `height` rows of W, from `first_row` on, to `width` elements of dx, from k on."""
            dy = [let(instruction.address(dy_role, j) + first_row) for j in columns]
            dx = [instruction.address(dx_role, j) for j in columns]
            zero = tir.wide(tir.float32(0.0), lanes)
            sums = [[tir.Accumulator(lanes, zero) for _ in range(width)] for _ in columns]

            def step(row, mask=None):
                at = let(w + first_row + k * apart + row)
                matrix = [load(memory, at + int64(c) * apart, lanes, mask) for c in range(width)]
                for j in range(len(columns)):
                    vector = load(memory, dy[j] + row, lanes, mask)
                    for c in range(width):
                        sums[j][c].set(vmath.fma(matrix[c], vector, sums[j][c].get()))

            vector_loop(height, lanes, step)
            adds = T.Or(instruction.fresh == int64(0), first_row > int64(0))
            for j in range(len(columns)):
                at = let(dx[j] + k)
                totals = vmath.horizontal_sums([let(total.get()) for total in sums[j]])
                for c, total in totals.items():
                    lane_count = vmath.lanes_of(total)
                    so_far = load(memory, at + int64(c), lane_count)
                    nothing = tir.wide(tir.float32(0.0), lane_count)
                    so_far = let(T.Select(tir.wide(adds, lane_count), so_far, nothing))
                    store(memory, at + int64(c), so_far + total)

        sizes = tuning.cpu(lanes).column_gradient
        width_for = dict(sizes.tiles)

        def in_place(w, first, end):
            """Emit dx[j] for j in [first, end), reading W in place."""
            # A vector holds elements of one column of W, so the lanes of each sum are added up in the end.

            def some_rows(first_row, height):
                def some_columns(start, n):
                    columns = [let(start + int64(j)) for j in range(n)]
                    tiles(
                        begin,
                        stop,
                        dict.fromkeys((width_for[n], 1)),
                        lambda k, width: tile(w, columns, k, width, first_row, height),
                    )

                tiles(first, end, list(width_for), some_columns)

            fitting = quotient(int64(sizes.block), T.max(inner, int64(1)))
            height = let(quotient(T.max(fitting, int64(256)), lanes))
            blocks(rows, let(height * int64(lanes)), some_rows)

        def with_panels(w, first, end):
            """Emit dx[j] for j in [first, end) from panels, which are transposed copies of parts of W."""
            # A vector holds elements of one row of W, so no lanes have to be added up.

            def fill(panel, row, vectors, mask, k, length):
                def column(number):
                    place = row + number
                    return w + (T.min(place, inner - int64(1)) if mask is not None else place) * apart + k

                panel.fill_transposed(memory, length, column, vectors)

            def bring(row, vectors, k, part):
                # After the last elements of dx, the next panel is for the first ones again, from rows further down.
                beyond = row + int64(vectors * lanes) >= stop
                next_row = T.Select(beyond, begin, row + int64(vectors * lanes)) + part * int64(lanes)
                at = let(w + next_row * apart + T.Select(beyond, k + int64(sizes.panel), k))
                lines = sizes.panel // CACHE_LINE  # cache lines per column of W in a panel

                def line(number):
                    column, place = quotient(number, lines), remainder(number, lines)
                    tir.prefetch_line(memory, at + column * apart + place * int64(CACHE_LINE))

                return line

            sums = Sums(instruction, lanes, dy_role, dx_role, begin, stop, shared=True)
            start_role = let(T.Select(instruction.fresh == int64(0), dx_role, int64(-1)))
            sums.by_panels(fill, bring, sizes.tile, sizes.panel, rows, first, end, start_role, row_first=False)

        def one_matrix(first, end):
            w = instruction.shared_address(w_role, first)
            # Estimate which way is faster. In place, lanes must be added up, and W is read again forevery few columns
            # j. With panels, W is transposed first, and lanes beyond `inner` are wasted. Each thread counts the columns
            # of all threads, so that all choose the same way.
            columns, vectors = let(end - first + instruction.others), quotient(inner + int64(lanes - 1), lanes)
            filled = let(T.max(vectors * int64(lanes), int64(lanes + lanes // 2)))
            summed = let(T.Select(rows * inner > int64(READ_AGAIN), T.min(rows, int64(AS_IF)), rows))
            across, hundred = ACROSS * lanes, int64(100)
            in_place_costs = hundred * columns * inner * (summed + int64(across))
            pays = in_place_costs > (hundred * columns + int64(across * sizes.many)) * filled * summed
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    def on_gpu(self, instruction):
        rows, inner, apart, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (inner, width, rows),
            left=lambda first, i, k: memory[instruction.address(w_role, first) + k + i * apart],
            right=lambda first, k, j: memory[instruction.address(dy_role, first + j) + k],
            write=lambda first, i, j, total: add_atomically(memory, instruction.address(dx_role, first + j) + i, total),
        )
