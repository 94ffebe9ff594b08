"""Matrix products on a CPU whose factors are rounded to bfloat16, by the CPU's instructions for these.

    sums[t, r] = sum over n < terms of left[t, n] * right[r, n]    for targets t and rows r

AVX512-BF16 multiplies vectors of pairs; AMX multiplies tiles of 16 x 16 pairs. Terms n and n + 1 form a pair, for an
even n. Pairs of a target are packed side by side, and pairs of 16 rows are packed side by side, as a vector. A factor
is *adjacent* if its terms are side by side in memory, and *across* if its targets or rows are.
"""

from __future__ import annotations

from ... import tir, vmath
from ...tir import int64, let, load, quotient, serial, settled, store
from ...tvm_modules import T, tirx
from . import precision, rounding
from .panels import split

LEAST_SIZE = 256  # matrices of at least this many floats are worth packing
LANES = 16  # of a vector, and the side of a tile
SHORTS = 2 * LANES  # bfloat16s of a vector
TERMS_AT_ONCE = SHORTS  # those of a row of a tile
TERMS, TARGETS, ROWS = 256, 512, 2 * LANES  # so many are packed together
LEFT_STRIDE = TERMS // 2 + LANES  # pairs from one target to the next: not a power of two, which caches do not like
TARGETS_AT_ONCE = {precision.AMX: 2 * LANES, precision.AVX512: 8}

DOT_SOURCE = """\
declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)
define linkonce_odr <16 x float> @dynet_dot_pairs(<16 x float> %sum, <16 x i32> %x, <16 x i32> %y) alwaysinline {
  %p = bitcast <16 x i32> %x to <32 x bfloat>
  %q = bitcast <16 x i32> %y to <32 x bfloat>
  %r = call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %sum, <32 x bfloat> %p, <32 x bfloat> %q)
  ret <16 x float> %r
}
"""
CONFIGURATION = [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]  # eight tiles of 16 rows of 64 bytes
TILES_SOURCE = f"""\
declare void @llvm.x86.ldtilecfg(ptr)
declare void @llvm.x86.tilerelease()
declare void @llvm.x86.tilezero(i8)
declare void @llvm.x86.tileloadd64(i8, ptr, i64)
declare void @llvm.x86.tdpbf16ps(i8, i8, i8)
declare void @llvm.x86.tilestored64(i8, ptr, i64)
@dynet_tiles = private constant [64 x i8] [{", ".join(f"i8 {byte}" for byte in CONFIGURATION)}]
define linkonce_odr i32 @dynet_configure_tiles() alwaysinline {{
  call void @llvm.x86.ldtilecfg(ptr @dynet_tiles)
  ret i32 0
}}
define linkonce_odr i32 @dynet_release_tiles() alwaysinline {{
  call void @llvm.x86.tilerelease()
  ret i32 0
}}
"""


def tile_source(down: int, across: int) -> str:
    """Return LLVM's code of a function for `down` x `across` tiles of sums: tiles 0 to 3. Factors are tiles 4 to 7."""
    tiles = [(i, j) for i in range(down) for j in range(across)]
    lines = [
        f"define linkonce_odr i32 @dynet_tiles_{down}_{across}(ptr %left, ptr %right, ptr %sums, i64 %count) "
        "alwaysinline {",
        "entry:",
    ]

    def tile(call: str, number: int, base: str, offset: int, stride: int) -> None:
        at = f"%at{len(lines)}"
        lines.append(f"  {at} = getelementptr i8, ptr {base}, i64 {4 * offset}")
        lines.append(f"  call void @llvm.x86.{call}(i8 {number}, ptr {at}, i64 {4 * stride})")

    lines += [f"  call void @llvm.x86.tilezero(i8 {2 * i + j})" for i, j in tiles]
    lines += ["  br label %loop", "loop:", "  %n = phi i64 [ 0, %entry ], [ %next, %loop ]"]
    for name, step in (("left", LANES), ("right", LANES * ROWS)):
        lines.append(f"  %{name}_bytes = mul i64 %n, {4 * step}")
        lines.append(f"  %{name}_now = getelementptr i8, ptr %{name}, i64 %{name}_bytes")
    for j in range(across):
        tile("tileloadd64", 6 + j, "%right_now", LANES * j, ROWS)
    for i in range(down):
        tile("tileloadd64", 4 + i, "%left_now", LANES * LEFT_STRIDE * i, LEFT_STRIDE)
        lines += [f"  call void @llvm.x86.tdpbf16ps(i8 {2 * i + j}, i8 {4 + i}, i8 {6 + j})" for j in range(across)]
    lines += ["  %next = add i64 %n, 1", "  %more = icmp slt i64 %next, %count"]
    lines += ["  br i1 %more, label %loop, label %done", "done:"]
    for i, j in tiles:
        tile("tilestored64", 2 * i + j, "%sums", LANES * (ROWS * i + j), ROWS)
    return "\n".join([*lines, "  ret i32 0", "}\n"])


