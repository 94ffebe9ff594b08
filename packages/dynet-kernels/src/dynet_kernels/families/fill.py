"""Sets a stretch of memory to one number. Parameters: (start, size, number)."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir
from ..tir import int64, let, store, vector_loop


def cpu(kernel, lanes):
    def body(instruction):
        start, size, number = instruction.parameters
        value = let(tir.wide(T.Cast("float32", number), lanes))
        vector_loop(size, lanes, lambda offset, mask: store(instruction.memory, start + offset, value, mask))

    return tir.kernel(body, kernel.parameters)


def cuda(kernel):
    def body(instruction):
        start, size, number = instruction.parameters
        block = instruction.thread("blockIdx.x", T.floordiv(size + int64(255), int64(256)))
        place = let(block * int64(256) + instruction.thread("threadIdx.x", 256))
        with tir.when(place < size):
            store(instruction.memory, start + place, T.Cast("float32", number))

    return tir.kernel(body, kernel.parameters)
