"""Copies with strides: transposes, slices, broadcasts, concatenation along any dimension, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..kernels import NUMBER, Effects, Kernel
from ..tir import int64, let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each_element

LOOPS = 4  # the number of nested loops of a copy
MAX_PREFETCHED_FLOATS = 1024  # a column's target is prefetched if loop 0 writes at most this many contiguous floats


def _split_parameters(parameters):
    """Return the roles of target and source, the extents, the target strides and the source strides."""
    target, source, *loops = parameters
    return target, source, *(loops[k : k + LOOPS] for k in (0, LOOPS, 2 * LOOPS))


@dataclass(frozen=True)
class Strides(Kernel):
    """target[sum of i_d * t_d] = source[sum of i_d * s_d] in four loops over i_d < extent_d; += if `accumulate`.

    Parameters: the roles of target and source; then extents, target strides t and source strides s in floats, each from
    the innermost loop, loop 0. Unused loops have extent 1. A source stride of 0 broadcasts, a target stride of 0 sums.
    A CPU uses vectors only if both strides of loop 0 are 1.
    """

    accumulate: bool
    may_set = True
    parameters = ("target", "source", *(f"{kind}{k}" for kind in ("extent", "target", "source") for k in range(LOOPS)))

    def effects(self, parameters):
        """Return the effects. `covers` is true if the kernel adds, and adds to each float of the target once."""
        target, source, extents, target_strides, source_strides = _split_parameters(parameters)
        size, covers, same_strides = 1, self.accumulate, True
        for stride, extent, source_stride in sorted(zip(target_strides, extents, source_strides)):
            if extent != 1:
                covers = covers and stride == size  # this loop continues where the loops of smaller strides end
                same_strides = same_strides and source_stride == stride
                size += (extent - 1) * stride
        copied = source if covers and same_strides else None
        return Effects(((target, size),), NUMBER * size, reads=(source,), covers=covers, copied=copied)

    def on_cpu(self, instruction, lanes):
        memory = instruction.memory
        target_role, source_role, extents, target_strides, source_strides = _split_parameters(instruction.parameters)

        def put(address, value, mask=None):
            instruction.write(address, value, mask, self.accumulate)

        def emit_innermost_loop(target, source):
            def copy_vector(offset, mask):
                put(let(target + offset), load(memory, source + offset, lanes, mask), mask)

            def copy_in_vectors():
                vector_loop(extents[0], lanes, copy_vector)

            def copy_one_by_one():
                with serial(extents[0]) as i:
                    put(let(target + i * target_strides[0]), load(memory, let(source + i * source_strides[0])))

            tir.choose(T.And(target_strides[0] == 1, source_strides[0] == 1), copy_in_vectors, copy_one_by_one)

        def emit_all_loops(target, source):
            with serial(extents[3]) as l:  # noqa: E741
                with serial(extents[2]) as k:
                    with serial(extents[1]) as j:
                        emit_innermost_loop(
                            let(target + l * target_strides[3] + k * target_strides[2] + j * target_strides[1]),
                            let(source + l * source_strides[3] + k * source_strides[2] + j * source_strides[1]),
                        )

        def each_column(copy):
            last = instruction.count - 1
            short = T.And(T.And(target_strides[0] == 1, extents[0] <= MAX_PREFETCHED_FLOATS), last > 0)
            prefetch_size = let(T.Select(short, extents[0], int64(0)))
            with serial(instruction.count) as column:
                if not self.accumulate:  # a CPU reads a cache line before it writes to it, so prefetch the target
                    next_target = instruction.address(target_role, let(T.min(column + 1, last)))
                    tir.prefetch(memory, next_target, prefetch_size)
                copy(*instruction.addresses(column, target_role, source_role))

        def add_in_register():
            """Add columns that fit into one vector. While adjacent columns share a target, it stays in a register."""
            size = extents[0]
            mask = tir.first_lanes(size, lanes) if lanes > 1 else None
            held_address = tir.IntVariable(instruction.address(target_role, 0))
            total = tir.Accumulator(lanes, load(memory, let(held_address.value), lanes, mask))
            with serial(instruction.count) as column:
                target = instruction.address(target_role, column)
                with tir.when(target != held_address.value):
                    store(memory, let(held_address.value), total.value, mask)
                    held_address.value = target
                    total.value = load(memory, target, lanes, mask)
                value = load(memory, instruction.address(source_role, column), lanes, mask)
                total.value += value
            store(memory, let(held_address.value), total.value, mask)

        def emit_only_innermost():
            if not self.accumulate:
                each_column(emit_innermost_loop)
                return
            last = instruction.count - 1
            # If the first and the last column have the same target, most columns probably have this target.
            one_target = instruction.address(target_role, 0) == instruction.address(target_role, last)
            short = T.And(T.And(target_strides[0] == 1, source_strides[0] == 1), extents[0] <= lanes)
            adds = T.And(instruction.fresh == 0, last > 0)
            tir.choose(T.And(T.And(short, adds), one_target), add_in_register, lambda: each_column(emit_innermost_loop))

        # Most copies need only the innermost loop. The other loops alone would take longer than a short copy.
        tir.choose(extents[1] * extents[2] * extents[3] == 1, emit_only_innermost, lambda: each_column(emit_all_loops))

    def on_gpu(self, instruction):
        target_role, source_role, extents, target_strides, source_strides = _split_parameters(instruction.parameters)
        size = extents[0] * extents[1] * extents[2] * extents[3]
        with thread_each_element(instruction, size) as (column, rest):
            target, source = instruction.addresses(column, target_role, source_role)
            for extent, target_stride, source_stride in zip(extents, target_strides, source_strides, strict=True):
                step = let(T.floormod(rest, extent))
                rest = let(T.floordiv(rest, extent))
                target = let(target + step * target_stride)
                source = let(source + step * source_stride)
            instruction.write(target, instruction.memory[source], add=self.accumulate)
