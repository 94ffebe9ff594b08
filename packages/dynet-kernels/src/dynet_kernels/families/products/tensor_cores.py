"""Matrix products on the tensor cores of a GPU, with factors rounded to TF32 (10 bits of mantissa).

They need compute capability 8.0. A block of four warps computes 64 x 32 results. Each warp computes 32 x 16 of them, as
four products of 16 x 8. Of each product, thread 4 g + t of the warp (g < 8, t < 4) has the elements (g, 2 t),
(g, 2 t + 1), (g + 8, 2 t) and (g + 8, 2 t + 1).
"""

from __future__ import annotations

from ... import tir
from ...tir import int64, let, settled
from ...tvm_modules import T
from ..threads import WARP, block_of_products, share_of, wait

ROWS, COLUMNS, INNER, WARPS = 64, 32, 16, 4  # a block computes ROWS x COLUMNS results, from INNER terms at a time
DOWN, ACROSS = 2, 2  # a warp computes DOWN x ACROSS products of 16 x 8
APART = 8  # floats of padding after each row in shared memory, so that a warp reads from different banks at once
# The 32 threads of a warp call multiply_tf32 together: d += a b for factors a of 16 x 8 and b of 8 x 8. Each thread
# passes its share of their elements.
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
#endif
"""


def product(instruction, group, extents, left, right, write):
    """Emit a product on tensor cores. The arguments are as in `shared.tiled_product`."""
    found = block_of_products(instruction, group, extents, ROWS, COLUMNS)
    (rows, columns, inner), first, first_row, first_column = found
    thread = instruction.thread("threadIdx.x", WARPS * WARP)
    warp, lane = let(T.floordiv(thread, int64(WARP))), let(T.floormod(thread, int64(WARP)))
    g, t = let(T.floordiv(lane, int64(4))), let(T.floormod(lane, int64(4)))
    # `top`: the first row of this thread's results in the block; `side`: the first column of its warp's results.
    top = settled(T.floormod(warp, int64(2)) * int64(16 * DOWN) + g)
    side = settled(T.floordiv(warp, int64(2)) * int64(8 * ACROSS))
    a = T.alloc_buffer((INNER, ROWS + APART), "float32", scope="shared")
    b = T.alloc_buffer((INNER, COLUMNS + APART), "float32", scope="shared")
    sums = T.alloc_buffer((4 * DOWN * ACROSS,), "float32", scope="local", annotations=tir.ON_STACK)
    for place in range(4 * DOWN * ACROSS):
        T.buffer_store(sums, tir.float32(0.0), [int64(place)])

    def fill(shared, width, start, end, first_k, value):
        """Copy INNER x `width` elements value(k, i) of a factor from (first_k, start) on, 0 for i >= `end`."""
        with share_of(thread, int64(WARPS * WARP), int64(INNER * width)) as number:
            k, i = settled(T.floordiv(number, int64(width))), settled(T.floormod(number, int64(width)))
            there = T.And(start + i < end, first_k + k < inner)
            tir.choose(
                there,
                lambda: T.buffer_store(shared, value(let(first_k + k), let(start + i)), [k, i]),
                lambda: T.buffer_store(shared, tir.float32(0.0), [k, i]),
            )

    with T.serial(int64(0), T.floordiv(inner + int64(INNER - 1), int64(INNER))) as step:
        first_k = settled(step * int64(INNER))
        fill(a, ROWS, first_row, rows, first_k, lambda k, i: left(first, i, k))
        fill(b, COLUMNS, first_column, columns, first_k, lambda k, j: right(first, k, j))
        wait()
        for k in range(0, INNER, 8):
            for down in range(DOWN):
                row = top + int64(16 * down)
                four = [let(a[t + int64(k + further), row + int64(low)]) for further in (0, 4) for low in (0, 8)]
                for across in range(ACROSS):
                    column = side + int64(8 * across) + g
                    two = [let(b[t + int64(k + lower), column]) for lower in (0, 4)]
                    place = T.address_of(sums[int64(4 * (ACROSS * down + across))])
                    T.evaluate(T.call_extern("int32", "multiply_tf32", place, *four, *two))
        wait()
    for down in range(DOWN):
        for across in range(ACROSS):
            for number in range(4):
                i = settled(first_row + top + int64(16 * down + 8 * (number // 2)))
                j = settled(first_column + side + int64(8 * across + number % 2) + t * int64(2))
                with tir.when(T.And(i < rows, j < columns)):
                    write(first, i, j, let(sums[int64(4 * (ACROSS * down + across) + number)]))
