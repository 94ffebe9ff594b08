"""Products of matrices with gathered columns, and the gradient of the columns; that of matrices: `matrix_gradient`.

Matrices are stored column by column. The kernels share their parameters: (rows, inner, role of the matrix, role
of the columns of `inner` numbers, role of the columns of `rows` numbers, group). `group` is how many neighbouring
columns share one matrix; 0 means all of them.

How large tiles, panels and blocks are stands in `tuning.py`.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir, tuning, vmath
from ..cuda import precision
from ..layout import CACHE_LINE
from ..tir import int64, let, load, quotient, remainder, store, vector_loop
from . import tensor_cores
from .panels import Sums, blocks, by_chunks, groups, row_tiles, tiles
from .threads import add_atomically, block_of_products, wait

FITS = 12_000  # floats of a matrix that stays in the first cache, columns included
ACROSS = 6  # rows for each lane, in the time of which a sum is added up across lanes
READ_AGAIN, AS_IF = 1 << 17, 96  # floats of a matrix that is read again quickly; rows as if of which others are
ENOUGH = 6  # columns of a tile, in whose work it is lost that more of the matrix is asked for


def product_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, w_role, x_role, y_role, start_role, group = instruction.parameters
        memory = instruction.memory
        sizes = tuning.cpu(lanes).product
        vectors_for = dict(sizes.tiles)
        first_row, end_row = instruction.stretch(rows, lanes)
        sums = Sums(instruction, lanes, x_role, y_role, first_row, end_row)

        def with_panels(w, first, end):
            def fill(panel, row, vectors, mask, k, length):
                panel.fill(memory, length, lambda number: w + (k + number) * rows + row, vectors, mask)

            def bring(row, vectors, k, part):
                next_rows = let(w + k * rows + row + (int64(vectors) + part) * int64(lanes))
                return lambda number: tir.prefetch_line(memory, next_rows + number * rows)

            sums.by_panels(fill, bring, sizes.tiles[0], sizes.panel, inner, first, end, start_role, row_first=True)

        def in_place(w, first, end):
            def rows_of(row, vectors, mask, start, width):
                def vector_of(k, v):
                    at = let(w + k * rows + row + int64(v * lanes))
                    if width >= ENOUGH:
                        tir.prefetch_line(memory, at + int64(vectors * lanes))  # for the next rows
                    return load(memory, at, lanes, mask)

                # a tile that is wider than what is left has the last column several times
                columns = [start] + [let(T.min(start + int64(j), end - int64(1))) for j in range(1, width)]
                sums.tile(vector_of, columns, row, vectors, mask, int64(0), inner, start_role)

            def each_width(start, width):
                row_tiles(
                    first_row,
                    end_row,
                    lanes,
                    vectors_for[width],
                    lambda row, vectors, mask: rows_of(row, vectors, mask, start, width),
                )

            # Of the matrix and the columns, the larger is read once, the other for each tile. What the widest tiles
            # leave over takes one tile more, the narrowest that holds it: the matrix is read once for it.
            widest, *narrower = [width for width, _ in sizes.tiles]
            rest = let(remainder(end - first, widest))
            few = T.Select(rest <= int64(narrower[0] if narrower else 0), rest, int64(0))
            narrow = let(tir.Counter(few).get())  # in a register: TVM would put the formula wherever it is used
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
            # Vectors of a matrix whose columns begin anywhere straddle two lines: from further caches, two reads each.
            again = T.And(T.And(many, end - first > rows), rows * inner >= int64(FITS))
            straddles = T.And(remainder(rows, lanes) != int64(0), again)
            pays = T.And(inner > int64(0), T.Or(T.Or(far, large), straddles))
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters, shared=tir.EITHER)


def product_cuda(kernel):
    def body(instruction):
        rows, inner, w_role, x_role, y_role, start_role, group = instruction.parameters
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
            left=lambda first, i, k: memory[instruction.address(w_role, first) + i + k * rows],
            right=lambda first, k, j: memory[instruction.address(x_role, first + j) + k],
            write=lambda first, i, j, total: write(i, let(first + j), total),
        )

    return tir.kernel(body, kernel.parameters)


def column_gradient_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        begin, stop = instruction.stretch(inner, lanes)

        def tile(w, columns, k, width, first_row, height):
            dy = [let(instruction.address(dy_role, j) + first_row) for j in columns]
            dx = [instruction.address(dx_role, j) for j in columns]
            zero = tir.wide(tir.float32(0.0), lanes)
            sums = [[tir.Accumulator(lanes, zero) for _ in range(width)] for _ in columns]

            def step(row, mask=None):
                at = let(w + first_row + k * rows + row)
                matrix = [load(memory, at + int64(c) * rows, lanes, mask) for c in range(width)]
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
            def fill(panel, row, vectors, mask, k, length):
                def column(number):
                    place = row + number
                    return w + (T.min(place, inner - int64(1)) if mask is not None else place) * rows + k

                panel.fill_transposed(memory, length, column, vectors)

            def bring(row, vectors, k, part):
                beyond = row + int64(vectors * lanes) >= stop  # then the panel is one of the next rows of the matrix
                next_row = T.Select(beyond, begin, row + int64(vectors * lanes)) + part * int64(lanes)
                at = let(w + next_row * rows + T.Select(beyond, k + int64(sizes.panel), k))
                lines = sizes.panel // CACHE_LINE  # of each column

                def line(number):
                    column, place = quotient(number, lines), remainder(number, lines)
                    tir.prefetch_line(memory, at + column * rows + place * int64(CACHE_LINE))

                return line

            sums = Sums(instruction, lanes, dy_role, dx_role, begin, stop, shared=True)
            start_role = let(T.Select(instruction.fresh == int64(0), dx_role, int64(-1)))
            sums.by_panels(fill, bring, sizes.tile, sizes.panel, rows, first, end, start_role, row_first=False)

        def one_matrix(first, end):
            w = instruction.shared_address(w_role, first)
            # In place, each sum is added up across lanes in the end, and a large matrix is read again for every few
            # columns, which takes as long as if it had few rows. Of a panel, lanes beyond `inner` are lost. As many
            # threads as there may be, they all do the same.
            columns, vectors = let(end - first + instruction.others), quotient(inner + int64(lanes - 1), lanes)
            filled = let(T.max(vectors * int64(lanes), int64(lanes + lanes // 2)))
            summed = let(T.Select(rows * inner > int64(READ_AGAIN), T.min(rows, int64(AS_IF)), rows))
            across, hundred = ACROSS * lanes, int64(100)
            in_place_costs = hundred * columns * inner * (summed + int64(across))
            pays = in_place_costs > (hundred * columns + int64(across * sizes.many)) * filled * summed
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters, may_set=True, shared=tir.EITHER)


def column_gradient_cuda(kernel):
    def body(instruction):
        rows, inner, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (inner, width, rows),
            left=lambda first, i, k: memory[instruction.address(w_role, first) + k + i * rows],
            right=lambda first, k, j: memory[instruction.address(dy_role, first + j) + k],
            write=lambda first, i, j, total: add_atomically(memory, instruction.address(dx_role, first + j) + i, total),
        )

    return tir.kernel(body, kernel.parameters)


def tiled_product(instruction, group, extents, left, right, write):
    """A product for each matrix, by square blocks through shared memory.

    Args:
        group, extents: see `threads.block_of_products`. `first` is the first of the columns that share a matrix.
        left, right: left(first, i, k) and right(first, k, j), the factors.
        write: write(first, i, j, sum over k of left * right).
    """
    if precision.tf32():
        tensor_cores.product(instruction, group, extents, left, right, write)
        return
    tile = tuning.cuda().tile
    found = block_of_products(instruction, group, extents, tile, tile)
    (rows, columns, inner), first, first_row, first_column = found
    row, column = instruction.thread("threadIdx.x", tile), instruction.thread("threadIdx.y", tile)
    i, j = let(first_row + row), let(first_column + column)
    a = T.alloc_buffer((tile, tile), "float32", scope="shared")
    b = T.alloc_buffer((tile, tile), "float32", scope="shared")
    zero = tir.float32(0.0)
    total = tir.Accumulator(1, zero)

    def fill(shared, inside, value):
        tir.choose(
            inside,
            lambda: T.buffer_store(shared, value(), [column, row]),
            lambda: T.buffer_store(shared, zero, [column, row]),
        )

    with T.serial(int64(0), T.floordiv(inner + int64(tile - 1), int64(tile))) as step:
        k_left = let(step * int64(tile) + column)
        k_right = let(step * int64(tile) + row)
        fill(a, T.And(i < rows, k_left < inner), lambda: left(first, i, k_left))
        fill(b, T.And(j < columns, k_right < inner), lambda: right(first, k_right, j))
        wait()
        for k in range(tile):
            total.set(vmath.fma(a[k, row], b[column, k], total.get()))
        wait()
    with tir.when(T.And(i < rows, j < columns)):
        write(first, i, j, total.get())
