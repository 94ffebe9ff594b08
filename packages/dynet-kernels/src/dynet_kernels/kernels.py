"""What all kernels share: what the machine asks of them, how threads share them, and tables of kernels.

The kernels themselves stand in `families`, with their emitters.
"""

from __future__ import annotations

from typing import Any, Protocol

from .layout import MOST_SHARDS


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
"""What a kernel adds to, on a CPU: (address list, how many numbers from each address on, source).

The kernel overwrites these numbers where an instruction says that they are uninitialised ("fresh"). A kernel whose
`covers` is None always adds. `source` is the address list of what is added if the kernel is a plain copy, else None.
"""

Targets = tuple[tuple[int, int], ...] | None
"""What a kernel writes for one column: pairs of an address list, and how many numbers from the address on.

Threads share an instruction by columns where no two columns write to the same numbers. None: threads share it by rows
of the result, which is always possible. A `ByRows` may still be shared by columns, if there are many, where its
`targets_by_columns` says what one column writes. `work` is about how many picoseconds one thread takes for a column; 0:
threads cannot share the instruction.
"""

Lists = tuple[tuple[int, ...], tuple[int, ...]] | None
"""The address lists that a kernel reads: those that it reads for all columns, and those for the first column only.

No other lists are written. None: the kernel may read any list.
"""

FLOP = 10  # picoseconds of a floating point operation in a product
NUMBER = 250  # picoseconds for one number in other kernels
AT_HAND = 1 << 17  # floats of a matrix that fits in the second cache of each core: threads then share its columns


class Adds:
    """A kernel that never overwrites what it could add to."""

    def covers(self, parameters: tuple[int, ...]) -> Covered | None:
        return None


class AnyList:
    """A kernel that does not say which lists of addresses it reads."""

    def lists(self, parameters: tuple[int, ...]) -> Lists:
        return None


class Alone(AnyList):
    """A kernel whose instructions threads do not share.

    `written` names the parameters that hold the address lists it writes to.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        return 0

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None


class ByRows(AnyList):
    """A kernel whose instructions threads share by rows of the result. `work` is the work of a product.

    `written` names the parameters that hold the address lists it writes to.
    """

    written: tuple[str, ...] = ()

    def work(self, parameters: tuple[int, ...]) -> int:
        rows, inner, *_ = parameters
        return 2 * rows * inner * FLOP

    def targets(self, parameters: tuple[int, ...]) -> Targets:
        return None

    def targets_by_columns(self, parameters: tuple[int, ...]) -> Targets:
        """What the kernel writes for a column, if threads can share it by columns as well; else None."""
        return None


class ByColumns(AnyList):
    """A kernel whose instructions threads share by columns. Its time follows from how much it writes."""

    def work(self, parameters: tuple[int, ...]) -> int:
        return NUMBER * sum(size for _, size in self.targets(parameters))

    def targets(self, parameters: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        raise NotImplementedError


SHARD = 16  # the most kernels that are compiled as one module, with a switch on the opcode
RUN_SHARD = "run_shard"  # the name of the function with that switch


class NoCodeError(RuntimeError):
    """The machine met an instruction whose code is not loaded. The result of that instruction is missing."""


class Kernels:
    """A table of kernels by name and opcode. They are added at the end and never removed.

    Kernels whose names begin alike (`tanh`, `tanh.dx`) form a *shard*: a module that is compiled by itself when one of
    its kernels is first used. The shard is closed then: a later kernel with such a name begins another shard. So the
    code of a shard does not depend on which other kernels there are.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._shards: list[list[str]] = []  # the names of the kernels of each
        self._open: dict[str, int] = {}  # the shard that takes the next kernel, by the first part of the kernel's name
        self.used: set[int] = set()  # shards whose kernels something may run

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
        """Note that a kernel may be run. Return its opcode."""
        self.used.add(opcode // SHARD)
        return opcode

    def opcode(self, name: str) -> int:
        """Return the opcode of a kernel that may be run."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Add no more kernels to a shard."""
        self._open = {group: number for group, number in self._open.items() if number != shard}

    def shard(self, number: int) -> dict[int, tuple[str, Kernel]]:
        """Return the names and kernels of a shard by their places in it."""
        return {place: (name, self._kernels[name]) for place, name in enumerate(self._shards[number])}

    def shards(self) -> range:
        """Return the numbers of all shards."""
        return range(len(self._shards))

    def no_code(self, opcode: int) -> NoCodeError:
        """The error for an instruction whose code is not loaded."""
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
