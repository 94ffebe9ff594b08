"""What all matrix products and their gradients share: what they read and write, and their CUDA kernel."""

from __future__ import annotations

from ... import tir, tuning
from ...functions import vmath
from ...kernels import AT_HAND, FLOP, Effects
from ...layout import BY_ROWS, EITHER
from ...tir import int64, let
from ...tvm_modules import T
from ..threads import block_of_products, wait
from . import precision, tensor_cores


def effects(
    parameters: tuple[int, ...], matrix: int, columns: tuple[int, ...], target: tuple[int, int], covers: bool = False
) -> Effects:
    """Return the effects of a product or of a gradient of one.

    `matrix` and `columns` are numbers of address lists that are read; `target` is (number of the list, size).
    """
    # If all columns share one matrix, only the first address of its list is used.
    rows, inner, *_, group = parameters
    reads, firsts = ((*columns, matrix), ()) if group else (columns, (matrix,))
    by_columns = group == 0 and rows * inner <= AT_HAND and target[0] != matrix
    return Effects((target,), 2 * rows * inner * FLOP, EITHER if by_columns else BY_ROWS, reads, firsts, covers)


def tiled_product(instruction, group, extents, left, right, write):
    """Emit a CUDA kernel of sums over k of left(first, i, k) * right(first, k, j), for each matrix."""
    # `first` is the first of the columns of the instruction that share a matrix; extents(n) returns the extents of i, j
    # and k if n columns share it; write(first, i, j, total) stores a result. A block computes a square of results, one
    # per thread. It copies squares of both factors to shared memory first, as each element is used many times.
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
