"""The interface of kernels, base classes that say how threads share their work, and the table of all kernels.

A kernel is a compiled function that carries out one *instruction*, such as one matrix product. The instruction says on
how many *columns* the kernel works; a column is one unit of work, such as one batch element. For each operand and
result, the instruction has an *address list*: for each column, the address in memory at which the operand begins. Its
*parameters* are a few integers, such as the number of floats of an operand and the numbers of its address lists. The
kernels themselves are in the folder `families`, with the code that emits them. The planner, which turns a graph into
instructions, asks kernels what they read and write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .layout import MOST_SHARDS


class Kernel(Protocol):
    """The interface of a kernel.

    `parameters` has the names of the parameters of an instruction. `key` is a text that differs for kernels with
    different code. `cpu` and `cuda` emit the code. The other methods get the values of an instruction's parameters, and
    describe what the instruction does. `Covered` below explains `covers`; `Targets` explains `targets` and `work`;
    `Lists` explains `lists`.
    """

    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def key(self) -> str: ...
    def covers(self, parameters: tuple[int, ...]) -> Covered | None: ...
    def work(self, parameters: tuple[int, ...]) -> int: ...
    def targets(self, parameters: tuple[int, ...]) -> Targets: ...
    def lists(self, parameters: tuple[int, ...]) -> Lists: ...
    def cpu(self, lanes: int) -> Any: ...
    def cuda(self) -> Any: ...


Covered = tuple[int, int, int | None]
"""Memory that a kernel adds to, and can overwrite instead on a CPU: (address list, size, source).

The memory is the `size` floats from each address in the list on. The planner marks an instruction as `fresh` if this
memory is uninitialised; then the kernel overwrites it. A kernel whose `covers` returns None always adds. If the kernel
adds unchanged copies of numbers, `source` is the number of the address list from which it reads them; else it is None.
"""

Targets = tuple[tuple[int, int], ...] | None
"""What a kernel writes for one column: pairs (number of an address list, size).

Such a pair means the `size` floats from the column's address in that list on. From these pairs the planner decides how
threads share an instruction. If no two columns write to the same floats, the threads share it by columns: each thread
works on some columns. If `targets` returns None, they share it by rows: each thread computes some rows of the result,
for every column. A `ByRows` kernel can also be shared by columns, if there are many columns, and if its
`targets_by_columns` does not return None. The method `work` estimates how many picoseconds one thread takes for a
column. If it returns 0, threads cannot share the instruction.
"""

Lists = tuple[tuple[int, ...], tuple[int, ...]] | None
"""The address lists that a kernel uses: those it reads for all columns, and those it reads for the first column only.

The planner writes only these lists to memory. None: the kernel may use any list, so the planner writes all of them.
"""

FLOP = 10  # estimated picoseconds for one floating point operation in a matrix product
NUMBER = 250  # for all other kernels: estimated picoseconds for each number that they write
# A matrix of at most this many floats fits in the L2 cache of each core. Then threads may share a product by columns,
# although each of them reads the whole matrix.
AT_HAND = 1 << 17


class Adds:
    """The base of kernels that never overwrite an uninitialised gradient: the planner sets it to 0 before they run.

    Kernels that do not write gradients have this base, too.
    """

    def covers(self, parameters: tuple[int, ...]) -> Covered | None:
        return None


class AnyList:
    """The base of kernels that do not say which address lists they read. The planner writes all of them to memory."""

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        return None


class Alone(AnyList):
    """The base of kernels whose instructions run on one thread.

    `written` has names of parameters. Their values are the numbers of the address lists to which the kernel writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        return 0

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None


