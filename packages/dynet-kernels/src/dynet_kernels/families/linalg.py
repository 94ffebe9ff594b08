"""Inversion of matrices in place by Gauss-Jordan elimination with partial pivoting.

A matrix of `order` rows has 3 * order floats of scratch memory: the pivots, whose product is the determinant; for each
step k, the number of the row that was exchanged with row k, as an int32; and during step k, a copy of column k. A
singular matrix has a pivot of 0, and its inverse has infinite or NaN elements.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir, vmath
from ..kernels import Effects, Kernel
from ..layout import ALONE
from ..tir import let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import barrier, share_of

COLUMNS_AT_ONCE = 4  # the CPU kernel subtracts multiples of the pivot column from this many columns together
THREADS = 128  # threads per CUDA block


@dataclass(frozen=True)
class Invert(Kernel):
    """Inverts each matrix, stored column by column, and stores the pivots in its scratch memory.

    `group` adjacent columns of the instruction are one matrix, at the address of the first. `group` is `order`, or 1 if
    each column of the instruction is a whole matrix.
    """

    parameters = ("order", "matrix", "work", "group")
    shared = ALONE

    def effects(self, parameters):
        order, matrix, scratch, _ = parameters
        return Effects(((matrix, order * order), (scratch, 3 * order)), shared=self.shared)

    def on_cpu(self, instruction, lanes):
        order, matrix_role, scratch_role, group = instruction.parameters
        memory = instruction.memory

        def eliminate(matrix, saved_column, k, factor):
            """Subtract f * column k from each column, and store f in row k: f is the column's element k / pivot."""
            # Column k itself becomes garbage; a copy of column k is at address `saved_column`. `factor` is 1 / pivot.

            def eliminate_columns(first_column, column_count):
                starts = [let(matrix + (first_column + c) * order) for c in range(column_count)]
                factors = [let(load(memory, let(start + k)) * factor) for start in starts]
                negated = [let(tir.broadcast(vmath.negative(f), lanes)) for f in factors]

                def subtract_vector(offset, mask):
                    pivot_column = load(memory, let(saved_column + offset), lanes, mask)
                    for start, f in zip(starts, negated):
                        address = let(start + offset)
                        store(memory, address, vmath.fma(pivot_column, f, load(memory, address, lanes, mask)), mask)

                vector_loop(order, lanes, subtract_vector)
                for start, f in zip(starts, factors):
                    store(memory, let(start + k), f)

            blocks = let(T.floordiv(order, COLUMNS_AT_ONCE))
            with serial(blocks) as block:
                eliminate_columns(let(block * COLUMNS_AT_ONCE), COLUMNS_AT_ONCE)
            rest = let(blocks * COLUMNS_AT_ONCE)
            with serial(order - rest) as column:
                eliminate_columns(let(rest + column), 1)

        def copy_scaled(target, source, factor):
            wide = let(tir.broadcast(factor, lanes))

            def copy_vector(offset, mask):
                store(memory, let(target + offset), load(memory, let(source + offset), lanes, mask) * wide, mask)

            vector_loop(order, lanes, copy_vector)

        with serial(T.floordiv(instruction.count, group)) as index:
            matrix, scratch = instruction.addresses(index * group, matrix_role, scratch_role)
            saved_column = let(scratch + order + order)
            with serial(order) as k:
                row = _find_pivot(memory, order, matrix, k)
                pivot = _store_pivot(memory, order, matrix, scratch, k, row)
                with tir.when(row != k):
                    with serial(order) as j:
                        _exchange(memory, let(matrix + j * order + k), let(matrix + j * order + row))
                factor = let(1.0 / pivot)
                column = let(matrix + k * order)
                copy_scaled(saved_column, column, tir.float32(1.0))
                eliminate(matrix, saved_column, k, factor)
                copy_scaled(column, saved_column, vmath.negative(factor))
                store(memory, let(column + k), factor)
            with serial(order) as reverse_step:
                k = let(order - 1 - reverse_step)
                row = _exchanged_row(memory, order, scratch, k)
                with tir.when(row != k):
                    with serial(order) as i:
                        _exchange(memory, let(matrix + k * order + i), let(matrix + row * order + i))

    def on_gpu(self, instruction):
        """Launch one block per matrix. The block's first thread chooses the pivots."""
        order, matrix_role, scratch_role, group = instruction.parameters
        memory = instruction.memory
        first = let(instruction.thread("blockIdx.x", T.floordiv(instruction.count, group)) * group)
        thread = instruction.thread("threadIdx.x", THREADS)
        matrix, scratch = instruction.addresses(first, matrix_role, scratch_role)
        saved_column = let(scratch + order + order)

        def for_each(size, emit):
            with share_of(thread, THREADS, size) as index:
                emit(index)

        def exchange(first_address_of, second_address_of):
            for_each(order, lambda index: _exchange(memory, first_address_of(index), second_address_of(index)))

        with serial(order) as k:
            with tir.when(thread == 0):
                _store_pivot(memory, order, matrix, scratch, k, _find_pivot(memory, order, matrix, k))
            barrier()
            row = _exchanged_row(memory, order, scratch, k)
            column = let(matrix + k * order)
            with tir.when(row != k):
                exchange(lambda j: let(matrix + j * order + k), lambda j: let(matrix + j * order + row))  # noqa: B023
            barrier()
            factor = let(1.0 / load(memory, let(column + k)))
            for_each(order, lambda i: store(memory, let(saved_column + i), load(memory, let(column + i))))  # noqa: B023
            barrier()

            def eliminate(element):
                i, j = let(T.floormod(element, order)), let(T.floordiv(element, order))  # noqa: B023
                with tir.when(T.And(i != k, j != k)):  # noqa: B023
                    address = let(matrix + element)
                    multiple = load(memory, let(matrix + j * order + k)) * factor  # noqa: B023
                    store(memory, address, load(memory, address) - load(memory, let(saved_column + i)) * multiple)

            for_each(order * order, eliminate)
            barrier()

            def set_row_and_column(i):
                with tir.when(i != k):  # noqa: B023
                    store(memory, let(column + i), vmath.negative(load(memory, let(saved_column + i)) * factor))  # noqa: B023
                    address = let(matrix + i * order + k)  # noqa: B023
                    store(memory, address, load(memory, address) * factor)  # noqa: B023

            for_each(order, set_row_and_column)
            with tir.when(thread == 0):
                store(memory, let(column + k), factor)
            barrier()
        with serial(order) as reverse_step:
            k = let(order - 1 - reverse_step)
            row = _exchanged_row(memory, order, scratch, k)
            with tir.when(row != k):
                exchange(lambda i: let(matrix + k * order + i), lambda i: let(matrix + row * order + i))  # noqa: B023
            barrier()


