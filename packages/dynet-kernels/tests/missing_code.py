"""Checks that the machine refuses instructions without code. Runs in a separate process with only one shard loaded."""

import numpy as np

from dynet_kernels import layout as at
from dynet_kernels.families.fill import Fill
from dynet_kernels.kernels import SHARD_SIZE, Kernels
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import library, sharing


class Context:
    """A tape that fills one float for each of its opcodes."""

    def __init__(self, opcodes, work=0):
        self.memory = np.zeros(len(opcodes), np.float32)
        self.tape = np.zeros((len(opcodes), len(at.INSTRUCTION)), np.int64)
        start = self.memory.ctypes.data // 4
        assert not self.memory.ctypes.data % 4
        self.table = np.array([[start + k, 1, 1] for k in range(len(opcodes))], np.int64)
        self.index = np.zeros(4, np.int64)
        self.threads = np.zeros((at.MOST_THREADS, at.THREAD_ROW), np.int64)
        self.slots = np.zeros(len(CONTEXT), np.int64)
        self.tape[:, at.INSTRUCTION.opcode] = opcodes
        self.tape[:, at.INSTRUCTION.count] = 1
        self.tape[:, at.INSTRUCTION.parameters] = 3 * np.arange(len(opcodes))
        values = {
            "table": self.table.ctypes.data,
            "index": self.index.ctypes.data,
            "tape": self.tape.ctypes.data,
            "tape_count": len(opcodes),
            "threads": self.threads.ctypes.data,
            "sharing": sharing.address(),
            "shared_work": work,
            "code": library.code_address(),
            "address_type": at.INT_TYPE_CODE,
            "address": self.slots.ctypes.data,
        }
        for name, value in values.items():
            self.slots[CONTEXT[name]] = value

    def run(self, machine):
        machine.run(self.slots.ctypes.data)
        return self.slots[CONTEXT.status], self.slots[CONTEXT.row]


def check(machine, opcode, threads):
    """Check that an instruction without code ends the run, and that the next run is correct."""
    with sharing.using(threads, 0, 0):
        context = Context([0, opcode, 0], work=1 << 40)
        assert context.run(machine) == (at.NO_CODE, 1), (opcode, threads)
        assert context.memory.tolist() == [1, 0, 0], (opcode, threads)
        assert Context([0, 0], work=1 << 40).run(machine)[0] == at.READY


def check_empty(machine):
    """Check that after a pass without instructions, no thread is left that would run those of the next pass."""
    with sharing.using(4, 0, 0):
        for _ in range(2000):
            context = Context([0, 0, 0], work=1 << 40)
            context.slots[CONTEXT.tape_count] = 0
            assert context.run(machine)[0] == at.READY
            context.slots[CONTEXT.tape_count] = 3
            assert context.run(machine)[0] == at.READY
            assert context.memory.tolist() == [1, 1, 1]


def main():
    kernels = Kernels()
    kernels.use(kernels.add("fill", Fill()))
    machine = library.Library(kernels)
    context = Context([0, 0, 0])
    assert context.run(machine) == (at.READY, 3)
    assert context.memory.tolist() == [1, 1, 1]
    last = at.MOST_SHARDS * SHARD_SIZE
    for opcode in (1, SHARD_SIZE - 1, SHARD_SIZE, 7 * SHARD_SIZE + 3, last - 1, last, 1 << 40, -1):
        for threads in (1, 2):
            check(machine, opcode, threads)
    check_empty(machine)
    print("refused")


if __name__ == "__main__":
    main()