class ByRows(AnyList):
    """The base of kernels such as matrix products, where each thread computes some rows of the result.

    A kernel may share the columns of a matrix in place of its rows, as the gradient of a matrix does.

    This class's `work` takes the first two parameters as the rows and columns of a matrix that is multiplied by one
    vector per column. `written` has names of parameters. Their values are the numbers of the address lists to which the
    kernel writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        rows, inner, *_ = parameters
        return 2 * rows * inner * FLOP

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None

    def targets_by_columns(self, parameters: tuple[int, ...]) -> Targets:
        """Return what the kernel writes for one column, as in `Targets`, if threads may share columns; else None."""
        return None


class ByColumns(AnyList):
    """The base of kernels where each thread works on some columns.

    This class's `work` estimates the time by how many floats the kernel writes.
    """

    def work(self, parameters: tuple[int, ...]) -> int:
        return NUMBER * sum(size for _, size in self.targets(parameters))

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        raise NotImplementedError


SHARD = 16  # the most kernels in a shard, a group of kernels that are compiled together as one module
RUN_SHARD = "run_shard"  # the name of the function, in each shard's module, that runs instructions of its kernels


class NoCodeError(RuntimeError):
    """A graph needs a kernel whose machine code is not loaded, so it was not computed. This is a bug in the library."""


class Kernels:
    """A table of kernels by name and by opcode, a kernel's number. Kernels are added at the end and never removed.

    Kernels whose names begin alike, such as `tanh` and `tanh.dx`, form a *shard* of up to SHARD kernels. This is a
    module that is compiled by itself when one of its kernels is first used. Then the shard is closed: if a kernel with
    a name that begins alike is added later, it begins another shard. So the code of a shard does not depend on which
    other kernels there are.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._shards: list[list[str]] = []  # for each shard, the names of its kernels
        # From the first part of a kernel's name (`tanh` in `tanh.dx`) to the number of the shard to which the next
        # kernel whose name begins so will be added.
        self._open: dict[str, int] = {}
        self.used: set[int] = set()  # numbers of the shards from which a kernel was passed to `use`

    def add(self, name: str, kernel: Kernel) -> int:
        """Add a kernel, unless the same one has been added under this name. Return its opcode."""
        if name in self._kernels:
            if self._kernels[name].key != kernel.key:
                raise ValueError(f"kernel {name} is defined twice, differently")
            return self._opcodes[name]
        group = name.partition(".")[0]
        shard = self._open.get(group)
        if shard is None or len(self._shards[shard]) == SHARD:
            if len(self._shards) == MOST_SHARDS:
                raise ValueError(f"kernel {name} is one too many: {MOST_SHARDS} groups of kernels are there")
            shard = self._open[group] = len(self._shards)
            self._shards.append([])
        self._kernels[name] = kernel
        self._opcodes[name] = shard * SHARD + len(self._shards[shard])
        self._shards[shard].append(name)
        return self._opcodes[name]

    def add_defined(self, name: str, kernels: Mapping[str, Kernel], alone: bool = False) -> str:
        """Add the kernels of what a program has defined, and return the beginning of their names.

        This is `name`; if it was defined before, differently, a number is appended, because old kernels stay.

        Args:
            name: the name of what is defined.
            kernels: the kernels by the ends of their names.
            alone: whether each is compiled by itself.
        """
        start, number = name, 1
        while any(self._kernels.get(start + end, kernel).key != kernel.key for end, kernel in kernels.items()):
            number += 1
            start = f"{name}.{number}"
        for end, kernel in kernels.items():
            (self.add_alone if alone else self.add)(start + end, kernel)
        return start

    def add_alone(self, name: str, kernel: Kernel) -> int:
        """Add a kernel that is compiled by itself, whatever other names begin like its own. Return its opcode."""
        self._open.pop(name.partition(".")[0], None)
        opcode = self.add(name, kernel)
        self.close(opcode // SHARD)
        return opcode

    def use(self, opcode: int) -> int:
        """Note that a kernel, given by its opcode, is in use, so that its shard will be loaded. Return the opcode."""
        self.used.add(opcode // SHARD)
        return opcode

    def opcode(self, name: str) -> int:
        """Return the opcode of a kernel, given by its name, and note that the kernel is in use."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Close a shard: kernels with names like those in it will be added to another shard from now on."""
        self._open = {group: number for group, number in self._open.items() if number != shard}

    def shard(self, number: int) -> dict[int, tuple[str, Kernel]]:
        """Return a dict from each place in shard `number` to (name, kernel). The opcode is number * SHARD + place."""
        return {place: (name, self._kernels[name]) for place, name in enumerate(self._shards[number])}

    def shards(self) -> range:
        """Return the numbers of all shards, from 0 on."""
        return range(len(self._shards))

    def no_code(self, opcode: int) -> NoCodeError:
        """Return the error to raise for an instruction whose machine code is not loaded."""
        name = next((name for name, known in self._opcodes.items() if known == opcode), "unknown")
        return NoCodeError(
            f"the machine code of kernel {name} (opcode {opcode}) is not loaded: this is a defect of the library; "
            "the graph's values are not computed"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._kernels

    def __getitem__(self, name: str) -> Kernel:
        return self._kernels[name]

    def __len__(self) -> int:
        return len(self._kernels)

    def items(self):
        return self._kernels.items()

    def numbered(self) -> list[tuple[int, str, Kernel]]:
        """Return (opcode, name, kernel) for each kernel."""
        return [(self._opcodes[name], name, kernel) for name, kernel in self._kernels.items()]
