"""The gradient of the matrix of a product y[j] = W x[j]: dW += sum over j of dy[j] x[j]'.

The x[j] and dy[j] were written by many instructions and are no longer in the nearest cache, so the CPU kernel
prefetches those that it needs next while it works, a cache line at a time. "Column" has two meanings here: a column j,
which is an x[j] with its dy[j], and a column of dW.
"""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir, tuning, vmath
from ...kernels import Kernel
from ...layout import BY_ROWS, CACHE_LINE
from ...tir import int64, let, load, quotient, remainder, settled, store
from ...tvm_modules import T
from ..threads import add_atomically
from .panels import Panel, blocks, by_chunks, even_blocks, groups, row_tiles, tiles
from .shared import effects, tiled_product

MOST_COLUMNS = 16  # a tile of dW has at most this many columns of dW, even if it has few rows
TOGETHER = 150_000  # floats of dW that are worked on together, so that they stay in the L2 cache
LARGE = 1 << 18  # a dW with more floats than this does not fit into the L2 cache


def shared_if(shared, size, stretch):
    """Return this thread's range of `size` rows or columns: `stretch` if `shared`, else all."""
    begin, end = stretch
    return settled(T.Select(shared, begin, int64(0))), settled(T.Select(shared, end, size))


@dataclass(frozen=True)
class MatrixGradient(Kernel):
    """dW += sum of dy[j] x[j]' over the columns j that share dW. It must not overlap x, dy or another dW."""

    parameters = ("rows", "inner", "apart", "dmatrix", "x", "dy", "group")
    name = "matrix_gradient"
    shared = BY_ROWS

    def effects(self, parameters):
        rows, inner, _, matrix, x, dy, _ = parameters
        return effects(parameters, matrix, (x, dy), (matrix, rows * inner))

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        # A thread computes some rows of dW and copies all x[j], or some columns and copies all dy[j]. Rows are shared
        # in whole vectors, and so less evenly.
        by_rows = let(rows > int64(2) * inner)
        first_row, end_row = shared_if(by_rows, rows, instruction.stretch(rows, lanes))
        first_column, end_column = shared_if(T.Not(by_rows), inner, instruction.stretch(inner, CACHE_LINE))
        sizes = tuning.cpu(lanes).matrix_gradient

        def one_matrix(first, end):
            by_chunks(some_of_matrix, instruction.address(dw_role, first), first, end)

        def some_of_matrix(dw, first, end):
            tir.choose(end - first <= int64(sizes.few), lambda: of_few(dw, first, end), lambda: of_many(dw, first, end))

        def add(dw, k, width, row, vectors, mask, start, length, panel, xs=None, spread=False, bring=None):
            """Add dy[j] x[j]' to a tile of dW, for `length` columns j from `start` on."""
            # Row n of `panel` is dy[start + n]. xs(n) returns a buffer and where element k of x[start + n] is in it;
            # None: read x in place. `bring` is (brought, prefetch): prefetch(n) for n < `brought` prefetches a line of
            # what is needed next, which costs nothing during the additions; with too few columns j, some lines are left
            # out. If `spread`, the next rows of dW are prefetched a line at a time along with the additions; if not,
            # all at once, and only if dW is large.

            def at(c, v):
                return dw + (k + int64(c)) * apart + row + int64(v * lanes)

            sums = [
                [tir.Accumulator(lanes, load(memory, at(c, v), lanes, mask)) for v in range(vectors)]
                for c in range(width)
            ]

            def step(number):
                buffer, x = xs(number) if xs else (memory, let(instruction.address(x_role, start + number) + k))
                vector = [panel.vector(number, v) for v in range(vectors)]
                for c in range(width):
                    scalar = let(tir.wide(buffer[x + int64(c)], lanes))
                    for v in range(vectors):
                        sums[c][v].set(vmath.fma(vector[v], scalar, sums[c][v].get()))

            if spread:
                lines, next_rows = int64(width * vectors), let(at(0, vectors))
                some = let(T.min(length, lines))

                def next_line(number):
                    column, place = remainder(number, width), quotient(number, width)
                    tir.prefetch_line(memory, next_rows + column * apart + place * int64(lanes))

                with T.serial(some, lines) as number:
                    next_line(number)
                with T.serial(int64(0), some) as number:
                    next_line(number)
                    step(number)
            else:
                some = int64(0)
                with tir.when(rows * inner > int64(LARGE)):
                    for c in range(width):
                        tir.prefetch(memory, let(at(c, vectors)), int64(vectors * lanes))
            if bring:
                brought, prefetch = bring
                before, some = some, let(T.min(some + brought, length))
                with T.serial(before, some) as number:
                    prefetch(number - before)
                    step(number)
            with T.serial(some, length) as number:
                step(number)
            for c in range(width):
                for v in range(vectors):
                    store(memory, at(c, v), sums[c][v].get(), mask)

        def of_few(dw, first, end):
            """Add the terms of few columns j: one panel holds all their dy[j]."""
            width, tall = sizes.few_tile
            panel = Panel(lanes, tall, sizes.few)

            def some_rows(row, vectors, mask):
                panel.fill(memory, end - first, lambda j: instruction.address(dy_role, first + j) + row, vectors, mask)

                def tile(k, width):
                    add(dw, k, width, row, vectors, mask, first, end - first, panel)

                tiles(first_column, end_column, dict.fromkeys((width, (width + 1) // 2, 1)), tile)

            row_tiles(first_row, end_row, lanes, tall, some_rows)

        def of_many(dw, first, end):
            """Add the terms of many columns j: a panel holds some of the dy[j] at a time."""
            # Another holds the x[j], which each row of tiles needs again: few fit into the L1 cache together where they
            # are. This does not pay if dW has one or two rows of tiles.
            width, tall = sizes.tile
            taller = (width * tall // (tall + 1) + 1) * (tall + 1) < tuning.registers(lanes)
            panel = Panel(lanes, tall + taller, sizes.panel)
            x_panel = Panel(lanes, (tuning.WIDE + CACHE_LINE) // lanes, sizes.panel)

            def some_columns(stretch, height, start, length):
                """Add to `height` rows of dW from `stretch` on, for `length` columns j from `start` on."""
                blocks(
                    end_column - first_column,
                    tuning.WIDE,
                    lambda k, size: some_elements(stretch, height, start, length, let(first_column + k), size),
                )

            def some_elements(stretch, height, start, length, first_k, size):
                """Do the same for `size` columns of dW, from `first_k` on."""
                # During each tile of dW, prefetch one cache line of a few of the x[j] or dy[j] that come next: a core
                # can wait for only few lines at a time.
                copied = let(height > int64(2 * tall * lanes))
                with tir.when(copied):
                    x_panel.fill_parts(memory, length, lambda n: instruction.address(x_role, start + n) + first_k, size)
                lines_of_x, lines_of_dy = (
                    let(quotient(floats + int64(CACHE_LINE - 1), CACHE_LINE)) for floats in (size, height)
                )
                lines = let(lines_of_x + lines_of_dy)
                tiles_of_rows = let(quotient(size, width))
                tiles_a_line = let(T.max(quotient(tiles_of_rows * quotient(height, tall * lanes), lines), int64(1)))
                columns_a_tile = let(quotient(length + tiles_a_line - int64(1), tiles_a_line))
                next_columns = let(T.min(start + length, end - length))

                def bring(tile):
                    """Return how many columns j tile number `tile` prefetches a cache line of, and how to do so."""
                    line = let(quotient(tile, tiles_a_line))
                    of_dy = line - lines_of_x
                    role = let(T.Select(of_dy < int64(0), x_role, dy_role))
                    place = settled(
                        T.Select(
                            of_dy < int64(0),
                            first_k + line * int64(CACHE_LINE),
                            stretch + of_dy * int64(CACHE_LINE),
                        )
                    )
                    done = let(remainder(tile, tiles_a_line) * columns_a_tile)
                    column = settled(next_columns + done)
                    some = T.max(T.min(columns_a_tile, length - done), int64(0))
                    needed = T.And(line < lines, end - start > length)

                    def prefetch(number):
                        tir.prefetch_line(memory, instruction.address(role, column + number) + place)

                    return settled(T.Select(needed, some, int64(0))), prefetch

                def some_rows(row, vectors, mask):
                    panel.fill(memory, length, lambda j: instruction.address(dy_role, start + j) + row, vectors, mask)
                    tiles_before = let(quotient(row - stretch, tall * lanes) * tiles_of_rows)
                    # A tile of fewer rows gets more columns of dW, so that it has as many independent sums.
                    wide = max(min(width * tall // vectors, MOST_COLUMNS), 1)
                    widths = sorted({wide, max(wide // 2, 1), min(wide, 2), 1}, reverse=True)

                    def tile(k, width):
                        def xs(number):
                            return x_panel.buffer, let(number * int64(x_panel.width) + (k - first_k))

                        def sums(xs=None, spread=False, bring=None):
                            add(dw, k, width, row, vectors, mask, start, length, panel, xs, spread, bring)

                        if width == wide:
                            needed = bring(let(tiles_before + quotient(k - first_k, wide)))
                            tir.choose(copied, lambda: sums(xs, True, needed), lambda: sums(bring=needed))
                        else:
                            sums()

                    tiles(first_k, let(first_k + size), widths, tile)

                row_tiles(stretch, let(stretch + height), lanes, tall, some_rows, taller)

            def some_stretch(offset, height):
                stretch = let(first_row + offset)
                even_blocks(
                    end - first,
                    int64(sizes.panel),
                    lambda number, length: some_columns(stretch, height, let(first + number), length),
                )

            tile_rows = int64(tall * lanes)
            tiles_together = quotient(int64(TOGETHER), T.max(inner, int64(1)) * tile_rows)
            together = settled(T.max(tiles_together, int64(1)) * tile_rows)
            blocks(end_row - first_row, together, some_stretch)

        groups(instruction, group, one_matrix)

    def on_gpu(self, instruction):
        rows, inner, apart, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (rows, inner, width),
            left=lambda first, i, k: memory[instruction.address(dy_role, first + k) + i],
            right=lambda first, k, j: memory[instruction.address(x_role, first + k) + j],
            write=lambda first, i, j, total: add_atomically(
                memory, instruction.address(dw_role, first) + i + j * apart, total
            ),
        )
