"""Products of a matrix with columns that may be anywhere in memory: y[j] = start[j] + W x[j]."""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir, tuning
from ...kernels import Kernel
from ...layout import EITHER
from ...tir import int64, let, load, quotient, remainder, settled, store
from ...tvm_modules import T
from .panels import Sums, blocks, by_chunks, groups, row_tiles
from .shared import effects, tiled_product

FITS = 12_000  # a matrix of fewer floats than this stays in the L1 cache together with the x and y in use
APART = 64  # if the columns of W are a multiple of this many floats apart, they crowd into few sets of the L1 cache
CROWD = 20  # for fewer columns x[j] than this, panels do not pay in this case
ENOUGH = 6  # in tiles of at least this many columns, arithmetic takes so long that prefetches cost no time


@dataclass(frozen=True)
class Product(Kernel):
    """y[j] = start[j] + W x[j]. If the parameter `start` is -1, start[j] is 0.

    No y[j] overlaps with another one, with W or with x; start[j] may be y[j] itself.
    """

    parameters = ("rows", "inner", "apart", "matrix", "x", "y", "start", "group")
    name = "product"
    shared = EITHER

    def effects(self, parameters):
        rows, _, _, matrix, x, y, start, _ = parameters
        return effects(parameters, matrix, (x, start) if start >= 0 else (x,), (y, rows))

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, w_role, x_role, y_role, start_role, group = instruction.parameters
        memory = instruction.memory
        sizes = tuning.cpu(lanes).product
        vectors_for = dict(sizes.tiles)
        first_row, end_row = instruction.stretch(rows, lanes)
        sums = Sums(instruction, lanes, x_role, y_role, first_row, end_row)

        def with_panels(w, first, end):
            """Emit y[j] for j in [first, end) from copies of parts of W."""

            def fill(panel, row, vectors, mask, k, length):
                panel.fill(memory, length, lambda number: w + (k + number) * apart + row, vectors, mask)

            def bring(row, vectors, k, part):
                next_rows = let(w + k * apart + row + (int64(vectors) + part) * int64(lanes))
                return lambda number: tir.prefetch_line(memory, next_rows + number * apart)

            sums.by_panels(fill, bring, sizes.tiles[0], sizes.panel, inner, first, end, start_role, row_first=True)

        def in_place(w, first, end):
            """Emit y[j] for j in [first, end), reading W where it is stored."""

            def rows_of(row, vectors, mask, start, width):
                def vector_of(k, v):
                    at = let(w + k * apart + row + int64(v * lanes))
                    if width >= ENOUGH:
                        tir.prefetch_line(memory, at + int64(vectors * lanes))  # for the next tile of rows
                    return load(memory, at, lanes, mask)

                # If fewer columns are left than the tile has, it computes the last one several times.
                columns = [start] + [settled(T.min(start + int64(j), end - int64(1))) for j in range(1, width)]
                sums.tile(vector_of, columns, row, vectors, mask, int64(0), inner, start_role)

            def each_width(start, width):
                row_tiles(
                    first_row,
                    end_row,
                    lanes,
                    vectors_for[width],
                    lambda row, vectors, mask: rows_of(row, vectors, mask, start, width),
                )

            # With fewer columns than rows, each tile of rows is used for all columns, so that W is read only once; else
            # all rows are used for one tile of columns after the other, so that x is read only once. Columns that the
            # widest tiles leave over go into one more tile, the narrowest that holds them.
            widest, *narrower = [width for width, _ in sizes.tiles]
            rest = let(remainder(end - first, widest))
            few = T.Select(rest <= int64(narrower[0] if narrower else 0), rest, int64(0))
            narrow = settled(few)
            count = let(end - first - narrow)
            at_once = let(T.Select(count < rows, T.max(count, int64(1)), int64(widest)))

            def some_columns(start, length):
                def all_of_these(row, vectors, mask):
                    with T.serial(int64(0), quotient(length + int64(widest - 1), widest)) as turn:
                        rows_of(row, vectors, mask, let(first + start + turn * int64(widest)), widest)

                row_tiles(first_row, end_row, lanes, vectors_for[widest], all_of_these)

            blocks(count, at_once, some_columns)
            for width, narrower_one in zip(narrower, [*narrower[1:], 0]):
                with tir.when(T.And(narrow > int64(narrower_one), narrow <= int64(width))):
                    each_width(let(first + count), width)

        def one_matrix(first, end):
            w = instruction.shared_address(w_role, first)
            many = end - first >= int64(sizes.many)
            far = T.And(many, rows >= int64(sizes.far))
            large = T.And(end - first > int64(sizes.tiles[0][0]), rows * inner >= int64(sizes.large))
            # If the columns of W are not whole vectors, vectors straddle two cache lines. If also W does not fit into
            # the L1 cache, each costs two reads, so that panels pay.
            again = T.And(T.And(many, end - first > rows), rows * inner >= int64(FITS))
            straddles = T.And(remainder(apart, lanes) != int64(0), again)
            enough = T.And(end - first >= int64(CROWD), (end - first) * rows >= int64(sizes.crowded))
            crowded = T.And(remainder(apart, APART) == int64(0), enough)
            pays = T.And(inner > int64(0), T.Or(T.Or(far, large), T.Or(straddles, crowded)))
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    def on_gpu(self, instruction):
        rows, inner, apart, w_role, x_role, y_role, start_role, group = instruction.parameters
        memory = instruction.memory

        def write(i, j, total):
            at = let(instruction.address(y_role, j) + i)
            tir.choose(
                start_role >= int64(0),
                lambda: store(memory, at, total + memory[instruction.address(start_role, j) + i]),
                lambda: store(memory, at, total),
            )

        tiled_product(
            instruction,
            group,
            lambda width: (rows, width, inner),
            left=lambda first, i, k: memory[instruction.address(w_role, first) + i + k * apart],
            right=lambda first, k, j: memory[instruction.address(x_role, first + j) + k],
            write=lambda first, i, j, total: write(i, let(first + j), total),
        )
