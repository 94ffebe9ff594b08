"""Kernels that set contiguous ranges of memory to a constant, with any alignment and size."""

from __future__ import annotations

from dataclasses import dataclass

from .. import tir
from ..kernels import Kernel
from ..layout import ALONE, BY_ROWS
from ..tir import let, serial, store, vector_loop
from ..tvm_modules import T
from .threads import share_of, thread_each


@dataclass(frozen=True)
class Fill(Kernel):
    """Sets `size` floats at address `start` to the integer `number`. It has no address lists."""

    parameters = ("start", "size", "number")
    shared = ALONE

    def on_cpu(self, instruction, lanes):
        start, size, number = instruction.parameters
        value = let(tir.broadcast(T.Cast("float32", number), lanes))
        vector_loop(size, lanes, lambda offset, mask: store(instruction.memory, start + offset, value, mask))

    def on_gpu(self, instruction):
        start, size, number = instruction.parameters
        with thread_each(instruction, size) as offset:
            store(instruction.memory, start + offset, T.Cast("float32", number))


@dataclass(frozen=True)
class Clear(Kernel):
    """Sets one range of memory per column to 0. List 0 has the ranges' addresses, list 1 their sizes in floats."""

    shared = BY_ROWS

    def on_cpu(self, instruction, lanes):
        zero = tir.broadcast(0.0, lanes)
        with serial(instruction.count) as column:
            start, size = instruction.addresses(column, 0, 1)
            first, end = instruction.own_rows(size, lanes)
            address = let(start + first)
            size = let(end - first)
            vector_loop(size, lanes, lambda offset, mask: store(instruction.memory, address + offset, zero, mask))  # noqa: B023

    def on_gpu(self, instruction):
        """Launch one block of 256 threads per range. This is also the default block size in `tuning.Cuda`."""
        column = instruction.thread("blockIdx.x", instruction.count)
        thread = instruction.thread("threadIdx.x", 256)
        start, size = instruction.addresses(column, 0, 1)
        with share_of(thread, 256, size) as offset:
            store(instruction.memory, let(start + offset), tir.float32(0.0))
