"""Products of a few vectors with a copy of W, which has bfloat16s, by AVX512-BF16. The words are those of `pairs`."""

from __future__ import annotations

from ... import tir, vmath
from ...tir import let, quotient, serial, vector_loop
from ...tvm_modules import T, tirx
from .pairs import LANES, LEFT_STRIDE, SHORTS, TERMS, add_dots, as_pairs, load_shorts, some_lanes
from .panels import each_row_tile, each_tile, masks_of, split

PRODUCT_TILES = {8: 1, 4: 2, 3: 2, 2: 4, 1: 4}  # columns of x -> vectors of rows of W
GRADIENT_TILES = {8: 2, 4: 4, 3: 4, 2: 8, 1: 8}  # columns of dy -> columns of W

# A CPU interleaves two vectors of bfloat16s within each quarter of them: the lower halves of all, or the upper halves.
INTERLEAVED = [
    [8 * quarter + half + k + other for quarter in range(4) for k in range(4) for other in (0, SHORTS)]
    for half in (0, 4)
]
# Sums of rows that are ordered so, and the order of 16 rows.
ORDERED = [
    [4 * quarter + k + other for quarter in quarters for other in (0, LANES) for k in range(4)]
    for quarters in ((0, 1), (2, 3))
]


def each_tile_of_few(factor, columns, terms, tiles, emit):
    """Emit a loop over tiles of columns and blocks of terms, with emit(start, n, term, length, packed)."""
    packed = tir.on_stack(max(tiles) * LEFT_STRIDE, "int32")

    def emit_columns(start, n):
        def emit_terms(term, length):
            factor.pack_left(packed, start, n, term, let(term + length), True)
            emit(start, n, term, length, packed)

        split(terms, TERMS, emit_terms)

    first, end = columns
    each_tile(first, end, tiles, emit_columns)


def multiply_few(copy, apart, inner, columns, rows, x, write):
    """Compute y[j] for ranges of columns and rows, with write(j, row, value, mask, before). See `pairs.add_up`."""
    first_row, end_row = rows

    def emit_block(start, n, term, length, packed):
        def emit_rows(row, vectors, mask):
            sums = [[tir.Accumulator(LANES, 0.0) for _ in range(2 * vectors)] for _ in range(n)]

            def add_pair(pair, is_single):
                offset, matrix = let((term + 2 * pair) * apart + row), []
                for v, vector_mask in enumerate(masks_of(vectors, mask)):
                    first = load_shorts(copy, offset + v * SHORTS, vector_mask)
                    second = T.Broadcast(tirx.const(0, "uint16"), SHORTS)
                    if not is_single:
                        second = load_shorts(copy, offset + apart + v * SHORTS, vector_mask)
                    matrix += [as_pairs(vmath.shuffle([first, second], order)) for order in INTERLEAVED]
                for j, totals in enumerate(sums):
                    add_dots(totals, matrix, let(T.Broadcast(packed[let(j * LEFT_STRIDE + pair)], LANES)))

            whole = let(quotient(length, 2))
            with serial(whole) as pair:
                add_pair(pair, False)
            with tir.when(2 * whole < length):
                add_pair(whole, True)
            for j, totals in enumerate(sums):
                for v in range(2 * vectors):
                    low, high = (total.value for total in totals[v & -2 :][:2])
                    place = let(row + v * LANES)
                    value = let(vmath.shuffle([low, high], ORDERED[v % 2]))
                    write(let(start + j), place, value, some_lanes(end_row - place), term)

        each_row_tile(first_row, end_row, SHORTS, PRODUCT_TILES[n], emit_rows)

    each_tile_of_few(x, columns, inner, PRODUCT_TILES, emit_block)


def multiply_few_transposed(copy, apart, rows, columns, elements, dy, write):
    """Compute ranges of columns and elements of dx[j], with write(j, k, totals, before).

    This adds up the lanes of each total, for elements from k on.
    """
    first, end = elements

    def emit_block(start, n, row, height, packed):
        def emit_elements(k, width):
            sums = [[tir.Accumulator(LANES, 0.0) for _ in range(width)] for _ in range(n)]

            def add_vector(offset, mask):
                start = let(row + k * apart + offset)
                matrix = [as_pairs(load_shorts(copy, start + c * apart, mask)) for c in range(width)]
                for j, totals in enumerate(sums):
                    at = let(j * LEFT_STRIDE + quotient(offset, 2))
                    add_dots(totals, matrix, let(packed.vload((at,), "int32x16")))

            vector_loop(height, SHORTS, add_vector)
            for j, totals in enumerate(sums):
                write(let(start + j), k, totals, row)

        each_tile(first, end, dict.fromkeys((GRADIENT_TILES[n], 1)), emit_elements)

    each_tile_of_few(dy, columns, rows, GRADIENT_TILES, emit_block)
