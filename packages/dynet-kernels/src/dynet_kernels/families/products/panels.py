"""How products loop over rows and columns on a CPU: register tiles, panels of the matrix, chunks of columns.

The columns of a large matrix are far apart in memory. So a *panel*, the part that is used again and again, is first
copied to contiguous memory. The sizes of tiles and panels are in `tuning.py`.
"""

from __future__ import annotations

from ... import tir
from ...functions import vmath
from ...lazy import T
from ...tir import int64, let, load, quotient, remainder, store


def tiles(first, end, sizes, emit):
    """Cover first..end with tiles, the largest first: emit(start, size)."""
    start = first
    for size in sizes:
        turns = let(quotient(end - start, size))
        with T.serial(int64(0), turns) as turn:
            emit(let(start + turn * int64(size)), size)
        start = let(start + turns * int64(size))


def halves(size):
    """A size, half of it and so on to 1."""
    sizes = [size]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def row_tiles(first, end, lanes, vectors, emit, taller=False):
    """Cover rows first..end with tiles of `vectors` vectors, then halves of that: emit(start, vectors, mask).

    Only the last tile has a mask. `taller`: if one vector would be left over, the last tile takes it.
    """
    rows = let(end - first)
    whole = let(quotient(rows, lanes))
    sizes, start = halves(vectors), int64(0)

    def some_rows(start, size):
        emit(let(first + start * int64(lanes)), size, None)

    if taller and vectors > 1:
        rest = remainder(whole, vectors)
        one_left = T.And(rest == int64(1), whole > int64(1))
        start = tir.Counter(whole - T.Select(one_left, int64(vectors + 1), rest)).get()
        tiles(int64(0), start, [vectors], some_rows)
        sizes = [vectors + 1, *sizes[1:]]
    tiles(start, whole, sizes, some_rows)
    if lanes == 1:
        return
    rest = let(rows - whole * int64(lanes))
    with tir.when(rest > int64(0)):
        emit(let(first + whole * int64(lanes)), 1, tir.first_lanes(rest, lanes))


