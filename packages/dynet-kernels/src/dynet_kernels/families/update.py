"""Runs update rules: memory bound, so that each tensor is read and written some cache lines at a time.

Parameters: (size of a column).
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir, tuning
from ..tir import int64, let, unrolled_loop
from .columns import Column


def cpu(rule, lanes):
    """Some vectors of all tensors at a time."""
    vectors = tuning.cpu(lanes).update.vectors

    def body(instruction):
        (size,) = instruction.parameters
        first, end = instruction.stretch(instruction.count * size, lanes)

        def some(number, begin, stop):
            """Part of a column."""
            column = Column(rule, instruction, number)

            def step(offsets, mask):
                column.write(rule.outputs, [let(begin + offset) for offset in offsets], lanes, mask)

            unrolled_loop(let(stop - begin), lanes, vectors, step)

        width = let(T.max(size, int64(1)))
        with T.serial(let(T.floordiv(first, width)), let(T.floordiv(end + width - int64(1), width))) as number:
            begin = let(T.max(first - number * size, int64(0)))
            some(number, begin, let(T.max(T.min(end - number * size, size), begin)))

    return tir.kernel(body, rule.parameters, shared=tir.ROWS)
