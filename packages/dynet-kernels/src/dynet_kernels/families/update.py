"""Runs update rules: memory bound, so that each tensor is read and written some cache lines at a time.

Parameters: (size of a column).
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir, tuning
from ..tir import int64, unrolled_loop
from .columns import Column


def cpu(rule, lanes):
    """Some vectors of all tensors at a time."""
    vectors = tuning.cpu(lanes).update.vectors

    def body(instruction):
        (size,) = instruction.parameters
        with T.serial(int64(0), instruction.count) as number:
            column = Column(rule, instruction, number)
            unrolled_loop(size, lanes, vectors, lambda offsets, mask: column.write(rule.outputs, offsets, lanes, mask))

    return tir.kernel(body, rule.parameters)