def joined_row_tiles(first, end, lanes, vectors, emit):
    """The same, but the masked vector is the last one of a tile: alone it would take as long as several."""
    rows = let(end - first)
    whole = let(quotient(rows, lanes))
    rest = let(rows - whole * int64(lanes))
    last = int64(0)  # vectors of the masked tile
    if lanes > 1:
        left_over = remainder(whole, vectors) + int64(1)
        one_left = T.And(left_over == int64(1), whole > int64(0))  # the tile before it gives it some of its vectors
        shared = int64(vectors + 1 - (vectors + 1) // 2)
        last = tir.Counter(T.Select(rest > int64(0), T.Select(one_left, shared, left_over), int64(0))).get()
    begin = tir.Counter(whole + T.Select(rest > int64(0), int64(1), int64(0)) - last).get()

    def some_rows(start, size):
        emit(let(first + start * int64(lanes)), size, None)

    tiles(int64(0), begin, halves(vectors), some_rows)
    if lanes > 1:
        for size in range(1, vectors + 1):
            with tir.when(last == int64(size)):
                emit(let(first + begin * int64(lanes)), size, tir.first_lanes(rest, lanes))


class Panel:
    """Scratch memory for `height` rows of `vectors` vectors."""

    def __init__(self, lanes, vectors, height):
        self.lanes, self.width, self.height = lanes, vectors * lanes, height
        self.buffer = T.alloc_buffer((height * self.width,), "float32", scope="local", annotations=tir.ON_STACK)

    def fill(self, memory, count, source, vectors, mask):
        """Copy `vectors` vectors from source(number) for each number below `count`; the mask is of the last vector."""
        with T.serial(int64(0), count) as number:
            at = let(source(number))
            for v in range(vectors):
                value = load(memory, let(at + int64(v * self.lanes)), self.lanes, mask if v == vectors - 1 else None)
                store(self.buffer, let(number * int64(self.width) + int64(v * self.lanes)), value)

    def fill_transposed(self, memory, count, source, vectors):
        """The same, transposed: number `k` of row `n` comes from source(k) + n."""
        lanes = int64(self.lanes)
        with T.serial(int64(0), int64(vectors)) as v:
            with T.serial(int64(0), quotient(count + lanes - int64(1), self.lanes)) as block:
                number = let(block * lanes)
                mask = tir.first_lanes(T.min(lanes, count - number), self.lanes) if self.lanes > 1 else None
                columns = [let(source(let(v * lanes + int64(k))) + number) for k in range(self.lanes)]
                rows = vmath.transposed([load(memory, column, self.lanes, mask) for column in columns])
                for k, row in enumerate(rows):
                    store(self.buffer, let((number + int64(k)) * int64(self.width) + v * lanes), row)

    def vector(self, number, v):
        """Vector v of a row. Masked lanes are uninitialised."""
        return load(self.buffer, let(number * int64(self.width) + int64(v * self.lanes)), self.lanes)


def blocks(count, size, emit):
    """Cover `count` with blocks of at most `size`: emit(first, length)."""
    whole = int64(size)
    with T.serial(int64(0), quotient(count + whole - int64(1), size)) as block:
        first = let(block * whole)
        emit(first, let(T.min(whole, count - first)))


def even_blocks(count, size, emit):
    """The same with blocks of nearly the same length."""
    number = let(quotient(count + size - int64(1), size))
    blocks(count, let(tir.Counter(quotient(count + number - int64(1), T.max(number, int64(1)))).get()), emit)


CHUNK = 512  # columns that are worked on together: their numbers stay in the second cache


def by_chunks(emit, w, first, end):
    """emit(w, first, end) for one chunk of columns after the other."""
    blocks(end - first, CHUNK, lambda start, length: emit(w, let(first + start), let(first + start + length)))


def groups(instruction, group, emit):
    """For each matrix: emit(first column, end)."""
    # a thread may have no columns at all
    width = let(T.Select(group == int64(0), T.max(instruction.count, int64(1)), group))
    with T.serial(int64(0), quotient(instruction.count, width)) as number:
        first = let(number * width)
        emit(first, let(first + width))


class Sums:
    """Computes target[j] = start[j] + M source[j] on a CPU, for the rows first_row..end_row of the target.

    M is a matrix or its transpose. A role is the number of an address list. The role of the start is -1 if there is no
    start. If `shared`, several columns may have the same target, and the products are added to what it holds.
    """

    def __init__(self, instruction, lanes, source_role, target_role, first_row, end_row, shared=False):
        self.instruction, self.memory, self.lanes = instruction, instruction.memory, lanes
        self.first_row, self.end_row = first_row, end_row
        self.source_role, self.target_role, self.shared = source_role, target_role, shared

    def tile(self, vector_of, columns, row, vectors, mask, first, length, start_role, bring=None):
        """Add `length` columns of M, whose vectors are vector_of(k, v), to a tile of some rows and columns.

        The mask is for the last vector of rows. bring(k) prefetches a line: a core has only few of them in flight.
        """
        source = [let(self.instruction.address(self.source_role, j) + first) for j in columns]
        target = [let(self.instruction.address(self.target_role, j) + row) for j in columns]
        if self.shared:  # they are read at the end
            for v in range(vectors):
                for at in target:
                    tir.prefetch_line(self.memory, at + int64(v * self.lanes))
        zero = tir.wide(tir.float32(0.0), self.lanes)
        masks = [None] * (vectors - 1) + [mask]
        sums = [[tir.Accumulator(self.lanes, zero) for _ in range(vectors)] for _ in columns]
        if not self.shared:
            with tir.when(start_role >= int64(0)):
                for j, number in enumerate(columns):
                    start = let(self.instruction.address(start_role, number) + row)
                    for v in range(vectors):
                        sums[j][v].set(load(self.memory, start + int64(v * self.lanes), self.lanes, masks[v]))
        with T.serial(int64(0), length) as k:
            if bring:
                bring(k)
            matrix = [vector_of(k, v) for v in range(vectors)]
            for j in range(len(columns)):
                scalar = let(tir.wide(self.memory[source[j] + k], self.lanes))
                for v in range(vectors):
                    sums[j][v].set(vmath.fma(matrix[v], scalar, sums[j][v].get()))
        for j in range(len(columns)):
            for v in range(vectors):
                at, total = target[j] + int64(v * self.lanes), sums[j][v].get()
                if self.shared:  # other columns may have added to it meanwhile
                    adds = tir.wide(start_role >= int64(0), self.lanes)
                    total = total + T.Select(adds, load(self.memory, at, self.lanes, masks[v]), zero)
                store(self.memory, at, total, masks[v])

    def by_panels(self, fill, bring, tile, height, depth, first, end, start_role, row_first):
        """Columns first..end by a tile of (columns, vectors), from panels of `height` columns of M.

        M has `depth` columns. fill(panel, row, vectors, mask, k, length) fills a panel. Each of the first tiles
        prefetches one vector of rows of the next panel, by bring(row, vectors, k, part)(number). `row_first`: finish a
        few rows before the next ones, so that targets are written once; else finish a few columns of M, so that the
        source is read once.
        """
        width, tall = tile
        panel = Panel(self.lanes, tall, height)

        def one_panel(row, vectors, mask, k, length):
            fill(panel, row, vectors, mask, k, length)
            so_far = let(T.Select(k == int64(0), start_role, self.target_role))

            def some_columns(start, count):
                columns = [let(start + int64(j)) for j in range(count)]
                with tir.when(row == self.first_row):  # prefetch the next columns, for all rows
                    with T.serial(int64(0), int64(count)) as j:
                        column = let(T.min(start + int64(count) + j, end - int64(1)))
                        tir.prefetch(self.memory, let(self.instruction.address(self.source_role, column) + k), length)

                def add(part=None):
                    asks = None if part is None else bring(row, vectors, k, part)
                    self.tile(panel.vector, columns, row, vectors, mask, k, length, so_far, asks)

                if count == width:
                    part = let(quotient(start - first, width))
                    tir.choose(part < int64(vectors), lambda: add(part), add)
                else:
                    add()

            tiles(first, end, halves(width), some_columns)

        def all_rows(emit):
            joined_row_tiles(self.first_row, self.end_row, self.lanes, tall, emit)

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
