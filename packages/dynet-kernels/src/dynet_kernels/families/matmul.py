"""Products of matrices with gathered columns, and the two gradients.

Matrices are stored column by column. The kernels share their parameters: (rows, inner, role of the matrix, role
of the columns of `inner` numbers, role of the columns of `rows` numbers, group). `group` is how many neighbouring
columns share one matrix; 0 means all of them.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir, vmath
from ..tir import int64, let, load, store, vector_loop
from .columns import add_atomically

CUDA_TILE = 8  # a GPU block computes CUDA_TILE x CUDA_TILE results


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
    sizes = [vectors >> k for k in range(vectors.bit_length()) if vectors >> k]
    tiles(int64(0), whole, sizes, lambda start, size: emit(let(start * int64(lanes)), size, None))
    if lanes == 1:
        return
    rest = let(rows - whole * int64(lanes))
    with tir.when(rest > int64(0)):
        emit(let(whole * int64(lanes)), 1, tir.first_lanes(rest, lanes))


def groups(instruction, group, emit):
    """For each matrix: emit(first column, end)."""
    width = let(T.Select(group == int64(0), instruction.count, group))
    with T.serial(int64(0), T.floordiv(instruction.count, width)) as number:
        first = let(number * width)
        emit(first, let(first + width))


def product_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, w_role, x_role, y_role, start_role, group = instruction.parameters
        memory = instruction.memory

        def tile(w, columns, row, vectors, mask):
            x = [instruction.address(x_role, j) for j in columns]
            y = [let(instruction.address(y_role, j) + row) for j in columns]
            zero = tir.wide(tir.float32(0.0), lanes)
            sums = [[tir.Accumulator(lanes, zero) for _ in range(vectors)] for _ in columns]
            with tir.when(start_role >= int64(0)):
                for j, number in enumerate(columns):
                    start = let(instruction.address(start_role, number) + row)
                    for v in range(vectors):
                        sums[j][v].set(load(memory, start + int64(v * lanes), lanes, mask))
            with T.serial(int64(0), inner) as k:
                matrix = [load(memory, w + k * rows + row + int64(v * lanes), lanes, mask) for v in range(vectors)]
                for j in range(len(columns)):
                    scalar = let(tir.wide(memory[x[j] + k], lanes))
                    for v in range(vectors):
                        sums[j][v].set(vmath.fma(matrix[v], scalar, sums[j][v].get()))
            for j in range(len(columns)):
                for v in range(vectors):
                    store(memory, y[j] + int64(v * lanes), sums[j][v].get(), mask)

        vectors_for = dict(kernel.cpu_tiles(lanes))

        def one_matrix(first, end):
            w = instruction.address(w_role, first)

            def some_columns(start, width):
                columns = [let(start + int64(j)) for j in range(width)]
                row_tiles(
                    rows,
                    lanes,
                    vectors_for[width],
                    lambda row, vectors, mask: tile(w, columns, row, vectors, mask),
                )

            tiles(first, end, list(vectors_for), some_columns)

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

        width = let(T.Select(group == int64(0), instruction.count, group))
        first = let(instruction.thread("blockIdx.z", T.floordiv(instruction.count, width)) * width)
        tiled_product(
            instruction,
            rows,
            width,
            inner,
            left=lambda i, k: memory[instruction.address(w_role, first) + i + k * rows],
            right=lambda k, j: memory[instruction.address(x_role, first + j) + k],
            write=lambda i, j, total: write(i, let(first + j), total),
        )

    return tir.kernel(body, kernel.parameters)


def column_gradient_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory

        def tile(w, columns, k, width):
            dy = [instruction.address(dy_role, j) for j in columns]
            dx = [instruction.address(dx_role, j) for j in columns]
            zero = tir.wide(tir.float32(0.0), lanes)
            sums = [[tir.Accumulator(lanes, zero) for _ in range(width)] for _ in columns]

            def step(row, mask=None):
                matrix = [load(memory, w + (k + int64(c)) * rows + row, lanes, mask) for c in range(width)]
                for j in range(len(columns)):
                    vector = load(memory, dy[j] + row, lanes, mask)
                    for c in range(width):
                        sums[j][c].set(vmath.fma(matrix[c], vector, sums[j][c].get()))

            vector_loop(rows, lanes, step)
            for j in range(len(columns)):
                for c in range(width):
                    at = let(dx[j] + k + int64(c))
                    total = vmath.horizontal(lambda a, b: a + b, let(sums[j][c].get()))
                    store(memory, at, load(memory, at, 1) + total)

        width_for = dict(kernel.cpu_tiles(lanes))

        def one_matrix(first, end):
            w = instruction.address(w_role, first)

            def some_columns(start, n):
                columns = [let(start + int64(j)) for j in range(n)]
                tiles(
                    int64(0),
                    inner,
                    dict.fromkeys((width_for[n], 1)),
                    lambda k, width: tile(w, columns, k, width),
                )

            tiles(first, end, list(width_for), some_columns)

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters)


def column_gradient_cuda(kernel):
    def body(instruction):
        rows, inner, w_role, dx_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        width = let(T.Select(group == int64(0), instruction.count, group))
        first = let(instruction.thread("blockIdx.z", T.floordiv(instruction.count, width)) * width)
        tiled_product(
            instruction,
            inner,
            width,
            rows,
            left=lambda i, k: memory[instruction.address(w_role, first) + k + i * rows],
            right=lambda k, j: memory[instruction.address(dy_role, first + j) + k],
            write=lambda i, j, total: add_atomically(memory, instruction.address(dx_role, first + j) + i, total),
        )

    return tir.kernel(body, kernel.parameters)


def matrix_gradient_cpu(kernel, lanes):
    def body(instruction):
        rows, inner, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory

        def one_matrix(first, end):
            dw = instruction.address(dw_role, first)

            def tile(k, width, row, vectors, mask):
                def at(c, v):
                    return dw + (k + int64(c)) * rows + row + int64(v * lanes)

                sums = [
                    [tir.Accumulator(lanes, load(memory, at(c, v), lanes, mask)) for v in range(vectors)]
                    for c in range(width)
                ]
                with T.serial(int64(0), end - first) as number:
                    j = let(first + number)
                    dy = let(instruction.address(dy_role, j) + row)
                    x = let(instruction.address(x_role, j) + k)
                    vector = [load(memory, dy + int64(v * lanes), lanes, mask) for v in range(vectors)]
                    for c in range(width):
                        scalar = let(tir.wide(memory[x + int64(c)], lanes))
                        for v in range(vectors):
                            sums[c][v].set(vmath.fma(vector[v], scalar, sums[c][v].get()))
                for c in range(width):
                    for v in range(vectors):
                        store(memory, at(c, v), sums[c][v].get(), mask)

            width, vectors = kernel.cpu_tile(lanes)
            tiles(
                int64(0),
                inner,
                (width, 1),
                lambda k, width: row_tiles(
                    rows, lanes, vectors, lambda row, vectors, mask: tile(k, width, row, vectors, mask)
                ),
            )

        groups(instruction, group, one_matrix)

    return tir.kernel(body, kernel.parameters)


def matrix_gradient_cuda(kernel):
    def body(instruction):
        rows, inner, dw_role, x_role, dy_role, group = instruction.parameters
        memory = instruction.memory
        width = let(T.Select(group == int64(0), instruction.count, group))
        first = let(instruction.thread("blockIdx.z", T.floordiv(instruction.count, width)) * width)
        tiled_product(
            instruction,
            rows,
            inner,
            width,
            left=lambda i, k: memory[instruction.address(dy_role, first + k) + i],
            right=lambda k, j: memory[instruction.address(x_role, first + k) + j],
            write=lambda i, j, total: add_atomically(memory, instruction.address(dw_role, first) + i + j * rows, total),
        )

    return tir.kernel(body, kernel.parameters)


def tiled_product(instruction, rows, columns, inner, left, right, write):
    """write(i, j, sum over k of left(i, k) * right(k, j)), by square blocks through shared memory."""
    tile = CUDA_TILE

    def blocks(extent):
        return T.floordiv(extent + int64(tile - 1), int64(tile))

    block_row = instruction.thread("blockIdx.x", blocks(rows))
    block_column = instruction.thread("blockIdx.y", blocks(columns))
    row, column = instruction.thread("threadIdx.x", tile), instruction.thread("threadIdx.y", tile)
    i, j = let(block_row * int64(tile) + row), let(block_column * int64(tile) + column)
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

    with T.serial(int64(0), blocks(inner)) as step:
        k_left = let(step * int64(tile) + column)
        k_right = let(step * int64(tile) + row)
        fill(a, T.And(i < rows, k_left < inner), lambda: left(i, k_left))
        fill(b, T.And(j < columns, k_right < inner), lambda: right(k_right, j))
        T.evaluate(T.tvm_storage_sync("shared"))
        for k in range(tile):
            total.set(vmath.fma(a[k, row], b[column, k], total.get()))
        T.evaluate(T.tvm_storage_sync("shared"))
    with tir.when(T.And(i < rows, j < columns)):
        write(i, j, total.get())
