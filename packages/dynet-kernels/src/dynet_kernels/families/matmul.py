"""Products of matrices with gathered columns, and the two gradients.

Matrices are stored column by column. The kernels share their parameters: (rows, inner, role of the matrix, role
of the columns of `inner` numbers, role of the columns of `rows` numbers, group). `group` is how many neighbouring
columns share one matrix; 0 means all of them.

Where a matrix is large, its rows stand far apart in memory; a *panel*, the part that is used again and again, is
then copied to where it is contiguous first. How large tiles, panels and blocks are stands in `tuning.py`.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir, tuning, vmath
from ..cuda import precision
from ..tir import int64, let, load, store, vector_loop
from . import tensor_cores
from .threads import add_atomically, block_of_products, wait


def tiles(first, end, sizes, emit):
    """Cover first..end with tiles, the largest first: emit(start, size)."""
    start = first
    for size in sizes:
        turns = let(T.floordiv(end - start, int64(size)))
        with T.serial(int64(0), turns) as turn:
            emit(let(start + turn * int64(size)), size)
        start = let(start + turns * int64(size))


def row_tiles(rows, lanes, vectors, emit):
    """Cover `rows` with tiles of several vectors, halving; the last is masked: emit(start, vectors, mask)."""
    whole = let(T.floordiv(rows, int64(lanes)))
    sizes = [vectors]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    tiles(int64(0), whole, sizes, lambda start, size: emit(let(start * int64(lanes)), size, None))
    if lanes == 1:
        return
    rest = let(rows - whole * int64(lanes))
    with tir.when(rest > int64(0)):
        emit(let(whole * int64(lanes)), 1, tir.first_lanes(rest, lanes))


class Panel:
    """Scratch memory for `height` rows of some vectors."""

    def __init__(self, lanes, vectors, height):
        self.lanes, self.width = lanes, vectors * lanes
        self.buffer = T.alloc_buffer((height * self.width,), "float32", scope="local", annotations=tir.ON_STACK)

    def fill(self, memory, count, source, vectors, mask):
        """Copy `vectors` vectors from source(number) for each number below `count`."""
        with T.serial(int64(0), count) as number:
            at = let(source(number))
            for v in range(vectors):
                value = load(memory, let(at + int64(v * self.lanes)), self.lanes, mask)
                store(self.buffer, let(number * int64(self.width) + int64(v * self.lanes)), value)

    def fill_transposed(self, memory, count, source, vectors):
        """The same where number `k` of each row comes from source(k) + the row's number."""
        lanes = int64(self.lanes)
        with T.serial(int64(0), int64(vectors)) as v:
            with T.serial(int64(0), T.floordiv(count + lanes - int64(1), lanes)) as block:
                number = let(block * lanes)
                mask = tir.first_lanes(T.min(lanes, count - number), self.lanes) if self.lanes > 1 else None
                columns = [let(source(let(v * lanes + int64(k))) + number) for k in range(self.lanes)]
                rows = vmath.transposed([load(memory, column, self.lanes, mask) for column in columns])
                for k, row in enumerate(rows):
                    store(self.buffer, let((number + int64(k)) * int64(self.width) + v * lanes), row)

    def vector(self, number, v):
        """Vector v of a row; what was masked is of no meaning."""
        return load(self.buffer, let(number * int64(self.width) + int64(v * self.lanes)), self.lanes)


def blocks(count, size, emit):
    """Cover `count` with blocks of at most `size`: emit(first, length)."""
    size = int64(size)
    with T.serial(int64(0), T.floordiv(count + size - int64(1), size)) as block:
        first = let(block * size)
        emit(first, let(T.min(size, count - first)))


MANY_ROWS = 1024
CHUNK = 512  # columns that are worked on together, so that what belongs to them stays in the second cache


def by_chunks(emit, w, first, end):
    """emit(w, first, end) for so many columns after the others."""
    blocks(end - first, CHUNK, lambda start, length: emit(w, let(first + start), let(first + start + length)))


def groups(instruction, group, emit):
    """For each matrix: emit(first column, end)."""
    width = let(T.Select(group == int64(0), instruction.count, group))
    with T.serial(int64(0), T.floordiv(instruction.count, width)) as number:
        first = let(number * width)
        emit(first, let(first + width))


