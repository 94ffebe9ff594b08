"""Runs update rules: memory bound, so that each tensor is read and written some cache lines at a time.

Parameters: (size of a column).
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir
from ..tir import int64, let, store, vector_loop
from .columns import Column

VECTORS = 2  # one at a time took up to 1.4 times as long, depending on how the tensors happen to lie


def cpu(rule, lanes):
    """Two vectors of all tensors at a time."""

    def body(instruction):
        (size,) = instruction.parameters
        with T.serial(int64(0), instruction.count) as number:
            column = Column(rule, instruction, number)
            blocks = let(T.floordiv(size, int64(VECTORS * lanes)))
            with T.serial(int64(0), blocks) as block:
                start = let(block * int64(VECTORS * lanes))
                offsets = [let(start + int64(k * lanes)) for k in range(VECTORS)]
                values = [column.evaluate(rule.outputs.values(), offset, lanes) for offset in offsets]
                for name, parts in zip(rule.outputs, zip(*values)):
                    for offset, value in zip(offsets, parts):
                        store(column.memory, let(column.addresses[name] + offset), value)
            rest = let(blocks * int64(VECTORS * lanes))
            vector_loop(
                let(size - rest),
                lanes,
                lambda offset, mask: column.write(rule.outputs, let(rest + offset), lanes, mask),
            )

    return tir.kernel(body, rule.parameters)
