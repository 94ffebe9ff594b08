"""Running sums along columns that lie side by side, from either end.

Parameters: the lists of targets and sources, the size of a column, how many columns lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..kernels import Adds, ByColumns
from ..lazy import T
from ..tir import int64, let, load, store, vector_loop
from .threads import add_atomically, thread_each


@dataclass(frozen=True)
class Scan(Adds, ByColumns):
    """Running sums of a column. `backward` adds the sums from the end, the gradient of running sums, to the target."""

    backward: bool
    parameters = ("target", "source", "size", "width")

    def targets(self, parameters):
        target, _, size, width = parameters
        return ((target, size * width),)

    @property
    def key(self):
        return repr(self)

    def cpu(self, lanes):
        def body(instruction):
            width = instruction.parameters[3]

            def one_by_one(number):
                with T.serial(int64(0), width) as offset:
                    _run(self, instruction, number, offset, 1)

            def in_vectors(number):
                vector_loop(width, lanes, lambda offset, mask: _run(self, instruction, number, offset, lanes, mask))

            with T.serial(int64(0), instruction.count) as number:
                tir.choose(width < int64(4), lambda: one_by_one(number), lambda: in_vectors(number))

        return tir.kernel(body, self.parameters, shared=tir.COLUMNS)

    def cuda(self):
        """A thread for each column."""

        def body(instruction):
            width = instruction.parameters[3]
            with thread_each(instruction, instruction.count * width) as number:
                column, offset = let(T.floordiv(number, width)), let(T.floormod(number, width))
                _run(self, instruction, column, offset, 1, add=add_atomically)

        return tir.kernel(body, self.parameters)


def _run(kernel, instruction, number, offset, lanes, mask=None, add=None):
    """Work on as many neighbouring columns as there are lanes, from column `offset` on."""
    target_role, source_role, size, width = instruction.parameters
    memory = instruction.memory
    target = let(instruction.address(target_role, number) + offset)
    source = let(instruction.address(source_role, number) + offset)
    total = tir.Accumulator(lanes, tir.wide(tir.float32(0.0), lanes))
    with T.serial(int64(0), size) as step:
        row = let((size - int64(1) - step if kernel.backward else step) * width)
        value = let(total.get() + load(memory, let(source + row), lanes, mask))
        total.set(value)
        at = let(target + row)
        if not kernel.backward:
            store(memory, at, value, mask)
        elif add:
            add(memory, at, value)
        else:
            store(memory, at, load(memory, at, lanes, mask) + value, mask)
