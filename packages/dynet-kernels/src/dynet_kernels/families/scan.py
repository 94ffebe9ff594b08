"""Cumulative sums along one dimension of a tensor, and their gradient."""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..kernels import NUMBER, Effects, Kernel
from ..tir import let, load, serial, vector_loop
from .threads import thread_each_element


@dataclass(frozen=True)
class Scan(Kernel):
    """y[i, w] = sum over j <= i of x[j, w]; with `backward`, dx[i, w] += sum over j >= i of dy[j, w].

    Element (i, w) of the (size, width) arrays is at i * width + w. `size` is the extent of the summed dimension, and
    `width` is the product of the extents before it. The arrays are the same or do not overlap.
    """

    backward: bool
    parameters = ("target", "source", "size", "width")

    def effects(self, parameters):
        target, _, size, width = parameters
        return Effects(((target, size * width),), NUMBER * size * width)

    def on_cpu(self, instruction, lanes):
        width = instruction.parameters[3]

        def sum_one_by_one(column):  # for fewer than 4 values of w, masked vectors would take longer
            with serial(width) as offset:
                _emit_sums(self, instruction, column, offset, 1)

        def sum_in_vectors(column):
            vector_loop(width, lanes, lambda offset, mask: _emit_sums(self, instruction, column, offset, lanes, mask))

        with serial(instruction.count) as column:
            tir.choose(width < 4, lambda: sum_one_by_one(column), lambda: sum_in_vectors(column))

    def on_gpu(self, instruction):
        """Launch one thread for each w of each column. This thread sums over i."""
        with thread_each_element(instruction, instruction.parameters[3]) as (column, offset):
            _emit_sums(self, instruction, column, offset, 1)


def _emit_sums(kernel, instruction, column, offset, lanes, mask=None):
    """Emit the sums for the `lanes` values of w that begin with `offset`."""
    target_role, source_role, size, width = instruction.parameters
    target = let(instruction.address(target_role, column) + offset)
    source = let(instruction.address(source_role, column) + offset)
    total = tir.Accumulator(lanes, 0.0)
    with serial(size) as step:
        row_start = let((size - 1 - step if kernel.backward else step) * width)
        value = let(total.value + load(instruction.memory, let(source + row_start), lanes, mask))
        total.value = value
        instruction.write(let(target + row_start), value, mask, add=kernel.backward)
