"""The kernels of matrix products and of their gradients.

In `MatrixGradient`, "column" has two meanings: column j of the instruction, which is x[j] and dy[j], and a column of
dW. The x[j] and dy[j] come from many earlier instructions, so they are no longer in the L1 cache. While the CPU kernel
computes, it prefetches the next x[j] and dy[j], one cache line at a time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ... import tir, tuning, vmath
from ...kernels import FLOP, L2_FLOATS, Effects, Kernel
from ...layout import BY_ROWS, CACHE_LINE, EITHER
from ...tir import int64, let, load, quotient, remainder, serial, settled, store, vector_loop
from ...tvm_modules import T
from . import copies, pairs, precision, rounding
from .cuda_tiles import tiled_product
from .panels import Panel, TileSums, add_products, by_blocks, each_matrix, each_row_tile, each_tile, split, split_evenly
from .rounding import rounded

L1_FLOATS = 12_000  # a matrix of fewer floats than this stays in the L1 cache together with the x[j] and y[j] in use
CONFLICT_STRIDE = 64  # if columns of W are a multiple of this many floats apart, they share a few sets of the L1 cache
MIN_CONFLICT_COLUMNS = 20  # in that case, panels pay only if there are at least this many columns x[j]
MIN_PREFETCH_WIDTH = 6  # tiles of at least this many columns x[j] prefetch W: their arithmetic takes long enough


def product_effects(
    size: int, group: int, matrix: int, columns: tuple[int, ...], target: tuple[int, int], covers: bool = False
) -> Effects:
    """Return the effects of a product with a matrix of `size` floats, or of its gradient.

    `matrix` and `columns` are the roles that are read; `target` is (role, floats per column). See `Effects.covers`.
    """
    # If all columns share one matrix (`group` is 0), only the first address of the matrix's list is read.
    reads, firsts = ((*columns, matrix), ()) if group else (columns, (matrix,))
    shared = BY_ROWS if group or size > L2_FLOATS or target[0] == matrix else EITHER
    return Effects((target,), 2 * size * FLOP, shared, reads, firsts, covers)


# Products of at least this many columns are worth packing: of floats, and of a copy of bfloat16s.
MANY, MANY_WITH_COPY = 3, {precision.AMX: 4, precision.AVX512: 16}


def choose_way(
    instruction, w, first, end, size, copy, offset_of, with_pairs, with_copy, panels_pay, with_panels, without_panels
):
    """Emit a product of columns [first, end) in several ways, of which the kernel chooses one.

    W, at address `w`, has `size` floats. If it has a `copy` (see `layout.PARAMETER`), W is a whole parameter: offsets
    count floats in one and bfloat16s in the other. The number of threads must not matter for the choice. `with_pairs`
    gets W as a `pairs.Factor`, in which offset_of(i, n) is the offset of term n of target i, and `with_copy` a buffer.
    """
    if not rounding.has_instructions():
        by_panels = functools.partial(by_blocks, with_panels, w, first, end)
        tir.choose(panels_pay, by_panels, lambda: without_panels(w, first, end))
        return

    def choose(least, factor, emit_few):
        pays = T.And(end - first + instruction.others >= least, size >= pairs.LEAST_SIZE)
        tir.choose(pays, lambda: with_pairs(factor, first, end), emit_few)

    def choose_for_copy():
        least, shorts = MANY_WITH_COPY[precision.factors()], tir.buffer_at(let(4 * (w + copy)), "uint16")
        choose(least, pairs.ShortFactor(shorts, offset_of), lambda: with_copy(shorts, first, end))

    floats = pairs.Factor(instruction.memory, lambda i, n: w + offset_of(i, n))
    is_usable = instruction.memory[w + T.max(copy - CACHE_LINE, 0)] == tir.float32(0.0)
    tir.choose(
        T.And(copy > 0, is_usable),
        choose_for_copy,
        lambda: choose(MANY, floats, lambda: without_panels(w, first, end)),
    )


@dataclass(frozen=True)
class Product(Kernel):
    """y[j] = start[j] + W x[j]. If the parameter `start` is -1, start[j] is 0. For `copy`, see `choose_way`.

    No y[j] overlaps another y[j], W or x. start[j] may be y[j] itself.
    """

    parameters = ("rows", "inner", "apart", "matrix", "x", "y", "start", "group", "copy")
    shared, has_factors = EITHER, True

    def effects(self, parameters):
        rows, inner, _, matrix, x, y, start, group, _ = parameters
        return product_effects(rows * inner, group, matrix, (x, start) if start >= 0 else (x,), (y, rows))

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, w_role, x_role, y_role, start_role, group, copy = instruction.parameters
        memory = instruction.memory
        sizes = tuning.cpu(lanes).product
        vectors_for_width = dict(sizes.tiles)
        first_row, end_row = instruction.own_rows(rows, lanes)
        sums = TileSums(instruction, lanes, x_role, y_role, first_row, end_row)

        def with_panels(w, first, end):
            """Emit y[j] for j in [first, end) from panels."""

            def fill(panel, row, vectors, mask, k, length):
                panel.fill(memory, length, lambda column: w + (k + column) * apart + row, vectors, mask)

            def prefetcher(row, vectors, k, v):
                next_rows = let(w + k * apart + row + (vectors + v) * lanes)
                return lambda column: tir.prefetch_line(memory, next_rows + column * apart)

            sums.by_panels(fill, prefetcher, sizes.tiles[0], sizes.panel, inner, first, end, start_role, row_major=True)

        x = pairs.Factor(memory, lambda j, k: instruction.address(x_role, j) + k)

        def write(j, row, value, mask, before):
            role = let(T.Select(before > 0, y_role, start_role))
            loads = T.And(mask, T.Broadcast(role >= 0, lanes))
            start = pairs.load_or_zero(memory, let(instruction.address(T.max(role, 0), j) + row), loads)
            store(memory, let(instruction.address(y_role, j) + row), value + start, mask)

        def with_pairs(matrix, first, end):
            """Emit y[j] for j in [first, end) by instructions for bfloat16."""
            pairs.add_up(inner, (first, end), (first_row, end_row), x, matrix, write, True, False)

        def with_copy(shorts, first, end):
            """Emit y[j] for a few j in [first, end) from a copy of W."""
            copies.multiply_few(shorts, apart, inner, (first, end), (first_row, end_row), x, write)

        def without_panels(w, first, end):
            """Emit y[j] for j in [first, end), reading W where it is stored."""

            def emit_tile(start, width, row, vectors, mask):
                def load_vector(k, v):
                    offset = let(k * apart + row + v * lanes)
                    if width >= MIN_PREFETCH_WIDTH:
                        tir.prefetch_line(memory, w + offset + vectors * lanes)  # for the next tile of rows
                    return rounded(load(memory, let(w + offset), lanes, mask))

                # If the tile has more columns than are left, compute the last column several times.
                columns = [start] + [settled(T.min(start + j, end - 1)) for j in range(1, width)]
                sums.compute_tile(load_vector, columns, row, vectors, mask, 0, inner, start_role)

            # With fewer columns than rows, use each tile of rows for all columns, so that W is read only once.
            # Otherwise, use all rows for one tile of columns after another, so that x is read only once. Columns that
            # do not fill a tile of the widest size go into the narrowest tile that holds them.
            widest, *narrower = vectors_for_width
            rest = let(remainder(end - first, widest))
            narrow_count = settled(T.Select(rest <= (narrower[0] if narrower else 0), rest, int64(0)))
            count = let(end - first - narrow_count)
            columns_at_once = let(T.Select(count < rows, T.max(count, 1), int64(widest)))

            def emit_columns(start, length):
                def emit_rows(row, vectors, mask):
                    with serial(quotient(length + (widest - 1), widest)) as turn:
                        emit_tile(let(first + start + turn * widest), widest, row, vectors, mask)

                each_row_tile(first_row, end_row, lanes, vectors_for_width[widest], emit_rows)

            split(count, columns_at_once, emit_columns)
            for width, next_narrower in zip(narrower, [*narrower[1:], 0]):
                with tir.when(T.And(narrow_count > next_narrower, narrow_count <= width)):
                    emit = functools.partial(emit_tile, let(first + count), width)
                    each_row_tile(first_row, end_row, lanes, vectors_for_width[width], emit)

        def emit_matrix(first, end):
            w = instruction.shared_address(w_role, first)
            # `tuning.ProductTuning` explains `many`, `far`, `large` and `crowded`.
            columns, size = end - first, rows * inner
            many = columns >= sizes.many
            far = T.And(many, rows >= sizes.far)
            large = T.And(columns > sizes.tiles[0][0], size >= sizes.large)
            # If columns of W are not whole vectors apart, vectors straddle two cache lines. If W does not fit into the
            # L1 cache and is reread for each tile (columns > rows), such a vector costs two reads: panels are faster.
            too_large = T.And(T.And(many, columns > rows), size >= L1_FLOATS)
            straddles = T.And(remainder(apart, lanes) != 0, too_large)
            worth_copying = T.And(columns >= MIN_CONFLICT_COLUMNS, columns * rows >= sizes.crowded)
            crowded = T.And(remainder(apart, CONFLICT_STRIDE) == 0, worth_copying)
            pays = T.And(inner > 0, T.Or(T.Or(far, large), T.Or(straddles, crowded)))
            ways = with_pairs, with_copy, pays, with_panels, without_panels
            choose_way(instruction, w, first, end, size, copy, lambda row, k: k * apart + row, *ways)

        pairs.with_instructions(lambda: each_matrix(instruction, group, emit_matrix))

    def on_gpu(self, instruction):
        rows, inner, apart, w_role, x_role, y_role, start_role, group, _ = instruction.parameters
        memory = instruction.memory

        def write(i, j, total):
            address = let(instruction.address(y_role, j) + i)
            tir.choose(
                start_role >= 0,
                lambda: store(memory, address, total + memory[instruction.address(start_role, j) + i]),
                lambda: store(memory, address, total),
            )

        tiled_product(
            instruction,
            group,
            lambda width: (rows, width, inner),
            left=lambda first, i, k: memory[instruction.address(w_role, first) + i + k * apart],
            right=lambda first, k, j: memory[instruction.address(x_role, first + j) + k],
            write=lambda first, i, j, total: write(i, let(first + j), total),
        )


# With the next three constants, `ColumnGradient.on_cpu` estimates which of its two ways to compute dx is faster.
LANE_SUM_COST = 6  # adding up the n lanes of a vector takes as long as adding the terms of this many times n rows of W
CACHED_FLOATS = 1 << 17  # a matrix of up to this many floats stays in the cache, so reading it several times is fast
MAX_COUNTED_ROWS = 96  # of a larger W, at most this many rows are counted. This favors panels, which read W less often


@dataclass(frozen=True)
class ColumnGradient(Kernel):
    """dx[j] += W' dy[j]. Several j may share dx[j], unless the instruction is fresh; dx overlaps neither W nor dy."""

    parameters = ("rows", "inner", "apart", "matrix", "dx", "dy", "group", "copy")
    shared, may_set, has_factors = EITHER, True, True

    def effects(self, parameters):
        rows, inner, _, matrix, dx, dy, group, _ = parameters
        return product_effects(rows * inner, group, matrix, (dy,), (dx, inner), covers=True)

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, w_role, dx_role, dy_role, group, copy = instruction.parameters
        memory = instruction.memory
        begin, stop = instruction.own_rows(inner, lanes)

        def store_sums(address, totals, adds):
            """Add up the lanes of each total, and set or add these sums to elements of dx[j]."""
            for c, total in vmath.horizontal_sums([let(total.value) for total in totals]).items():
                lane_count = vmath.lanes_of(total)
                so_far = load(memory, address + c, lane_count)
                so_far = let(T.Select(tir.broadcast(adds, lane_count), so_far, tir.broadcast(0.0, lane_count)))
                store(memory, address + c, so_far + total)

        def add_tile(w, columns, k, width, first_row, height):
            """Add the terms of `height` rows of W, from `first_row`, to `width` elements of each dx[j], from k."""
            dy = [let(instruction.address(dy_role, j) + first_row) for j in columns]
            dx = [instruction.address(dx_role, j) for j in columns]
            zero = tir.broadcast(0.0, lanes)
            sums = [[tir.Accumulator(lanes, zero) for _ in range(width)] for _ in columns]

            def add_vector(row, mask=None):
                offset = let(w + first_row + k * apart + row)
                matrix = [rounded(load(memory, let(offset + c * apart), lanes, mask)) for c in range(width)]
                for start, totals in zip(dy, sums):
                    add_products(totals, matrix, rounded(load(memory, start + row, lanes, mask)))

            vector_loop(height, lanes, add_vector)
            adds = T.Or(instruction.fresh == 0, first_row > 0)  # in a fresh instruction, the first rows overwrite dx[j]
            for start, totals in zip(dx, sums):
                store_sums(let(start + k), totals, adds)

        sizes = tuning.cpu(lanes).column_gradient
        width_for = dict(sizes.tiles)

        def without_panels(w, first, end):
            """Emit dx[j] for j in [first, end), reading W where it is stored."""
            # A vector holds elements of one column of W, for one element of dx[j]: add up its lanes at the end.

            def emit_rows(first_row, height):
                def emit_columns(start, n):
                    columns = [let(start + j) for j in range(n)]
                    widths = dict.fromkeys((width_for[n], 1))
                    emit = lambda k, width: add_tile(w, columns, k, width, first_row, height)  # noqa: E731
                    each_tile(begin, stop, widths, emit)

                each_tile(first, end, width_for, emit_columns)

            rows_in_cache = quotient(sizes.block, T.max(inner, 1))  # this many rows of W stay in the cache
            height = let(quotient(T.max(rows_in_cache, 256), lanes))  # of a block of rows, in vectors
            split(rows, let(height * lanes), emit_rows)  # at least 256 rows: adding up a block's lanes takes time

        def with_panels(w, first, end):
            """Emit dx[j] for j in [first, end) from panels, which are transposed copies of sections of W."""
            # A vector holds elements of one row of W, each for a different element of dx[j]: no lanes are added up. In
            # `fill`, `row` and `k` are those of the transpose: the transpose's row i is W's column i, and vice versa.

            def fill(panel, row, vectors, mask, k, length):
                def column_address(n):  # unused lanes, beyond the last column of W, read that column again
                    index = row + n
                    return w + (T.min(index, inner - 1) if mask is not None else index) * apart + k

                panel.fill_transposed(memory, length, column_address, vectors)

            def prefetcher(row, vectors, k, v):
                # After the last elements of dx[j], the next panel is for the first ones again, with later rows of W.
                after = row + vectors * lanes
                beyond = after >= stop
                next_row = T.Select(beyond, begin, after) + v * lanes
                address = let(w + next_row * apart + T.Select(beyond, k + sizes.panel, k))
                lines = sizes.panel // CACHE_LINE  # cache lines per column of W in a panel

                def prefetch(line):
                    column, offset = quotient(line, lines), remainder(line, lines)
                    tir.prefetch_line(memory, address + column * apart + offset * CACHE_LINE)

                return prefetch

            sums = TileSums(instruction, lanes, dy_role, dx_role, begin, stop, shares_target=True)
            start_role = let(T.Select(instruction.fresh == 0, dx_role, int64(-1)))
            sums.by_panels(fill, prefetcher, sizes.tile, sizes.panel, rows, first, end, start_role, row_major=False)

        dy = pairs.Factor(memory, lambda j, row: instruction.address(dy_role, j) + row)

        def with_pairs(transpose, first, end):
            """Emit dx[j] for j in [first, end) by instructions for bfloat16."""

            def write(j, k, value, mask, before):
                address = let(instruction.address(dx_role, j) + k)
                adds = T.Broadcast(T.Or(before > 0, instruction.fresh == 0), lanes)
                start = pairs.load_or_zero(memory, address, T.And(mask, adds))
                store(memory, address, value + start, mask)

            pairs.add_up(rows, (first, end), (begin, stop), dy, transpose, write, True, True)

        def with_copy(shorts, first, end):
            """Emit dx[j] for a few j in [first, end) from a copy of W."""

            def write(j, k, totals, before):
                adds = T.Or(instruction.fresh == 0, before > 0)
                store_sums(let(instruction.address(dx_role, j) + k), totals, adds)

            copies.multiply_few_transposed(shorts, apart, rows, (first, end), (begin, stop), dy, write)

        def emit_matrix(first, end):
            w = instruction.shared_address(w_role, first)
            # Estimate which way is faster. Without panels, lanes must be added up, and W is read once for every few
            # columns j. With panels, W is transposed first, and lanes beyond `inner` are wasted. `sizes.many` counts
            # columns per 100 rows of W. `columns` includes other threads' columns: threads must choose the same way.
            columns, vectors = let(end - first + instruction.others), quotient(inner + (lanes - 1), lanes)
            padded_inner = let(T.max(vectors * lanes, lanes + lanes // 2))
            counted_rows = let(T.Select(rows * inner > CACHED_FLOATS, T.min(rows, MAX_COUNTED_ROWS), rows))
            lane_sum_cost = LANE_SUM_COST * lanes
            without_panels_cost = 100 * columns * inner * (counted_rows + lane_sum_cost)
            pays = without_panels_cost > (100 * columns + lane_sum_cost * sizes.many) * padded_inner * counted_rows
            ways = with_pairs, with_copy, pays, with_panels, without_panels
            choose_way(instruction, w, first, end, rows * inner, copy, lambda k, row: k * apart + row, *ways)

        pairs.with_instructions(lambda: each_matrix(instruction, group, emit_matrix))

    def on_gpu(self, instruction):
        rows, inner, apart, w_role, dx_role, dy_role, group, _ = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (inner, width, rows),
            left=lambda first, i, k: memory[instruction.address(w_role, first) + k + i * apart],
            right=lambda first, k, j: memory[instruction.address(dy_role, first + j) + k],
            write=lambda first, i, j, total: instruction.write(
                instruction.address(dx_role, first + j) + i, total, add=True
            ),
        )


MANY_TERMS = 12  # gradients of at least this many columns are worth packing
MAX_TILE_COLUMNS = 16  # a tile of dW has at most this many columns of dW, even if it has few rows
BLOCK_FLOATS = 150_000  # about this many floats of dW are worked on together, so that they stay in the L2 cache
LARGE_MATRIX_FLOATS = 1 << 18  # if dW has more floats than this, it does not fit into the L2 cache


def thread_range(is_shared, size, own_range):
    """Return a thread's rows or columns: `own_range` if threads share them (`is_shared`), else all `size` of them."""
    begin, end = own_range
    return settled(T.Select(is_shared, begin, int64(0))), settled(T.Select(is_shared, end, size))


@dataclass(frozen=True)
class MatrixGradient(Kernel):
    """dW += sum of dy[j] x[j]' over the columns j that share dW. dW must not overlap x, dy or another dW."""

    parameters = ("rows", "inner", "apart", "dmatrix", "x", "dy", "group")
    shared, has_factors = BY_ROWS, True

    def effects(self, parameters):
        rows, inner, _, matrix, x, dy, group = parameters
        return product_effects(rows * inner, group, matrix, (x, dy), (matrix, rows * inner))

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        # A thread computes some rows of dW and copies all x[j] to panels, or it computes some columns of dW and copies
        # all dy[j]. With more than twice as many rows as columns, copying the x[j] is faster: they are shorter.
        by_rows = let(rows > 2 * inner)
        first_row, end_row = thread_range(by_rows, rows, instruction.own_rows(rows, lanes))
        first_column, end_column = thread_range(T.Not(by_rows), inner, instruction.own_rows(inner, CACHE_LINE))
        sizes = tuning.cpu(lanes).matrix_gradient

        def emit_matrix(first, end):
            arguments = let(instruction.address(dw_role, first)), first, end
            if rounding.has_instructions():
                pays = T.And(end - first >= MANY_TERMS, rows * inner >= pairs.LEAST_SIZE)
                emit_few = functools.partial(by_blocks, emit_column_block, *arguments)
                tir.choose(pays, lambda: with_pairs(*arguments), emit_few)
            else:
                by_blocks(emit_column_block, *arguments)

        def with_pairs(dw, first, end):
            """Add dy[j] x[j]' for j in [first, end) by instructions for bfloat16."""

            def write(k, row, value, mask, _):
                address = let(dw + k * apart + row)
                store(memory, address, value + load(memory, address, lanes, mask), mask)

            x = pairs.Factor(memory, lambda k, j: instruction.address(x_role, first + j) + k)
            dy = pairs.Factor(memory, lambda row, j: instruction.address(dy_role, first + j) + row)
            targets = first_column, end_column
            pairs.add_up(let(end - first), targets, (first_row, end_row), x, dy, write, False, False)

        def emit_column_block(dw, first, end):
            tir.choose(end - first <= sizes.few, lambda: add_few(dw, first, end), lambda: add_many(dw, first, end))

        def add_tile(dw, k, width, row, vectors, mask, start, length, panel, x_at=None, spread=False, prefetches=None):
            """Add dy[j] x[j]' to a tile of dW, for `length` columns j, starting at `start`."""
            # Row n of `panel` is dy[start + n]. x_at(n) returns a buffer, and the offset in this buffer of element k of
            # x[start + n]; if `x_at` is None, x is read where it is stored. `prefetches` is (count, prefetch): for each
            # n < `count`, prefetch(n) fetches a cache line that is needed next, while one column j is added. If there
            # are too few columns j, some lines are left out. If `spread`, the next rows of dW are prefetched line by
            # line, one line per column j. Otherwise, they are prefetched together, and only if dW is large.

            def address(c, v):
                return dw + (k + c) * apart + row + v * lanes

            sums = [
                [tir.Accumulator(lanes, load(memory, address(c, v), lanes, mask)) for v in range(vectors)]
                for c in range(width)
            ]

            def add_column(n):
                buffer, x = x_at(n) if x_at else (memory, let(instruction.address(x_role, start + n) + k))
                dy = [panel.load_vector(n, v) for v in range(vectors)]
                for c, totals in enumerate(sums):
                    factor = let(tir.broadcast(buffer[x + c], lanes))
                    add_products(totals, dy, factor if x_at else rounded(factor))

            if spread:
                lines, next_rows = width * vectors, let(address(0, vectors))
                done = let(T.min(length, lines))

                def prefetch_line(line):
                    column, vector = remainder(line, width), quotient(line, width)
                    tir.prefetch_line(memory, next_rows + column * apart + vector * lanes)

                with serial(done, lines) as n:  # if there are fewer columns j than lines, prefetch the rest at once
                    prefetch_line(n)
                with serial(done) as n:
                    prefetch_line(n)
                    add_column(n)
            else:
                done = 0
                with tir.when(rows * inner > LARGE_MATRIX_FLOATS):
                    for c in range(width):
                        tir.prefetch(memory, let(address(c, vectors)), vectors * lanes)
            if prefetches:
                count, prefetch = prefetches
                before, done = done, let(T.min(done + count, length))
                with serial(before, done) as n:
                    prefetch(n - before)
                    add_column(n)
            with serial(done, length) as n:
                add_column(n)
            for c, totals in enumerate(sums):
                for v, total in enumerate(totals):
                    store(memory, address(c, v), total.value, mask)

        def add_few(dw, first, end):
            """Add the terms of a few columns j: one panel holds all of their dy[j]."""
            width, tile_vectors = sizes.few_tile
            panel = Panel(lanes, tile_vectors, sizes.few)

            def emit_rows(row, vectors, mask):
                panel.fill(memory, end - first, lambda j: instruction.address(dy_role, first + j) + row, vectors, mask)

                def emit_tile(k, width):
                    add_tile(dw, k, width, row, vectors, mask, first, end - first, panel)

                each_tile(first_column, end_column, dict.fromkeys((width, (width + 1) // 2, 1)), emit_tile)

            each_row_tile(first_row, end_row, lanes, tile_vectors, emit_rows)

        def add_many(dw, first, end):
            """Add the terms of many columns j: a panel holds some of the dy[j] at a time."""
            # Another panel holds the x[j], which every row of tiles reads. Without this panel, few x[j] would fit into
            # the L1 cache at once. With only one or two rows of tiles, copying the x[j] is not worth it.
            width, tile_vectors = sizes.tile
            taller = (width * tile_vectors // (tile_vectors + 1) + 1) * (tile_vectors + 1) < tuning.register_count(
                lanes
            )
            panel = Panel(lanes, tile_vectors + taller, sizes.panel)  # if `taller`, one more vector fits in registers
            x_panel = Panel(lanes, (tuning.X_FLOATS_AT_ONCE + CACHE_LINE) // lanes, sizes.panel)

            def emit_columns(top, height, start, length):
                """Add to `height` rows of dW, starting at `top`, for `length` columns j, starting at `start`."""
                emit = functools.partial(emit_elements, top, height, start, length)
                split(end_column - first_column, tuning.X_FLOATS_AT_ONCE, emit)

            def emit_elements(top, height, start, length, offset, size):
                """Like `emit_columns`, but only for `size` columns of dW, `offset` after the thread's first column."""
                # While computing each tile of dW, prefetch one cache line of each of a few of the next x[j] or dy[j]: a
                # core can wait for only a few lines at a time.
                first_k = let(first_column + offset)
                copied = let(height > 2 * tile_vectors * lanes)
                with tir.when(copied):
                    x_panel.fill_rows(memory, length, lambda n: instruction.address(x_role, start + n) + first_k, size)
                lines_of_x, lines_of_dy = [let(quotient(n + (CACHE_LINE - 1), CACHE_LINE)) for n in (size, height)]
                lines = let(lines_of_x + lines_of_dy)
                tiles_per_row = let(quotient(size, width))
                tiles_per_line = let(T.max(quotient(tiles_per_row * quotient(height, tile_vectors * lanes), lines), 1))
                columns_per_tile = let(quotient(length + tiles_per_line - 1, tiles_per_line))
                next_columns = let(T.min(start + length, end - length))

                def prefetches_of(tile):
                    """Return the argument `prefetches` of `add_tile` for tile number `tile`."""
                    line = let(quotient(tile, tiles_per_line))
                    dy_line = line - lines_of_x
                    role = let(T.Select(dy_line < 0, x_role, dy_role))
                    begin = settled(T.Select(dy_line < 0, first_k + line * CACHE_LINE, top + dy_line * CACHE_LINE))
                    done = let(remainder(tile, tiles_per_line) * columns_per_tile)
                    column = settled(next_columns + done)
                    count = T.max(T.min(columns_per_tile, length - done), 0)
                    needed = T.And(line < lines, end - start > length)

                    def prefetch(n):
                        tir.prefetch_line(memory, instruction.address(role, column + n) + begin)

                    return settled(T.Select(needed, count, int64(0))), prefetch

                def emit_rows(row, vectors, mask):
                    panel.fill(memory, length, lambda j: instruction.address(dy_role, start + j) + row, vectors, mask)
                    tiles_before = let(quotient(row - top, tile_vectors * lanes) * tiles_per_row)
                    # A tile of fewer rows gets more columns of dW, so that it has the same number of independent sums.
                    widest = max(min(width * tile_vectors // vectors, MAX_TILE_COLUMNS), 1)
                    widths = sorted({widest, max(widest // 2, 1), min(widest, 2), 1}, reverse=True)

                    def emit_tile(k, width):
                        def x_at(n):
                            return x_panel.buffer, let(n * x_panel.width + (k - first_k))

                        emit = functools.partial(add_tile, dw, k, width, row, vectors, mask, start, length, panel)
                        if width == widest:
                            ahead = prefetches_of(let(tiles_before + quotient(k - first_k, widest)))
                            tir.choose(copied, lambda: emit(x_at, True, ahead), lambda: emit(prefetches=ahead))
                        else:
                            emit()

                    each_tile(first_k, let(first_k + size), widths, emit_tile)

                each_row_tile(top, let(top + height), lanes, tile_vectors, emit_rows, taller)

            def emit_row_block(offset, height):
                emit = functools.partial(emit_columns, let(first_row + offset), height)
                split_evenly(end - first, int64(sizes.panel), lambda start, length: emit(let(first + start), length))

            tile_rows = tile_vectors * lanes
            tiles_together = quotient(BLOCK_FLOATS, T.max(inner, 1) * tile_rows)
            rows_together = settled(T.max(tiles_together, 1) * tile_rows)
            split(end_row - first_row, rows_together, emit_row_block)

        pairs.with_instructions(lambda: each_matrix(instruction, group, emit_matrix))

    def on_gpu(self, instruction):
        rows, inner, apart, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (rows, inner, width),
            left=lambda first, i, k: memory[instruction.address(dy_role, first + k) + i],
            right=lambda first, k, j: memory[instruction.address(x_role, first + k) + j],
            write=lambda first, i, j, total: instruction.write(
                instruction.address(dw_role, first) + i + j * apart, total, add=True
            ),
        )