class Sums:
    """target[j] = start[j] + M source[j] on a CPU, where M is a matrix or its transpose: `height` numbers a column.

    The roles are of lists of addresses; a start role of -1 starts from zero.
    """

    def __init__(self, instruction, lanes, source_role, target_role, height):
        self.instruction, self.memory, self.lanes, self.height = instruction, instruction.memory, lanes, height
        self.source_role, self.target_role = source_role, target_role

    def tile(self, vector_of, columns, row, vectors, mask, first, length, start_role):
        """Some rows of some columns, to which `length` columns of M are added: vector_of(k, v) are their values."""
        source = [let(self.instruction.address(self.source_role, j) + first) for j in columns]
        target = [let(self.instruction.address(self.target_role, j) + row) for j in columns]
        zero = tir.wide(tir.float32(0.0), self.lanes)
        sums = [[tir.Accumulator(self.lanes, zero) for _ in range(vectors)] for _ in columns]
        with tir.when(start_role >= int64(0)):
            for j, number in enumerate(columns):
                start = let(self.instruction.address(start_role, number) + row)
                for v in range(vectors):
                    sums[j][v].set(load(self.memory, start + int64(v * self.lanes), self.lanes, mask))
        with T.serial(int64(0), length) as k:
            matrix = [vector_of(k, v) for v in range(vectors)]
            for j in range(len(columns)):
                scalar = let(tir.wide(self.memory[source[j] + k], self.lanes))
                for v in range(vectors):
                    sums[j][v].set(vmath.fma(matrix[v], scalar, sums[j][v].get()))
        for j in range(len(columns)):
            for v in range(vectors):
                store(self.memory, target[j] + int64(v * self.lanes), sums[j][v].get(), mask)

    def by_panels(self, fill, tile, height, depth, first, end, start_role, row_first):
        """Columns first..end by a tile of (columns, vectors), from panels of `height` of M's columns.

        There are `depth` of these; fill(panel, row, vectors, mask, k, length) fills a panel. `row_first`: all of a few
        rows before others, so that they are written once; else all rows from a few columns of M, so that what belongs
        to these in the source is read once.
        """
        width, tall = tile
        panel = Panel(self.lanes, tall, height)

        def one_panel(row, vectors, mask, k, length):
            fill(panel, row, vectors, mask, k, length)
            so_far = let(T.Select(k == int64(0), start_role, self.target_role))

            def some_columns(start, count):
                columns = [let(start + int64(j)) for j in range(count)]
                with tir.when(row == int64(0)):  # what comes next, for all rows
                    with T.serial(int64(0), int64(count)) as j:
                        column = let(T.min(start + int64(count) + j, end - int64(1)))
                        tir.prefetch(self.memory, let(self.instruction.address(self.source_role, column) + k), length)
                self.tile(panel.vector, columns, row, vectors, mask, k, length, so_far)

            tiles(first, end, dict.fromkeys((width, 1)), some_columns)

        def all_rows(emit):
            row_tiles(self.height, self.lanes, tall, emit)

        if row_first:
            all_rows(
                lambda row, vectors, mask: blocks(
                    depth, height, lambda k, length: one_panel(row, vectors, mask, k, length)
                )
            )
        else:
            blocks(
                depth,
                height,
                lambda k, length: all_rows(lambda row, vectors, mask: one_panel(row, vectors, mask, k, length)),
            )


