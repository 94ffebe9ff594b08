"""Products of a matrix of int8s, one scale for each row, with columns that are rounded to int8s as they come.

    y[j] = start[j] + scale[j] * scales[i] * sum over k of numbers[i, k] * round(x[j][k] / scale[j])

A scale is a 127th of the largest magnitude of its row or column. Sums are exact. A matrix of a parameter keeps its
values, numbers[i, k] * scales[i], as float32s; the numbers are packed behind them, after a cache line: the scales
of all rows, then for each TERMS columns of the matrix: the sums of all rows, then the numbers of PANEL rows
after another, of which a *word* holds four adjacent ones of a row. Words of adjacent rows are adjacent. Rows are filled
up to a multiple of PANEL with zeros, columns to a multiple of TERMS_AT_ONCE. CPUs multiply unsigned by signed bytes, so
128 is added to each number of a column, and 128 times the sum of a row is subtracted at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import tir, vmath
from ...kernels import Kernel
from ...layout import CACHE_LINE, EITHER, aligned
from ...tir import let, load, quotient, serial, store
from ...tvm_modules import T, tirx, tvm
from ..threads import thread_each_element
from .pairs import load_or_zero
from .panels import each_tile, split
from .product import Product

MOST = 127  # the largest int8 in use
PANEL, TERMS, TERMS_AT_ONCE = 32, 4096, 16
LEAST, LARGEST = 1e-30, float(np.finfo(np.float32).max)  # a column with smaller numbers counts as 0
COLUMNS, WORDS = 8, TERMS // 4 + 16  # columns that are rounded together; from one to the next on the stack
VECTORS, CHAINS = 2, 4  # vectors of a tile; how many sums of each are added up independently, for one column


def to_int8(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a (rows, columns) matrix of float32s to scales and int8s, whose products are exact float32s.

    So rounding these products again gives the same. Rows whose largest magnitude is less than LEAST become 0.
    """
    largest = np.abs(matrix).max(axis=1, initial=0)
    scales = np.where(largest < LEAST, np.float32(0), largest / np.float32(MOST))
    scales = (scales.view(np.uint32) & 0xFFFFFF80).view(np.float32)  # 17 bits, so that products with 7 bits are exact
    divisors = np.where(scales > 0, scales, np.float32(np.inf))
    return scales, np.clip(np.rint(matrix / divisors[:, None]), -MOST, MOST).astype(np.int8)


