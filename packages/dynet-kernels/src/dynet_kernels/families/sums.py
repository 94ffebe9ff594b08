"""Sums of arrays: y = factor * (x_1 + ... + x_k). A column has one x; adjacent columns with the same y are a *run*."""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..kernels import NUMBER, Effects, Kernel
from ..layout import BY_ROWS
from ..tir import let, load, serial, store
from ..tvm_modules import T
from .products.panels import each_row_tile
from .threads import thread_each_element

Y, X, FACTOR = 0, 2, 4  # the numbers of the address lists of y, x and the factor
TILE_VECTORS = 4  # this many vectors of y are computed together, with their sums in registers
MIN_ARRAYS_TO_PREFETCH = 16  # sums of at least this many arrays prefetch the arrays' next elements


@dataclass(frozen=True)
class Sum(Kernel):
    """Sets y to the sum of the x of a run's columns; if `scaled`, times the factor of the run's first column."""

    scaled: bool
    parameters = ("size",)
    shared = BY_ROWS

    def effects(self, parameters):
        (size,) = parameters
        return Effects(((Y, size),), NUMBER * size, self.shared)

    def on_cpu(self, instruction, lanes):
        (size,) = instruction.parameters
        memory = instruction.memory
        begin, stop = instruction.own_rows(size, lanes)
        column = tir.IntVariable(0)
        with T.While(column.value < instruction.count):
            first = let(column.value)
            y = instruction.address(Y, first)
            end = _end_of_run(instruction, first)

            def emit_tile(offset, vectors, mask):
                zero = tir.broadcast(0.0, lanes)
                totals = [tir.Accumulator(lanes, zero) for _ in range(vectors)]

                def add_column(k, prefetch_size=0):
                    x = let(instruction.address(X, let(first + k)) + offset)
                    if prefetch_size:
                        tir.prefetch(memory, x + prefetch_size, prefetch_size)
                    for v, total in enumerate(totals):
                        total.value += load(memory, x + v * lanes, lanes, mask)

                def add_columns(prefetch_size=0):
                    with serial(let(end - first)) as k:
                        add_column(k, prefetch_size)

                # The arrays x are far apart in memory. If a run has many, prefetch the elements for the next tile.
                width = vectors * lanes
                prefetches = T.And(end - first >= MIN_ARRAYS_TO_PREFETCH, offset + 2 * width <= stop)
                tir.choose(prefetches, lambda: add_columns(width), add_columns)
                for v, total in enumerate(totals):
                    value = _scaled(self, instruction, first, total.value, lanes)
                    store(memory, y + offset + v * lanes, value, mask)

            each_row_tile(begin, stop, lanes, TILE_VECTORS, emit_tile)
            column.value = end

    def on_gpu(self, instruction):
        """Launch one thread per element of each column. The threads of a run's first column compute the sums."""
        (size,) = instruction.parameters
        memory = instruction.memory
        with thread_each_element(instruction, size) as (column, element):
            y = instruction.address(Y, column)
            previous_y = instruction.address(Y, let(T.max(column - 1, 0)))
            with tir.when(T.Or(column == 0, previous_y != y)):
                total = tir.Accumulator(1, 0.0)
                with serial(let(_end_of_run(instruction, column) - column)) as step:
                    x = instruction.address(X, let(column + step))
                    total.value += load(memory, let(x + element))
                store(memory, let(y + element), _scaled(self, instruction, column, total.value, 1))


def _scaled(kernel, instruction, first_column, total, lanes):
    if not kernel.scaled:
        return total
    return total * tir.broadcast(load(instruction.memory, instruction.address(FACTOR, first_column)), lanes)


def _end_of_run(instruction, first):
    """Return the first column after `first` whose y is at a different address; if none is, the number of columns."""
    y = instruction.address(Y, first)
    end = tir.IntVariable(first + 1)

    def end_is_in_run():
        exists = end.value < instruction.count
        next_y = instruction.index[instruction.base + Y * instruction.stride + end.value]
        return T.if_then_else(exists, next_y == y, T.bool(False))

    with T.While(end_is_in_run()):
        end.value += 1
    return let(end.value)