def _find_pivot(memory, order, matrix, k):
    """Return the row, from row k on, whose element in column k has the largest magnitude."""
    column = let(matrix + k * order)
    row = tir.IntVariable(k)
    largest = tir.Accumulator(1, vmath.absolute(load(memory, let(column + k))))
    with serial(order - k - 1) as step:
        i = let(k + 1 + step)
        magnitude = let(vmath.absolute(load(memory, let(column + i))))
        with tir.when(magnitude > largest.value):
            largest.value = magnitude
            row.value = i
    return let(row.value)


def _exchange(memory, first_address, second_address):
    first, second = load(memory, first_address), load(memory, second_address)
    store(memory, first_address, second)
    store(memory, second_address, first)


def _store_pivot(memory, order, matrix, scratch, k, row):
    """Return pivot k, which is in row `row`, and store the pivot and the row in the scratch memory."""
    # Store -pivot if rows will be exchanged, because an exchange flips the determinant's sign. Store 0 if the previous
    # pivot is 0: then the matrix is singular, and its elements have become infinite or NaN.
    pivot = load(memory, let(matrix + k * order + row))
    signed = let(T.Select(row == k, pivot, vmath.negative(pivot)))
    store(memory, let(scratch + k), signed)
    with tir.when(k > 0):
        with tir.when(load(memory, let(scratch + k - 1)) == 0.0):
            store(memory, let(scratch + k), tir.float32(0.0))
    store(memory, let(scratch + order + k), T.reinterpret("float32", T.Cast("int32", row)))
    return pivot


def _exchanged_row(memory, order, scratch, k):
    """Load the number of the row that step k exchanged with row k."""
    return let(T.Cast("int64", T.reinterpret("int32", load(memory, let(scratch + order + k)))))