def packed(scales: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return a quantized matrix as it is in memory: its values, and what follows them."""
    values = (numbers * scales[:, None]).ravel(order="F")
    rows, terms = (-(-size // unit) * unit for size, unit in zip(numbers.shape, (PANEL, TERMS_AT_ONCE)))
    filled = np.zeros((rows, terms), "i1")
    filled[: len(numbers), : numbers.shape[1]] = numbers
    # The line after the values says that there is no copy rounded to bfloat16; see `layout.PARAMETER`.
    no_copy = np.pad(np.ones(CACHE_LINE, "f4"), (aligned(values.size) - values.size, 0))
    parts = [values, no_copy, np.pad(scales, (0, rows - len(scales)))]
    for begin in range(0, terms, TERMS):
        part = np.ascontiguousarray(filled[:, begin : begin + TERMS])
        words = part.view("<i4").reshape(rows // PANEL, PANEL, -1).transpose(0, 2, 1)
        parts += [part.sum(axis=1, dtype="i4").view("f4"), np.ascontiguousarray(words).view("f4").ravel()]
    return np.concatenate(parts)


@dataclass(frozen=True)
class QuantizedProduct(Kernel):
    """y[j] = start[j] + W x[j] like `Product`, for a quantized W that all columns share. The last two do not matter."""

    parameters = Product.parameters
    shared = EITHER

    def effects(self, parameters):
        return Product().effects(parameters)

    def on_cpu(self, instruction, lanes):
        rows, inner, apart, w_role, x_role, y_role, start_role, *_ = instruction.parameters
        memory, dot = instruction.memory, dot_of_target(lanes)
        first_row, end_row = instruction.own_rows(rows, PANEL)
        padded = let(quotient(apart + (PANEL - 1), PANEL) * PANEL)
        size = let(quotient(apart * inner + (2 * CACHE_LINE - 1), CACHE_LINE) * CACHE_LINE)
        scales = let(instruction.shared_address(w_role, 0) + size)
        numbers, words = tir.on_stack(TERMS, "int32"), tir.on_stack(COLUMNS * WORDS, "int32")
        column_scales, inverses = (tir.on_stack(COLUMNS, "float32") for _ in range(2))

        def emit_columns(first, count):
            with serial(count) as j:
                x = instruction.address(x_role, first + j)
                largest = tir.Accumulator(lanes, 0.0)

                def compare(offset, mask):
                    value = load_or_zero(memory, let(x + offset), mask, lanes)  # noqa: B023
                    largest.value = vmath.maximum(largest.value, vmath.absolute(value))  # noqa: B023

                tir.vector_loop(inner, lanes, compare)
                for buffer, value in zip((column_scales, inverses), scale_and_inverse(let(largest.value))):
                    store(buffer, j, value)

            def emit_terms(begin, length):
                groups = let(quotient(length + (TERMS_AT_ONCE - 1), TERMS_AT_ONCE) * (TERMS_AT_ONCE // 4))
                sums = let(scales + padded + quotient(begin, TERMS) * (padded * (1 + TERMS // 4)))
                with serial(count) as j:
                    x = let(instruction.address(x_role, first + j) + begin)

                    def round_vector(offset, _):
                        mask = tir.first_lanes(T.max(T.min(length - offset, lanes), 0), lanes)
                        value = load_or_zero(memory, let(x + offset), mask, lanes)  # noqa: B023
                        number = T.nearbyint(value * T.Broadcast(let(inverses[j]), lanes))  # noqa: B023
                        store(numbers, offset, vmath.cast("int32", number) + integers(MOST + 1, lanes))

                    tir.vector_loop(let(4 * groups), lanes, round_vector)
                    with serial(groups) as group:
                        put = [(numbers[let(4 * group + k)] & integer(255)) << integer(8 * k) for k in range(4)]
                        T.buffer_store(words, put[0] | put[1] | put[2] | put[3], [let(j * WORDS + group)])
                with serial(quotient(end_row - first_row + (PANEL - 1), PANEL)) as panel:
                    row = let(first_row + panel * PANEL)
                    emit = lambda j, width: emit_tile(first, j, width, row, begin, groups, sums)  # noqa: E731
                    each_tile(0, count, (8, 4, 2, 1) if lanes == vmath.AVX512_LANES else (4, 2, 1), emit)

            split(inner, TERMS, emit_terms)

        def emit_tile(first, j, width, row, begin, groups, sums):
            """Add the terms from `begin` on to PANEL rows of `width` columns, from number `j` on."""
            panel, chains = let(sums + padded + row * groups), max(CHAINS // width, 1)
            role = let(T.Select(begin > 0, y_role, start_role))
            list_of_starts = let(T.max(role, 0))
            for v in range(0, PANEL, VECTORS * lanes):
                offsets = [v + k * lanes for k in range(VECTORS)]
                totals = [
                    [[tir.Accumulator(lanes, integers(0, lanes), "int32") for _ in range(chains)] for _ in offsets]
                    for _ in range(width)
                ]
                with serial(quotient(groups, chains)) as step:
                    for chain in range(chains):
                        group = let(step * chains + chain)
                        at = let(panel + group * PANEL)
                        matrix = [let(vmath.bits_of(load(memory, at + offset, lanes))) for offset in offsets]
                        for c, of_column in enumerate(totals):
                            factors = dot.factors(let(words[let((j + c) * WORDS + group)]))
                            for vector, of_vector in zip(matrix, of_column):
                                of_vector[chain].value = dot(of_vector[chain].value, vector, factors)
                for c, of_column in enumerate(totals):
                    y, start = (let(instruction.address(r, first + j + c) + row) for r in (y_role, list_of_starts))
                    scale = let(T.Broadcast(let(column_scales[let(j + c)]), lanes))
                    for offset, of_vector in zip(offsets, of_column):
                        of_row = let(row + offset)
                        total = sum((chain.value for chain in of_vector[1:]), of_vector[0].value)
                        extra = vmath.bits_of(load(memory, let(sums + of_row), lanes)) * integers(MOST + 1, lanes)
                        factor = let(scale * load(memory, let(scales + of_row), lanes))
                        mask = tir.first_lanes(T.max(T.min(end_row - of_row, lanes), 0), lanes)
                        used = T.And(mask, T.Broadcast(role >= 0, lanes))
                        before = load_or_zero(memory, let(start + offset), used, lanes)
                        store(
                            memory,
                            let(y + offset),
                            vmath.fma(vmath.cast("float32", total - extra), factor, before),
                            mask,
                        )

        split(instruction.count, COLUMNS, emit_columns)

    def on_gpu(self, instruction):
        # The values of W are exact products of its numbers and scales.
        rows, inner, apart, w_role, x_role, y_role, start_role, *_ = instruction.parameters
        memory = instruction.memory
        with thread_each_element(instruction, rows) as (column, row):
            w, x, y = (
                let(instruction.address(role, c)) for role, c in ((w_role, 0), (x_role, column), (y_role, column))
            )
            largest, total = tir.Accumulator(1, 0.0), tir.Accumulator(1, 0.0)
            with serial(inner) as k:
                largest.value = vmath.maximum(let(largest.value), let(vmath.absolute(memory[x + k])))
            scale, inverse = scale_and_inverse(let(largest.value))
            with serial(inner) as k:
                number = T.nearbyint(let(memory[x + k] * inverse))
                total.value = vmath.fma(memory[w + row + k * apart], number, total.value)
            before = tir.Accumulator(1, 0.0)
            with tir.when(start_role >= 0):
                before.value = memory[let(instruction.address(start_role, column) + row)]
            store(memory, let(y + row), vmath.fma(let(total.value), scale, before.value))


def scale_and_inverse(largest):
    """Return the scale of a column, NaN if a number is not finite, and its inverse. `largest` has magnitudes."""
    largest = let(vmath.combine_lanes(vmath.maximum, largest))
    scale = let(vmath.select(largest <= tir.float32(LARGEST), largest * tir.float32(1 / MOST), float("nan")))
    inverse = let(vmath.divide(tir.float32(float(MOST)), T.max(largest, tir.float32(LEAST))))
    return scale, let(vmath.select(largest >= tir.float32(LEAST), inverse, 0.0))


def integer(value):
    return tirx.const(value, "int32")


def integers(value, lanes):
    return T.Broadcast(integer(value), lanes)


class Dot:
    """Adds up products of four signed bytes in each int32 of a vector with four unsigned bytes, the same for all."""

    def __init__(self, lanes):
        self.lanes = lanes

    def factors(self, word):
        """Return what `__call__` needs of a word of four unsigned bytes."""
        return [T.Broadcast(let((word >> integer(8 * k)) & integer(255)), self.lanes) for k in range(4)]

    def __call__(self, total, vector, factors):
        for k, factor in enumerate(factors):
            byte = (vector << integers(24 - 8 * k, self.lanes)) >> integers(24, self.lanes)
            total = total + byte * factor
        return total


class DotByVnni(Dot):
    def factors(self, word):
        return let(T.reinterpret(f"int8x{4 * self.lanes}", T.Broadcast(word, self.lanes)))

    def __call__(self, total, vector, factors):
        name, numbers = f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}", T.reinterpret(f"int8x{4 * self.lanes}", vector)
        return T.call_llvm_pure_intrin(f"int32x{self.lanes}", name, total, factors, numbers)


class DotOfPairs(Dot):
    """Multiplies pairs of 16-bit integers: bytes 0 and 2, then 1 and 3."""

    def factors(self, word):
        pairs = (word & integer(0x00FF00FF), (word >> integer(8)) & integer(0x00FF00FF))
        return [T.reinterpret(f"int16x{2 * self.lanes}", T.Broadcast(let(pair), self.lanes)) for pair in pairs]

    def __call__(self, total, vector, factors):
        name = "llvm.x86.avx512.pmaddw.d.512" if self.lanes == vmath.AVX512_LANES else "llvm.x86.avx2.pmadd.wd"
        eight = T.Broadcast(tirx.const(8, "int16"), 2 * self.lanes)
        odd = let(T.reinterpret(f"int16x{2 * self.lanes}", vector))
        for bytes_of_vector, factor in zip(((odd << eight) >> eight, odd >> eight), factors):
            total = total + T.call_llvm_pure_intrin(f"int32x{self.lanes}", name, bytes_of_vector, factor)
        return total


def dot_of_target(lanes):
    """Return the fastest of these for the CPU to compile for. All give the same sums."""
    target = tvm.target.Target.current(allow_none=True)
    if target is None or lanes not in (8, vmath.AVX512_LANES):
        return Dot(lanes)
    has = tvm.target.codegen.target_has_features
    if has("avx512vnni" if lanes == vmath.AVX512_LANES else "avxvnni", target):
        return DotByVnni(lanes)
    return DotOfPairs(lanes) if has("avx512bw" if lanes == vmath.AVX512_LANES else "avx2", target) else Dot(lanes)