def with_instructions(emit):
    """Call emit(), which may emit calls of the functions above and of those in `rounding`."""
    if not rounding.has_instructions():
        emit()
        return
    source = DOT_SOURCE
    if precision.factors() == precision.AMX:
        source += TILES_SOURCE + "".join(tile_source(down, across) for down in (1, 2) for across in (1, 2))
    with T.attr(tirx.const(0, "int32"), "pragma_import_llvm", rounding.SOURCE + source):
        emit()


def load_or_zero(memory, address, mask=None, lanes=LANES, dtype="float32"):
    """Load a vector. Lanes outside the mask become 0; None: no lanes are."""
    value = load(memory, address, lanes, mask, dtype)
    return value if mask is None else let(T.Select(mask, value, T.Broadcast(tirx.const(0, dtype), lanes)))


def load_shorts(copy, start, mask=None):
    """Load a vector of bfloat16s. Lanes outside the mask become 0; None: no lanes are."""
    return load_or_zero(copy, let(start), mask, SHORTS, "uint16")


def as_pairs(shorts):
    return let(T.reinterpret("int32x16", shorts))


def add_dots(totals, vectors, factor):
    """Add the products of pairs of each vector and those of `factor` to a total."""
    for total, vector in zip(totals, vectors):
        total.value = T.call_extern("float32x16", "dynet_dot_pairs", total.value, vector, factor)


def some_lanes(count, lanes=LANES):
    """Return a mask of the first `count` lanes of a vector: none if it is negative, or all if it is large."""
    return tir.first_lanes(settled(T.max(T.min(int64(count), lanes), 0)), lanes)


class Factor:
    """One of the factors of a product. address_of(i, n) is the address of term n of target or row i."""

    def __init__(self, memory, address_of):
        self.memory, self.address_of = memory, address_of

    def _adjacent(self, i, term, count=None):
        """Return the pairs of target or row i from an even term on, of which `count` terms exist (None: all)."""
        halves = []
        for k in (0, LANES):
            mask = None if count is None else some_lanes(count - k)
            halves.append(load_or_zero(self.memory, let(self.address_of(i, term + k)), mask))
        return let(T.call_extern("int32x16", "dynet_adjacent_pairs", *halves))

    def _across(self, i, term, mask, end=None):
        """Return the pairs of two terms, the first even, of targets or rows from i on. Terms from `end` on are 0."""
        vectors = []
        for k in range(2):
            number, used = term + k, mask
            if end is not None:
                used = T.And(mask, T.Broadcast(number < end, LANES))
                number = settled(T.min(number, end - 1))
            vectors.append(self._load(let(self.address_of(i, number)), used))
        return self._joined(*vectors)

    def _load(self, address, mask):
        return load_or_zero(self.memory, address, mask)

    def _joined(self, first, second):
        return let(T.call_extern("int32x16", "dynet_pairs_across", first, second))

    def pack_left(self, left, first, count, begin, end, adjacent):
        """Pack terms [begin, end) of targets from `first` on."""
        if adjacent:
            with serial(count) as t:
                target, start = let(first + t), let(t * LEFT_STRIDE)

                def emit(term, place, rest):
                    put(left, start + place, self._adjacent(target, term, rest))  # noqa: B023

                each_block(begin, end, emit)
            return
        with serial(blocks(count, LANES)) as square:
            t = let(square * LANES)
            target, mask = let(first + t), some_lanes(count - t)
            with serial(blocks(end - begin, TERMS_AT_ONCE)) as block:
                term = let(begin + block * TERMS_AT_ONCE)
                columns = [self._across(target, let(term + 2 * k), mask, end) for k in range(LANES)]
                for k, row in enumerate(transposed(columns)):
                    put(left, (t + k) * LEFT_STRIDE + block * LANES, row)

    def pack_right(self, right, first, count, begin, end, adjacent):
        """Pack terms [begin, end) of rows from `first` on. Rows beyond the last one are undefined."""
        if not adjacent:
            masks = [some_lanes(count - v) for v in (0, LANES)]

            def emit(term, place, rest):
                with serial(LANES) as pair:
                    for v, mask in zip((0, LANES), masks):
                        pairs = self._across(let(first + v), let(term + 2 * pair), mask, rest if rest is None else end)
                        put(right, (place + pair) * ROWS + v, pairs)

            each_block(begin, end, emit)
            return
        with serial(blocks(count, LANES)) as square, serial(blocks(end - begin, TERMS_AT_ONCE)) as block:
            v, term = let(square * LANES), let(begin + block * TERMS_AT_ONCE)
            rows = [settled(first + T.min(v + k, count - 1)) for k in range(LANES)]
            for k, column in enumerate(transposed([self._adjacent(row, term, let(end - term)) for row in rows])):
                put(right, (block * LANES + k) * ROWS + v, column)


