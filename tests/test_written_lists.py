"""Kernels write only to the address lists that they declare. Threads share the work by these declarations.

The test reads the code that a kernel emits: it follows each address from the list that it was loaded from to the stores
that it is used in.
"""

import re
from collections import defaultdict

import pytest

import dynet  # noqa: F401  # adds the kernels of all ops
from dynet_kernels import tir
from dynet_kernels.table import KERNELS

FIRST = 1000  # stands for the list of a kernel's first parameter; no fixed list has such a high number
NAME = re.compile(r"\b[A-Za-z_]\w*\b")
CHOSEN = 9999  # stands for a list that the kernel chooses from several, which it may only read
SILENT = {"fill.stretches"}
"""Kernels that declare nothing: the planner itself knows that they write to list 0."""
WITHOUT_LISTS = {"fill", "gradient_norm"}
"""Kernels that write to addresses that are parameters."""


def declared(kernel) -> set[int]:
    """The lists that a kernel declares as written."""
    effects = kernel.effects(tuple(range(FIRST, FIRST + len(kernel.parameters))))
    return {list_number for list_number, _ in effects.writes}


def emitted(kernel, target: str, monkeypatch) -> str:
    """The code of a kernel, in which the name of each address variable includes the number of its list."""

    numbers = {name: FIRST + place for place, name in enumerate(kernel.parameters)}

    def named(plain):
        def address(instruction, role, column):
            name = getattr(role, "name", None)
            number = int(role) if name is None else numbers.get(name, CHOSEN)
            return tir.let(plain(instruction, role, column), f"list{number}")

        return address

    for name in ("address", "shared_address"):
        monkeypatch.setattr(tir.Instruction, name, named(getattr(tir.Instruction, name)))
    return str(kernel.cpu_code(16) if target == "cpu" else kernel.cuda_code())


def written(code: str) -> set[int]:
    """The lists that emitted code writes to."""
    (memory,) = re.findall(r"(\w+) = T\.decl_buffer\(\(T\.int64\(\d+\),\), data=memory\)", code)
    stores = [
        re.compile(rf"^{memory}\[(.*?)\] = "),
        re.compile(rf"^T\.masked_store\({memory}, .*?, T\.Ramp\((.*?), T\.int64\(1\)"),
        re.compile(rf"atomic.*T\.address_of\({memory}\[(.*?)\]\)"),
    ]
    known: defaultdict[str, set[int]] = defaultdict(set)  # variable -> the lists that its value depends on
    found: set[int] = set()

    def sources(expression: str) -> set[int]:
        named = [known[name] for name in NAME.findall(expression)]
        return {int(number) for number in re.findall(r"\blist(\d+)", expression)}.union(*named)

    views: dict[str, set[int]] = {}  # a buffer of uint16s -> the lists that its address depends on
    for line in map(str.strip, code.splitlines()):
        if match := re.match(r"(\w+) = T\.decl_buffer\(.*, \"uint16\", data=(\w+)\)", line):
            views[match[1]] = known[match[2]]
        if match := re.match(r"T\.masked_store\((\w+), |(\w+)\[.*\] = ", line):
            found |= views.get(match[1] or match[2], set())
        for store in stores:
            if match := store.search(line):
                found |= sources(match[1])
        if f"{memory}[" in line:
            continue  # values loaded from float memory are not addresses
        if match := re.match(r"(\w+): T\.let\[T\.(?:int64|handle\(.*\))\] = (.*)", line):
            known[match[1]] = sources(match[2])
        elif match := re.match(r"(\w+)\[T\.int64\(0\)\] = (.*)", line):  # a mutable variable
            known[match[1]] |= sources(match[2])
    return found


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("name", [name for name, _ in KERNELS.items()])
def test_a_kernel_writes_what_it_declares(name, target, monkeypatch):
    found = written(emitted(KERNELS[name], target, monkeypatch))
    assert bool(found) == (name not in WITHOUT_LISTS)
    if name not in SILENT:
        assert found == declared(KERNELS[name])
