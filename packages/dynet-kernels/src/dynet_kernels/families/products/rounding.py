"""Rounds numbers to bfloat16: to nearest, ties to even; subnormal numbers become 0, and NaN stays NaN."""

from __future__ import annotations

from dataclasses import dataclass

from ... import tir, vmath
from ...kernels import NUMBER, Effects, Kernel
from ...layout import BY_ROWS, CACHE_LINE
from ...tir import let, load, store, vector_loop
from ...tvm_modules import T, tirx
from ..threads import thread_each_element
from . import precision

# LLVM's code of functions that are inlined into kernels: TVM 0.27 has no vectors of bfloat16. A *pair* is two bfloat16s
# in 32 bits, the first in the lower half.
INTERLEAVED = ", ".join(f"i32 {k}, i32 {k + 16}" for k in range(16))
SOURCE = f"""\
target triple = "x86_64-unknown-linux-gnu"
declare <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float>)
declare <32 x bfloat> @llvm.x86.avx512bf16.cvtne2ps2bf16.512(<16 x float>, <16 x float>)
define linkonce_odr <16 x float> @dynet_rounded(<16 x float> %x) alwaysinline {{
  %r = call <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float> %x)
  %s = bitcast <16 x bfloat> %r to <16 x i16>
  %t = zext <16 x i16> %s to <16 x i32>
  %u = shl <16 x i32> %t, splat (i32 16)
  %v = bitcast <16 x i32> %u to <16 x float>
  ret <16 x float> %v
}}
define linkonce_odr <16 x i32> @dynet_adjacent_pairs(<16 x float> %low, <16 x float> %high) alwaysinline {{
  %r = call <32 x bfloat> @llvm.x86.avx512bf16.cvtne2ps2bf16.512(<16 x float> %high, <16 x float> %low)
  %s = bitcast <32 x bfloat> %r to <16 x i32>
  ret <16 x i32> %s
}}
define linkonce_odr <16 x i32> @dynet_pairs_across(<16 x float> %first, <16 x float> %second) alwaysinline {{
  %r = call <32 x bfloat> @llvm.x86.avx512bf16.cvtne2ps2bf16.512(<16 x float> %second, <16 x float> %first)
  %s = shufflevector <32 x bfloat> %r, <32 x bfloat> %r, <32 x i32> <{INTERLEAVED}>
  %t = bitcast <32 x bfloat> %s to <16 x i32>
  ret <16 x i32> %t
}}
"""

QUIET_NAN = 0x400000  # a bit of a float32 that makes its first 16 bits a NaN


def has_instructions() -> bool:
    return precision.factors() in (precision.AMX, precision.AVX512)


def rounded(value):
    """Round a float32, or a vector of them, if products on the CPU round their factors; otherwise return it."""
    if has_instructions() and vmath.lanes_of(value) == 16:
        return let(T.call_extern("float32x16", "dynet_rounded", value))
    return nearest(value) if has_instructions() or precision.factors() == precision.EMULATED else value


def nearest(value):
    """Round a float32, or a vector of them, by integer operations."""
    lanes = vmath.lanes_of(value)

    def number(value):
        return tir.broadcast(tirx.const(value, "int32"), lanes)

    value = let(value)
    bits = let(T.reinterpret(tir.vector_type("int32", lanes), value))
    result = let((bits + number(0x7FFF) + ((bits >> number(16)) & number(1))) & number(-0x10000))
    is_subnormal = let(bits & number(0x7F800000)) == number(0)
    result = T.Select(is_subnormal, bits & number(-0x80000000), result)
    result = T.Select(value == value, result, bits | number(QUIET_NAN))
    return let(T.reinterpret(tir.vector_type("float32", lanes), result))


def shorts(value):
    """Round float32s, and return them as bfloat16s in uint16s."""
    lanes = vmath.lanes_of(value)
    return vmath.cast("uint16", vmath.bits_of(nearest(value)) >> tir.broadcast(tirx.const(16, "int32"), lanes))


@dataclass(frozen=True)
class Round(Kernel):
    """Sets y to x, rounded to bfloat16s of two bytes. List 0 has the addresses of x, list 2 those of y."""

    parameters = ("size",)
    shared = BY_ROWS

    def effects(self, parameters):
        (size,) = parameters
        return Effects(((2, (size + 1) // 2),), NUMBER * size, self.shared)

    def on_cpu(self, instruction, lanes):
        (size,) = instruction.parameters
        x, y = instruction.addresses(0, 0, 2)
        copy = tir.buffer_at(let(4 * y), "uint16")
        first, end = instruction.own_rows(size, 2 * CACHE_LINE)

        def emit(offset, mask):
            start = let(first + offset)
            store(copy, start, shorts(load(instruction.memory, let(x + start), lanes, mask)), mask)

        vector_loop(let(end - first), lanes, emit)

    def on_gpu(self, instruction):
        (size,) = instruction.parameters
        with thread_each_element(instruction, size) as (column, offset):
            x, y = instruction.addresses(column, 0, 2)
            store(tir.buffer_at(let(4 * y), "uint16"), offset, shorts(load(instruction.memory, let(x + offset))))
