"""Kernels read only the address lists that they declare, because the planner writes no others."""

import pytest

import dynet  # noqa: F401  # adds the kernels of all ops
from dynet_kernels import tir
from dynet_kernels.table import KERNELS

FIRST = 1000  # a parameter that selects a list: larger than the number of any fixed list


def saying_which() -> list[str]:
    return [name for name, kernel in KERNELS.items() if lists_of(kernel) is not None]


def lists_of(kernel):
    """The lists that a kernel reads or writes, if declared, or None."""
    effects = kernel.effects(tuple(range(FIRST, FIRST + len(kernel.parameters))))
    if effects.reads is None:
        return None
    return {*effects.reads, *effects.firsts, *[role for role, _ in effects.writes]}


def test_most_kernels_say_which_lists_they_read():
    assert {"product", "product.dx", "product.dW", "copy", "accumulate", "tanh.dx", "cmult"} <= {*saying_which()}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("name", saying_which())
def test_a_kernel_reads_no_other_lists_than_it_says(name, target, monkeypatch):
    kernel, read = KERNELS[name], set()
    plain = tir.Instruction.address

    def address(instruction, role, column):
        by_name = getattr(role, "name", None)
        if by_name is None:
            read.add(int(role))
        elif by_name in kernel.parameters:  # otherwise a choice between lists that the kernel declares
            read.add(FIRST + kernel.parameters.index(by_name))
        return plain(instruction, role, column)

    monkeypatch.setattr(tir.Instruction, "address", address)
    kernel.cpu_code(16) if target == "cpu" else kernel.cuda_code()
    assert read, "it reads none at all"
    assert read <= lists_of(kernel)
