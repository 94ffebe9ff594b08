"""Sets a stretch of memory to one number. Parameters: (start, size, number)."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir
from ..tir import let, store, vector_loop
from .threads import thread_each


def cpu(kernel, lanes):
    def body(instruction):
        start, size, number = instruction.parameters
        value = let(tir.wide(T.Cast("float32", number), lanes))
        vector_loop(size, lanes, lambda offset, mask: store(instruction.memory, start + offset, value, mask))

    return tir.kernel(body, kernel.parameters)


def cuda(kernel):
    def body(instruction):
        start, size, number = instruction.parameters
        with thread_each(instruction, size) as place:
            store(instruction.memory, start + place, T.Cast("float32", number))

    return tir.kernel(body, kernel.parameters)