def product_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, w_role, x_role, y_role, start_role, group = instruction.parameters
        memory = instruction.memory
        sizes = tuning.cpu(lanes).product
        vectors_for = dict(sizes.tiles)
        sums = Sums(instruction, lanes, x_role, y_role, rows)

        def with_panels(w, first, end):
            def fill(panel, row, vectors, mask, k, length):
                panel.fill(memory, length, lambda number: w + (k + number) * rows + row, vectors, mask)

            sums.by_panels(fill, sizes.tiles[0], sizes.panel, inner, first, end, start_role, row_first=True)

        def in_place(w, first, end):
            def some_columns(start, width):
                columns = [let(start + int64(j)) for j in range(width)]

                def some_rows(row, vectors, mask):
                    def vector_of(k, v):
                        return load(memory, w + k * rows + row + int64(v * lanes), lanes, mask)

                    sums.tile(vector_of, columns, row, vectors, mask, int64(0), inner, start_role)

                row_tiles(rows, lanes, vectors_for[width], some_rows)

            tiles(first, end, list(vectors_for), some_columns)

        def one_matrix(first, end):
            w = instruction.address(w_role, first)
            far = T.And(end - first >= int64(sizes.many), rows >= int64(sizes.far))
            large = T.And(end - first > int64(sizes.tiles[0][0]), rows * inner >= int64(sizes.large))
            pays = T.And(inner > int64(0), T.Or(far, large))
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters)


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
                        int64(0),
                        inner,
                        dict.fromkeys((width_for[n], 1)),
                        lambda k, width: tile(w, columns, k, width, first_row, height),
                    )

                tiles(first, end, list(width_for), some_columns)

            fitting = T.floordiv(int64(sizes.block), T.max(inner, int64(1)))
            height = let(T.floordiv(T.max(fitting, int64(256)), int64(lanes)))
            blocks(rows, let(height * int64(lanes)), some_rows)

        def with_panels(w, first, end):
            def fill(panel, row, vectors, mask, k, length):
                def column(number):
                    place = row + number
                    return w + (T.min(place, inner - int64(1)) if mask is not None else place) * rows + k

                panel.fill_transposed(memory, length, column, vectors)

            sums = Sums(instruction, lanes, dy_role, dx_role, inner)
            start_role = let(T.Select(instruction.fresh == int64(0), dx_role, int64(-1)))
            sums.by_panels(fill, sizes.tile, sizes.panel, rows, first, end, start_role, row_first=False)

        def one_matrix(first, end):
            w = instruction.address(w_role, first)
            pays = end - first >= int64(sizes.many)
            tir.choose(pays, lambda: by_chunks(with_panels, w, first, end), lambda: in_place(w, first, end))

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters, may_set=True)


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


def matrix_gradient_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory

        def one_matrix(first, end):
            by_chunks(some_of_matrix, instruction.address(dw_role, first), first, end)

        def bring_next(start, length, end, row, vectors):
            """What the next columns need: for all rows at once, unless there are so many that it would not stay."""
            many = rows > int64(MANY_ROWS)
            with T.serial(int64(0), T.min(length, end - start - length)) as j:
                column = let(start + length + j)
                with tir.when(row == int64(0)):
                    tir.prefetch(memory, instruction.address(x_role, column), inner)
                with tir.when(T.Or(many, row == int64(0))):
                    dy = instruction.address(dy_role, column)
                    size = T.Select(many, int64(vectors * lanes), rows)
                    tir.prefetch(memory, let(dy + T.Select(many, row, int64(0))), let(size))

        def some_of_matrix(dw, first, end):
            def tile(k, width, row, vectors, mask, start, length):
                def at(c, v):
                    return dw + (k + int64(c)) * rows + row + int64(v * lanes)

                sums = [
                    [tir.Accumulator(lanes, load(memory, at(c, v), lanes, mask)) for v in range(vectors)]
                    for c in range(width)
                ]
                with T.serial(int64(0), length) as number:
                    x = let(instruction.address(x_role, start + number) + k)
                    vector = [panel.vector(number, v) for v in range(vectors)]
                    for c in range(width):
                        scalar = let(tir.wide(memory[x + int64(c)], lanes))
                        for v in range(vectors):
                            sums[c][v].set(vmath.fma(vector[v], scalar, sums[c][v].get()))
                for c in range(width):
                    for v in range(vectors):
                        store(memory, at(c, v), sums[c][v].get(), mask)

            def some_rows(row, vectors, mask):
                def some_columns(number, length):
                    start = let(first + number)
                    bring_next(start, length, end, row, vectors)
                    panel.fill(memory, length, lambda j: instruction.address(dy_role, start + j) + row, vectors, mask)
                    tiles(
                        int64(0),
                        inner,
                        (width, 1),
                        lambda k, width: tile(k, width, row, vectors, mask, start, length),
                    )

                blocks(end - first, sizes.panel, some_columns)

            row_tiles(rows, lanes, tall, some_rows)

        sizes = tuning.cpu(lanes).matrix_gradient
        width, tall = sizes.tile
        panel = Panel(lanes, tall, sizes.panel)
        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters)


def matrix_gradient_cuda(kernel):
    def body(instruction):
        rows, inner, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        tiled_product(
            instruction,
            group,
            lambda width: (rows, inner, width),
            left=lambda first, i, k: memory[instruction.address(dy_role, first + k) + i],
            right=lambda first, k, j: memory[instruction.address(x_role, first + k) + j],
            write=lambda first, i, j, total: add_atomically(
                memory, instruction.address(dw_role, first) + i + j * rows, total
            ),
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
