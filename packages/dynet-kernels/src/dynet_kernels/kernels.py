"""The interface of kernels, base classes that say how threads share their work, and the table of all kernels.

A kernel is a compiled function that carries out one instruction. The instruction says on how many *columns* to work.
Each column is a run of floats in memory. An instruction has several *address lists*, one for each operand, with the
address of that operand for every column. Its *parameters* are a few integers, such as the size of a column and the
numbers of its address lists. The kernels themselves are in the folder `families`, with the code that emits them.
"""

from __future__ import annotations

from typing import Any, Protocol

from .layout import MOST_SHARDS


class Kernel(Protocol):
    """The interface of a kernel.

    `parameters` names the integers of an instruction, and `key` tells the kernel's code from that of other kernels.
    `cpu` and `cuda` emit the code. The other methods get the integers of one instruction, and describe what it does;
    see `Covered`, `Targets` and `Lists`.
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

For each address in the list, these are the `size` floats from there on. The kernel overwrites them if the instruction
is marked `fresh`, which means that they are uninitialised. A kernel whose `covers` returns None always adds. `source`
is the list of the columns that are added if the kernel just copies numbers, else None.
"""

Targets = tuple[tuple[int, int], ...] | None
"""What a kernel writes for one column: pairs of an address list and a size, the number of floats from its address on.

If no two columns write to the same floats, threads share the instruction by columns: each works on some of them. None:
threads share it by rows of the result, which is always possible. A `ByRows` kernel can also be shared by columns, if
there are many, and if its `targets_by_columns` does not return None. The method `work` estimates how many picoseconds
one thread takes for a column. If it returns 0, threads cannot share the instruction.
"""

Lists = tuple[tuple[int, ...], tuple[int, ...]] | None
"""The address lists that a kernel uses: those it reads for all columns, and those it reads for the first column only.

The planner fills in only these lists. None: the kernel may use any list, so the planner fills in all.
"""

FLOP = 10  # estimated picoseconds for one floating point operation in a matrix product
NUMBER = 250  # estimated picoseconds for one number that any other kernel writes
# A matrix of at most this many floats fits in the L2 cache of each core. Threads may then share a product by columns,
# as each can read the whole matrix.
AT_HAND = 1 << 17


class Adds:
    """A kernel that cannot overwrite an uninitialised gradient: the planner clears it before the kernel adds to it."""

    def covers(self, parameters: tuple[int, ...]) -> Covered | None:
        return None


class AnyList:
    """A kernel that does not say which address lists it reads, so the planner fills in all of them."""

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        return None


class Alone(AnyList):
    """A kernel whose instructions run on one thread.

    `written` names the parameters that hold the numbers of the address lists to which the kernel writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        return 0

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None


class ByRows(AnyList):
    """A kernel of which each thread computes some rows of the result, such as a matrix product.

    By default, `work` expects the rows and columns of a matrix as the first two parameters. `written` names the
    parameters that hold the numbers of the address lists to which the kernel writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        rows, inner, *_ = parameters
        return 2 * rows * inner * FLOP

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None

    def targets_by_columns(self, parameters: tuple[int, ...]) -> Targets:
        """Return what the kernel writes for one column, if threads can share it by columns as well; else None."""
        return None


class ByColumns(AnyList):
    """A kernel of which each thread works on some columns. Its time is estimated from how many floats it writes."""

    def work(self, parameters: tuple[int, ...]) -> int:
        return NUMBER * sum(size for _, size in self.targets(parameters))

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        raise NotImplementedError


SHARD = 16  # the most kernels that are compiled together as one module
RUN_SHARD = "run_shard"  # the name of the function of such a module that runs its kernels


class NoCodeError(RuntimeError):
    """A graph needs a kernel whose machine code is not loaded, so its result is missing. A defect of this library."""


class Kernels:
    """A table of kernels by name and by opcode, a kernel's number. Kernels are added at the end and never removed.

    Kernels whose names begin alike, such as `tanh` and `tanh.dx`, form a *shard*: a module that is compiled by itself
    when one of its kernels is first used. The shard is closed then: a kernel that is added later with such a name
    begins another shard. So the code of a shard does not depend on which other kernels there are.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._shards: list[list[str]] = []  # for each shard, the names of its kernels
        # The shard that takes the next kernel, by the first part of the kernel's name.
        self._open: dict[str, int] = {}
        self.used: set[int] = set()  # numbers of the shards that have a kernel in use

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

    def use(self, opcode: int) -> int:
        """Note that a kernel is in use, so that its shard will be loaded. Return the opcode."""
        self.used.add(opcode // SHARD)
        return opcode

    def opcode(self, name: str) -> int:
        """Return the opcode of a kernel, and note that the kernel is in use."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Close a shard: it takes no more kernels."""
        self._open = {group: number for group, number in self._open.items() if number != shard}

    def shard(self, number: int) -> dict[int, tuple[str, Kernel]]:
        """Return (name, kernel) for each place in a shard. The opcode is number * SHARD + place."""
        return {place: (name, self._kernels[name]) for place, name in enumerate(self._shards[number])}

    def shards(self) -> range:
        """Return the numbers of all shards."""
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
