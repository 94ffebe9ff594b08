"""The machine refuses instructions whose code is not there."""

import numpy as np
import pytest

from dynet_kernels import layout as at
from dynet_kernels import library, sharing
from dynet_kernels.kernels import SHARD, Fill, Kernels, NoCodeError
from dynet_kernels.layout import SLOT


@pytest.fixture(scope="module")
def machine():
    kernels = Kernels()
    kernels.use(kernels.add("fill", Fill()))
    return library.Library(kernels)


class Context:
    """A tape that fills one float for each of its opcodes."""

    def __init__(self, opcodes, work=0):
        self.memory = np.zeros(len(opcodes), np.float32)
        self.tape = np.zeros((len(opcodes), at.TAPE_ROW), np.int64)
        start = self.memory.ctypes.data // 4
        assert not self.memory.ctypes.data % 4
        self.table = np.array([[start + k, 1, 1] for k in range(len(opcodes))], np.int64)
        self.index = np.zeros(4, np.int64)
        self.threads = np.zeros((at.MOST_THREADS, at.THREAD_ROW), np.int64)
        self.slots = np.zeros(len(SLOT), np.int64)
        self.tape[:, at.TAPE_OPCODE] = opcodes
        self.tape[:, at.TAPE_COUNT] = 1
        self.tape[:, at.TAPE_PARAMETERS] = 3 * np.arange(len(opcodes))
        values = {
            "table": self.table.ctypes.data,
            "index": self.index.ctypes.data,
            "tape": self.tape.ctypes.data,
            "tape_count": len(opcodes),
            "threads": self.threads.ctypes.data,
            "sharing": sharing.address(),
            "shared_work": work,
            "self_type": at.INT_ARGUMENT,
            "self": self.slots.ctypes.data,
        }
        for name, value in values.items():
            self.slots[SLOT[name]] = value

    def run(self, machine):
        machine.run(self.slots.ctypes.data)
        return self.slots[SLOT["status"]], self.slots[SLOT["row"]]


def test_instructions_with_code_are_run(machine):
    context = Context([0, 0, 0])
    assert context.run(machine) == (at.READY, 3)
    assert context.memory.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "opcode",
    [1, SHARD - 1, SHARD, 7 * SHARD + 3, library.PLACES * SHARD - 1, library.PLACES * SHARD, 1 << 40, -1],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_an_instruction_without_code_is_an_error(machine, opcode, threads):
    with sharing.using(threads, 0, 0):
        context = Context([0, opcode, 0], work=1 << 40)
        assert context.run(machine) == (at.NO_CODE, 1)
        assert context.memory.tolist() == [1, 0, 0]
        assert Context([0, 0], work=1 << 40).run(machine)[0] == at.READY


def test_the_error_names_the_kernel():
    kernels = Kernels()
    kernels.add("fill", Fill())
    error = kernels.no_code(0)
    assert isinstance(error, NoCodeError)
    assert "kernel fill (opcode 0)" in str(error)
    assert "kernel unknown (opcode 99)" in str(kernels.no_code(99))
