"""The CUDA kernels of matrix products and their gradients: each block of threads computes a tile of the result.

With factors rounded to TF32 or bfloat16, a product runs on tensor cores. A block of four warps computes 64 x 32
results. Each warp computes 32 x 16 of them, as four products of 16 x 8. In each product, thread 4 g + t of the
warp (g < 8, t < 4) has the elements (g, 2 t), (g, 2 t + 1), (g + 8, 2 t) and (g + 8, 2 t + 1).
"""

from __future__ import annotations

from ... import tir, tuning, vmath
from ...tir import int64, let, quotient_and_remainder, serial, settled
from ...tvm_modules import T
from ..threads import WARP_SIZE, barrier, block_of_products, share_of
from . import precision


def tiled_product(instruction, group, extents, left, right, write):
    """Emit a CUDA kernel that computes, for each matrix, sum over k of left(first, i, k) * right(first, k, j).

    `group` is the number of adjacent columns that share a matrix (0: all), and `first` is the first of these columns.
    If n columns share it, extents(n) returns the extents of i, j and k. write(first, i, j, total) stores sum (i, j).
    """
    if precision.factors() in FORMATS:
        tensor_core_product(instruction, group, extents, left, right, write)
        return
    # A block computes a square of results, one per thread. It first copies squares of both factors to shared memory,
    # because each element is used many times.
    tile = tuning.cuda().tile
    (rows, columns, inner), first, first_row, first_column = block_of_products(instruction, group, extents, tile, tile)
    row, column = instruction.thread("threadIdx.x", tile), instruction.thread("threadIdx.y", tile)
    i, j = let(first_row + row), let(first_column + column)
    a = T.alloc_buffer((tile, tile), "float32", scope="shared")
    b = T.alloc_buffer((tile, tile), "float32", scope="shared")
    total = tir.Accumulator(1, 0.0)

    with serial(T.floordiv(inner + (tile - 1), tile)) as step:
        k_left = let(step * tile + column)
        k_right = let(step * tile + row)
        store_if(T.And(i < rows, k_left < inner), a, [column, row], lambda: left(first, i, k_left))
        store_if(T.And(j < columns, k_right < inner), b, [column, row], lambda: right(first, k_right, j))
        barrier()
        for k in range(tile):
            total.value = vmath.fma(a[k, row], b[column, k], total.value)
        barrier()
    with tir.when(T.And(i < rows, j < columns)):
        write(first, i, j, total.value)


def store_if(condition, shared_buffer, indices, emit_value):
    """Emit code that stores emit_value() at `indices` of `shared_buffer` if the condition is true, or else 0."""

    def store(number):
        T.buffer_store(shared_buffer, number, indices)

    tir.choose(condition, lambda: store(emit_value()), lambda: store(tir.float32(0.0)))


ROWS, COLUMNS, INNER, WARPS = 64, 32, 16, 4  # WARPS warps compute ROWS x COLUMNS results, from INNER terms at a time
DOWN, ACROSS = 2, 2  # a warp computes DOWN x ACROSS products of 16 x 8
PADDING = 8  # floats of padding after each row in shared memory, to avoid bank conflicts
# For each precision: the function that multiplies, and the two terms of which thread t has the factors.
FORMATS = {
    precision.TF32: ("multiply_tf32", lambda t: (t, t + 4)),
    precision.TENSOR_CORES: ("multiply_bfloat16", lambda t: (t * 2, t * 2 + 1)),
}
# The 32 threads of a warp call this function together. It adds the product of a (16 x 8) and b (8 x 8) to d (16 x 8);
# each thread passes its share of the elements of a, b and d.
SOURCE = """\
#ifdef __CUDACC__
__device__ __forceinline__ unsigned to_tf32(float x) {
  unsigned y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ int multiply_tf32(float* d, float a0, float a1, float a2, float a3, float b0, float b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(to_tf32(a0)), "r"(to_tf32(a1)), "r"(to_tf32(a2)), "r"(to_tf32(a3)), "r"(to_tf32(b0)),
                 "r"(to_tf32(b1)));
  return 0;
}
__device__ __forceinline__ unsigned to_bfloat16(float low, float high) {
  unsigned y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
__device__ __forceinline__ int multiply_bfloat16(float* d, float a0, float a1, float a2, float a3, float b0, float b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(to_bfloat16(a0, a2)), "r"(to_bfloat16(a1, a3)), "r"(to_bfloat16(b0, b1)));
  return 0;
}
#endif
"""


def tensor_core_product(instruction, columns_per_matrix, ijk_extents, left, right, write):
    """Emit `tiled_product` on tensor cores: write(first, i, j, the sum of left(first, i, k) * right(first, k, j))."""
    block = block_of_products(instruction, columns_per_matrix, ijk_extents, ROWS, COLUMNS)
    (rows, columns, inner), first, first_row, first_column = block
    multiply, terms_of = FORMATS[precision.factors()]
    thread = instruction.thread("threadIdx.x", WARPS * WARP_SIZE)
    warp, lane = quotient_and_remainder(thread, WARP_SIZE)
    g, t = quotient_and_remainder(lane, 4)
    # `top`: the first row of this thread's results in the block; `left_column`: the first column of the warp's results.
    top = settled(T.floormod(warp, 2) * (16 * DOWN) + g)
    left_column = settled(T.floordiv(warp, 2) * (8 * ACROSS))
    a = T.alloc_buffer((INNER, ROWS + PADDING), "float32", scope="shared")
    b = T.alloc_buffer((INNER, COLUMNS + PADDING), "float32", scope="shared")
    sums = T.alloc_buffer((4 * DOWN * ACROSS,), "float32", scope="local", annotations=tir.ON_STACK)
    for index in range(4 * DOWN * ACROSS):
        T.buffer_store(sums, tir.float32(0.0), [int64(index)])

    def fill(shared_buffer, width, start, end, first_k, value):
        """Copy INNER x `width` elements value(k, i) of a factor, from (first_k, start). Outside the factor, store 0."""
        with share_of(thread, WARPS * WARP_SIZE, INNER * width) as element:
            k, i = settled(T.floordiv(element, width)), settled(T.floormod(element, width))
            is_inside = T.And(start + i < end, first_k + k < inner)
            store_if(is_inside, shared_buffer, [k, i], lambda: value(let(first_k + k), let(start + i)))

    with serial(T.floordiv(inner + (INNER - 1), INNER)) as step:
        first_k = settled(step * INNER)
        fill(a, ROWS, first_row, rows, first_k, lambda k, i: left(first, i, k))
        fill(b, COLUMNS, first_column, columns, first_k, lambda k, j: right(first, k, j))
        barrier()
        for k in range(0, INNER, 8):
            for down in range(DOWN):
                row = top + 16 * down
                a_elements = [let(a[term + k, row + more_rows]) for term in terms_of(t) for more_rows in (0, 8)]
                for across in range(ACROSS):
                    column = left_column + 8 * across + g
                    b_elements = [let(b[term + k, column]) for term in terms_of(t)]
                    result = T.address_of(sums[int64(4 * (ACROSS * down + across))])
                    T.evaluate(T.call_extern("int32", multiply, result, *a_elements, *b_elements))
        barrier()
    for down in range(DOWN):
        for across in range(ACROSS):
            for element in range(4):  # of the sums that `multiply` leaves with each thread
                i = settled(first_row + top + (16 * down + 8 * (element // 2)))
                j = settled(first_column + left_column + (8 * across + element % 2) + t * 2)
                with tir.when(T.And(i < rows, j < columns)):
                    write(first, i, j, let(sums[int64(4 * (ACROSS * down + across) + element)]))