class ShortFactor(Factor):
    """A factor whose `memory` has bfloat16s."""

    def _adjacent(self, i, term, count=None):
        mask = None if count is None else some_lanes(count, SHORTS)
        return as_pairs(load_shorts(self.memory, self.address_of(i, term), mask))

    def _load(self, address, mask):
        return let(vmath.cast("int32", load_or_zero(self.memory, address, mask, LANES, "uint16")))

    def _joined(self, first, second):
        return let(first | (second << T.Broadcast(tirx.const(LANES, "int32"), LANES)))


def each_block(begin, end, emit):
    """Emit a loop over blocks of TERMS_AT_ONCE terms, with emit(first term, number of its pair, rest).

    `rest` is how many terms the last block has if it is not whole; otherwise None.
    """
    whole = let(quotient(end - begin, TERMS_AT_ONCE))
    with serial(whole) as block:
        emit(let(begin + block * TERMS_AT_ONCE), let(block * LANES), None)
    term = let(begin + whole * TERMS_AT_ONCE)
    with tir.when(term < end):
        emit(term, let(whole * LANES), let(end - term))


def blocks(count, size):
    return let(quotient(count + (size - 1), size))


def put(buffer, start, vector):
    T.buffer_store(buffer, vector, [T.Ramp(let(start), int64(1), LANES)])


def transposed(vectors):
    rows = vmath.transposed([let(T.reinterpret("float32x16", vector)) for vector in vectors])
    return [let(T.reinterpret("int32x16", row)) for row in rows]


def add_up(terms, targets, rows, left_factor, right_factor, write, left_adjacent, right_adjacent):
    """Compute sums for ranges of targets and rows, with write(target, row, value, mask, before).

    This stores a vector of sums over terms. If `before` > 0, so many terms are in memory already.
    """
    left = tir.on_stack(TARGETS * LEFT_STRIDE, "int32")
    right = tir.on_stack(TERMS // 2 * ROWS, "int32")
    sums = tir.on_stack(2 * LANES * ROWS, "float32")
    (first_target, end_target), (first_row, end_row) = targets, rows
    is_amx = precision.factors() == precision.AMX

    def emit_terms(begin, term_count):
        end, steps = let(begin + term_count), blocks(term_count, TERMS_AT_ONCE)

        def emit_targets(offset, count):
            first = let(first_target + offset)
            left_factor.pack_left(left, first, count, begin, end, left_adjacent)

            def emit_rows(offset, height):
                row = let(first_row + offset)
                right_factor.pack_right(right, row, height, begin, end, right_adjacent)

                def emit_sums(t, width):
                    if is_amx:
                        add_tiles(left, right, sums, t, steps, width, height)
                    else:
                        add_vectors(left, right, sums, t, steps)
                    with serial(width) as k:
                        for v in (0, LANES):
                            mask = tir.first_lanes(T.max(T.min(height - v, LANES), 0), LANES)
                            value = load(sums, let(k * ROWS + v), LANES)
                            write(let(first + t + k), let(row + v), value, mask, begin)

                split(count, TARGETS_AT_ONCE[precision.factors()], emit_sums)

            split(end_row - first_row, ROWS, emit_rows)

        split(end_target - first_target, TARGETS, emit_targets)

    if is_amx:
        T.evaluate(T.call_extern("int32", "dynet_configure_tiles"))
    split(terms, TERMS, emit_terms)
    if is_amx:
        T.evaluate(T.call_extern("int32", "dynet_release_tiles"))


def add_tiles(left, right, sums, target, steps, width, height):
    """Compute the sums of `width` targets, from `target` on, and `height` rows by AMX."""
    addresses = [T.address_of(at) for at in (left[let(target * LEFT_STRIDE)], right[int64(0)], sums[int64(0)])]

    def emit(down, across):
        T.evaluate(T.call_extern("int32", f"dynet_tiles_{down}_{across}", *addresses, steps))

    def emit_across(down):
        tir.choose(height > LANES, lambda: emit(down, 2), lambda: emit(down, 1))

    tir.choose(width > LANES, lambda: emit_across(2), lambda: emit_across(1))


def add_vectors(left, right, sums, target, steps):
    """Compute the sums of TARGETS_AT_ONCE targets, from `target` on, and ROWS rows by AVX512-BF16."""
    zero = tir.broadcast(0.0, LANES)
    starts = [let((target + k) * LEFT_STRIDE) for k in range(TARGETS_AT_ONCE[precision.AVX512])]
    totals = [[tir.Accumulator(LANES, zero) for _ in range(2)] for _ in starts]
    with serial(steps * LANES) as pair:
        vectors = [let(right.vload((let(pair * ROWS + v),), "int32x16")) for v in (0, LANES)]
        for start, of_target in zip(starts, totals):
            add_dots(of_target, vectors, let(T.Broadcast(left[start + pair], LANES)))
    for k, of_target in enumerate(totals):
        for v, total in enumerate(of_target):
            store(sums, int64(k * ROWS + v * LANES), total.value)
