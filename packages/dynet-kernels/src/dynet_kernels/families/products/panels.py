"""Loops over rows and columns for matrix products on a CPU, and matrix products by tiles and panels.

The argument `emit` of a loop emits its body. A range [first, end) does not include `end`. A vector holds `lanes` floats
of adjacent rows; if fewer rows are left, a mask selects the lanes to use.
"""

from __future__ import annotations

import functools

from ... import tir, vmath
from ...tir import int64, let, load, quotient, remainder, serial, settled, store
from ...tvm_modules import T
from .rounding import rounded


def each_tile(first, end, sizes, emit):
    """Divide [first, end) into tiles, with emit(start, size): as many of the first size as fit, then of the next.

    `sizes` is in descending order. If the last size is not 1, the end of the range may be in no tile.
    """
    start = first
    for size in sizes:
        turns = let(quotient(end - start, size))
        with serial(turns) as turn:
            emit(let(start + turn * size), size)
        start = let(start + turns * size)


def halved_sizes(size):
    """Return [size, size / 2, size / 4, ..., 1], each rounded up."""
    return [size, *halved_sizes((size + 1) // 2)] if size > 1 else [size]


def each_row_tile(first, end, lanes, vectors, emit, taller=False):
    """Divide rows into tiles of `vectors` vectors, and the rest into smaller tiles, with emit(start, vectors, mask)."""
    # If `taller`, the last full tile takes a single vector that remains. Rows that do not fill a vector get a mask.
    rows = let(end - first)
    whole_vectors = let(quotient(rows, lanes))
    sizes, start = halved_sizes(vectors), 0

    def emit_full_vectors(start, size):
        emit(let(first + start * lanes), size, None)

    if taller and vectors > 1:
        rest = remainder(whole_vectors, vectors)
        start = settled(whole_vectors - T.Select(T.And(rest == 1, whole_vectors > 1), int64(vectors + 1), rest))
        each_tile(0, start, [vectors], emit_full_vectors)
        sizes = [vectors + 1, *sizes[1:]]
    each_tile(start, whole_vectors, sizes, emit_full_vectors)
    if lanes == 1:
        return
    rest = let(rows - whole_vectors * lanes)
    with tir.when(rest > 0):
        emit(let(first + whole_vectors * lanes), 1, tir.first_lanes(rest, lanes))


def each_joined_row_tile(first, end, lanes, vectors, emit):
    """Like `each_row_tile`, but full vectors that remain share a tile with the vector that needs a mask, if any."""
    # A tile of only the vector with the mask would take as long as a tile of several vectors.
    rows = let(end - first)
    whole_vectors = let(quotient(rows, lanes))
    rest = let(rows - whole_vectors * lanes)
    last_size = 0  # the number of vectors in the tile with the mask, or 0 if no mask is needed
    if lanes > 1:
        left_over = remainder(whole_vectors, vectors) + 1
        # If only the vector with the mask is left over, its tile takes some vectors from the previous tile.
        one_left = T.And(left_over == 1, whole_vectors > 0)
        split_size = int64(vectors + 1 - (vectors + 1) // 2)
        last_size = settled(T.Select(rest > 0, T.Select(one_left, split_size, left_over), int64(0)))
    begin = settled(whole_vectors + T.Select(rest > 0, int64(1), int64(0)) - last_size)

    def emit_full_vectors(start, size):
        emit(let(first + start * lanes), size, None)

    each_tile(0, begin, halved_sizes(vectors), emit_full_vectors)
    if lanes > 1:
        for size in range(1, vectors + 1):
            with tir.when(last_size == size):
                emit(let(first + begin * lanes), size, tir.first_lanes(rest, lanes))


def masks_of(vectors, mask):
    """Return the mask of each vector of a tile: only the last vector has one."""
    return [None] * (vectors - 1) + [mask]


def add_products(totals, vectors, factor):
    for total, vector in zip(totals, vectors):
        total.value = vmath.fma(vector, factor, total.value)


class Panel:
    """Contiguous memory on the stack for a section of a matrix: `height` rows of `vectors` vectors each."""

    def __init__(self, lanes, vectors, height):
        self.lanes, self.width, self.height = lanes, vectors * lanes, height
        self.buffer = tir.on_stack(height * self.width, "float32")

    def fill(self, memory, count, source, vectors, mask):
        """Copy `vectors` vectors from address source(n) to each row n < `count`. The mask is for the last vector."""
        with serial(count) as row:
            address = let(source(row))
            for v, vector_mask in enumerate(masks_of(vectors, mask)):
                value = load(memory, let(address + v * self.lanes), self.lanes, vector_mask)
                store(self.buffer, let(row * self.width + v * self.lanes), rounded(value))

    def fill_rows(self, memory, count, source, length):
        """Copy `length` floats from address source(n) to each row n < `count`."""
        lanes = self.lanes
        whole_size = let(quotient(length, lanes) * lanes)
        rest = let(length - whole_size)
        mask = tir.first_lanes(rest, lanes) if lanes > 1 else None
        with serial(count) as row:
            address, target = let(source(row)), let(row * self.width)

            def copy(v, vectors):
                for k in range(vectors):
                    offset = let((v + k) * lanes)
                    store(self.buffer, target + offset, rounded(load(memory, address + offset, lanes)))

            each_tile(0, let(quotient(whole_size, lanes)), [4, 1], copy)
            if lanes > 1:
                with tir.when(rest > 0):
                    store(self.buffer, target + whole_size, rounded(load(memory, address + whole_size, lanes, mask)))

    def fill_transposed(self, memory, count, source, vectors):
        """Fill the panel with a transpose: element k of row n < `count` is at address source(k) + n."""
        # source(k) must be a valid address for every k < `vectors` * `lanes`, because unused elements are read as well.
        lanes = self.lanes
        with serial(vectors) as v:
            with serial(quotient(count + lanes - 1, lanes)) as block:
                first = let(block * lanes)
                mask = tir.first_lanes(T.min(lanes, count - first), lanes) if lanes > 1 else None
                columns = [let(source(let(v * lanes + k)) + first) for k in range(lanes)]
                rows = vmath.transposed([rounded(load(memory, column, lanes, mask)) for column in columns])
                for k, row in enumerate(rows):
                    store(self.buffer, let((first + k) * self.width + v * lanes), row)

    def load_vector(self, row, v):
        """Load vector v of a row of the panel. Lanes outside the mask of `fill` are undefined."""
        return load(self.buffer, let(row * self.width + v * self.lanes), self.lanes)


def split(count, size, emit):
    """Divide [0, count) into blocks of `size` (the last may be shorter), with emit(first, length)."""
    with serial(quotient(count + size - 1, size)) as block:
        first = let(block * size)
        emit(first, let(T.min(size, count - first)))


def split_evenly(count, size, emit):
    """Like `split`, with as many blocks, but of nearly equal lengths."""
    block_count = let(quotient(count + size - 1, size))
    split(count, settled(quotient(count + block_count - 1, T.max(block_count, 1))), emit)


COLUMNS_AT_ONCE = 512  # an instruction's columns that are worked on together, so that their floats stay in the L2 cache


def by_blocks(emit, w, first, end):
    """Divide columns into blocks of up to COLUMNS_AT_ONCE, with emit(w, start, stop). `w` is W's or dW's address."""
    split(end - first, COLUMNS_AT_ONCE, lambda start, n: emit(w, settled(first + start), settled(first + start + n)))


def each_matrix(instruction, group_size, emit):
    """Emit a loop over the matrices of an instruction, with emit(first, end) for the columns that share a matrix."""
    # The divisor must not be 0, although a thread may have no columns.
    columns_per_matrix = let(T.Select(group_size == 0, T.max(instruction.count, 1), group_size))
    with serial(quotient(instruction.count, columns_per_matrix)) as index:
        first = let(index * columns_per_matrix)
        emit(first, let(first + columns_per_matrix))


class TileSums:
    """Emits target[j] = start[j] + M source[j] for rows [first_row, end_row), where M is a matrix or its transpose.

    If a method's `start_role` is -1, start[j] is 0. If `shares_target`, several columns may have the same target, and
    `start_role` must be -1 or `target_role`.
    """

    def __init__(self, instruction, lanes, source_role, target_role, first_row, end_row, shares_target=False):
        self.instruction, self.memory, self.lanes = instruction, instruction.memory, lanes
        self.first_row, self.end_row = first_row, end_row
        self.source_role, self.target_role, self.shares_target = source_role, target_role, shares_target

    def _starts(self, role, columns, offset):  # the address of element `offset` of each column
        return [let(self.instruction.address(role, column) + offset) for column in columns]

    def compute_tile(self, load_vector, columns, row, vectors, mask, first, length, start_role, prefetch=None):
        """Add up `length` terms, starting at column `first` of M, for `vectors` vectors of rows starting at `row`."""
        # load_vector(k, v) is vector v of column first + k of M. In turn k of the loop over terms, prefetch(k) fetches
        # one cache line. So prefetches are spread over time: a core can wait for only a few lines at a time.
        memory, lanes = self.memory, self.lanes
        sources, targets = self._starts(self.source_role, columns, first), self._starts(self.target_role, columns, row)
        if self.shares_target:  # the targets are read after all terms have been added up, so prefetch them now
            for v in range(vectors):
                for address in targets:
                    tir.prefetch_line(memory, address + v * lanes)
        zero = tir.broadcast(0.0, lanes)
        masks = masks_of(vectors, mask)
        sums = [[tir.Accumulator(lanes, zero) for _ in masks] for _ in columns]
        if not self.shares_target:
            with tir.when(start_role >= 0):
                for column, totals in zip(columns, sums):
                    start = let(self.instruction.address(start_role, column) + row)
                    for v, total in enumerate(totals):
                        total.value = load(memory, start + v * lanes, lanes, masks[v])
        with serial(length) as k:
            if prefetch:
                prefetch(k)
            matrix = [load_vector(k, v) for v in range(vectors)]
            for source, totals in zip(sources, sums):
                add_products(totals, matrix, rounded(let(tir.broadcast(memory[source + k], lanes))))
        for target, totals in zip(targets, sums):
            for v, total in enumerate(totals):
                address, value = target + v * lanes, total.value
                if self.shares_target:  # read the target only now, because an earlier column may have the same target
                    adds = tir.broadcast(start_role >= 0, lanes)
                    value = value + T.Select(adds, load(memory, address, lanes, masks[v]), zero)
                store(memory, address, value, masks[v])

    def by_panels(self, fill, prefetcher, tile, height, matrix_width, first, end, start_role, row_major):
        """Compute the target for the columns [first, end) of the instruction from panels of M.

        Args:
            fill: fill(panel, row, vectors, mask, k, length) copies a section of M to the panel: columns k to
                k + length - 1, and `vectors` vectors of each column, starting at row `row`.
            prefetcher: prefetcher(row, vectors, k, v) returns a function that prefetches vector v of the next panel,
                one cache line per call. This function's argument runs from 0 to `length` - 1.
            tile: (columns, vectors of rows) of the largest tile.
            height: a panel has at most this many of the `matrix_width` columns of M.
            row_major: if true, panels with the same rows of M follow each other, so that these rows of the targets stay
                in the cache. If false, panels with the same columns of M do, so that the sources stay in the cache.
        """
        width, tile_vectors = tile
        panel = Panel(self.lanes, tile_vectors, height)

        def add_panel(row, vectors, mask, k, length):
            fill(panel, row, vectors, mask, k, length)
            sums_role = let(T.Select(k == 0, start_role, self.target_role))

            def add_to_columns(start, count):
                columns = [let(start + j) for j in range(count)]
                # While computing the first rows, prefetch the source of the next columns, which all rows need.
                with tir.when(row == self.first_row):
                    with serial(count) as j:
                        column = let(T.min(start + count + j, end - 1))
                        tir.prefetch(self.memory, let(self.instruction.address(self.source_role, column) + k), length)

                def add_tile(prefetch=None):
                    self.compute_tile(panel.load_vector, columns, row, vectors, mask, k, length, sums_role, prefetch)

                if count == width:
                    v = let(quotient(start - first, width))  # tile v of columns prefetches vector v of the next panel
                    tir.choose(v < vectors, lambda: add_tile(prefetcher(row, vectors, k, v)), add_tile)
                else:
                    add_tile()

            each_tile(first, end, halved_sizes(width), add_to_columns)

        each_rows = functools.partial(each_joined_row_tile, self.first_row, self.end_row, self.lanes, tile_vectors)
        each_columns = functools.partial(split, matrix_width, height)
        if row_major:
            each_rows(lambda *rows: each_columns(lambda *columns: add_panel(*rows, *columns)))
        else:
            each_columns(lambda *columns: each_rows(lambda *rows: add_panel(*rows, *columns)))
