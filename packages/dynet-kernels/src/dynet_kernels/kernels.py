"""Every kernel by name; its place is its opcode. Ops add rules; the rest stands here. Needs no TVM."""

from __future__ import annotations

from typing import Any, Protocol


class Kernel(Protocol):
    """What the machine needs of a kernel."""

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
"""A list of addresses, and how many neighbouring numbers a kernel adds to each of its columns, on a CPU: where an
instruction is fresh, it sets them. A kernel of which `covers` is None adds whatever the instruction says. The third is
the list whose columns it adds as they are, if it does no more."""

Targets = tuple[tuple[int, int], ...] | None
"""All that a kernel writes for a column: lists of addresses, and within how many numbers from there on. Where no two
columns write to the same, threads can share its instructions by columns. None: they share them by rows of the result,
which is always possible; by columns, if these are many, where a `ByRows` says what it writes for one. `work` is about
how many picoseconds a column takes on one of them, 0 if they cannot share it.
"""

Lists = tuple[tuple[int, ...], tuple[int, ...]] | None
"""The lists of addresses that a kernel reads: those of all columns, and those of the first column only. Others hold
nothing. None: any."""

FLOP = 10  # picoseconds of one in a product
NUMBER = 250  # picoseconds that it takes to work on one number otherwise
AT_HAND = 1 << 17  # floats of a matrix that each thread can have in a cache of its own: threads share its columns then


class Adds:
    """A kernel that never sets what it could add to."""

    def covers(self, parameters: tuple[int, ...]) -> Covered | None:
        return None


class AnyList:
    """A kernel that does not say which lists of addresses it reads."""

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        return None


class Alone(AnyList):
    """A kernel whose instructions threads do not share.

    `written` are those of its parameters that say where it writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        return 0

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None


class ByRows(AnyList):
    """A kernel whose instructions threads share by rows of the result: of a product, if it does not say otherwise.

    `written` are those of its parameters that say where it writes.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        rows, inner, *_ = parameters
        return 2 * rows * inner * FLOP

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None

    def targets_by_columns(self, parameters: tuple[int, ...]) -> Targets:
        """What it writes for a column, if threads can share it by columns as well; else None."""
        return None


class ByColumns(AnyList):
    """A kernel whose instructions threads share by columns, and which takes so long as it has to write much."""

    def work(self, parameters: tuple[int, ...]) -> int:
        return NUMBER * sum(size for _, size in self.targets(parameters))

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        raise NotImplementedError


SHARD = 32  # kernels that are compiled as one module; LLVM makes a real switch of them and inlines the small ones


class NoCodeError(RuntimeError):
    """An instruction whose machine code is not loaded. What it should have computed is not there."""


class Kernels:
    """A table of kernels by name and opcode. They are added at the end and never removed.

    Neighbours form a *shard*, which is compiled when something uses one of its kernels. A shard that is compiled is
    closed: the next kernel begins another.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._next = 0
        self.used: set[int] = set()  # shards whose kernels something may run

    def add(self, name: str, kernel: Kernel) -> int:
        """Add a kernel, or find the same one under its name; its opcode."""
        if name in self._kernels:
            if self._kernels[name].key != kernel.key:
                raise ValueError(f"kernel {name} is defined twice, differently")
            return self._opcodes[name]
        self._kernels[name] = kernel
        self._opcodes[name] = self._next
        self._next += 1
        return self._next - 1

    def use(self, opcode: int) -> int:
        """Say that a kernel may be run; its opcode."""
        self.used.add(opcode // SHARD)
        return opcode

    def opcode(self, name: str) -> int:
        """The opcode of a kernel that may be run."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Add no more kernels to a shard."""
        if self._next // SHARD == shard:
            self._next = (shard + 1) * SHARD

    def shard(self, number: int) -> dict[int, tuple[str, Kernel]]:
        """The names and kernels of a shard by their opcodes."""
        return {
            opcode: (name, self._kernels[name]) for name, opcode in self._opcodes.items() if opcode // SHARD == number
        }

    def no_code(self, opcode: int) -> NoCodeError:
        """The error that says that the machine has met an instruction without code."""
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
        """Opcode, name and kernel of each."""
        return [(self._opcodes[name], name, kernel) for name, kernel in self._kernels.items()]


def shard_name(shard: int) -> str:
    """The name of a shard's function, in its module."""
    return f"run_shard_{shard}"


def registered_name(shard: int) -> str:
    """The name under which the planner's module finds a shard's function."""
    return f"dynet.{shard_name(shard)}"
