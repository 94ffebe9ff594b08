"""The interface of kernels, what they say of their instructions, and the class of the table of all kernels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import layout, tir

FLOP = 10  # estimated picoseconds for one floating point operation in a matrix product
NUMBER = 250  # for all other kernels: estimated picoseconds for each number that they write
# A matrix of at most this many floats fits in the L2 cache of each core. Then threads may share a product by columns,
# although each of them reads the whole matrix.
AT_HAND = 1 << 17


class Effects(NamedTuple):
    """What an instruction of a kernel reads and writes, and what it costs.

    Args:
        writes: what it writes for one column: pairs (number of an address list, size). Such a pair means the `size`
            floats from the column's address in that list on. The size does not matter if one thread runs it.
        work: about how many picoseconds one thread takes for a column.
        shared: how threads can share it, as a constant of `layout`. BY_COLUMNS: each works on some columns, which is
            possible if no two columns write to the same floats. BY_ROWS: each computes some rows of the result, for
            every column. EITHER: in both ways. ALONE: in none.
        reads: the numbers of the other address lists that it uses. None: it may use any list. The planner writes only
            the lists that are used to memory.
        firsts: the numbers of the address lists of which it uses the first address only. `reads` does not have them.
        covers: whether it adds to the memory of the one pair in `writes`, but on a CPU can also overwrite it. The
        planner
            marks an instruction as `fresh` if this memory is uninitialized; then the kernel overwrites it.
        copied: if it covers by adding unchanged copies of numbers: the number of the address list from which it reads
            them.
    """

    writes: tuple[tuple[int, int], ...] = ()
    work: int = 0
    shared: int = layout.BY_COLUMNS
    reads: tuple[int, ...] | None = None
    firsts: tuple[int, ...] = ()
    covers: bool = False
    copied: int | None = None


class Kernel:
    """The base class of all kernels. A subclass has `on_cpu` and `on_gpu`, and `effects` if steps use it.

    Args:
        parameters: the names of the parameters of an instruction.
        shared: how CPU threads can share an instruction, as a constant of `layout`; see `tir.kernel`.
        may_set: whether a CPU overwrites the target of an instruction that is `fresh`.
    """

    parameters: tuple[str, ...] = ()
    shared: int = layout.BY_COLUMNS
    may_set: bool = False

    @property
    def key(self) -> str:
        """A text that differs for kernels with different code. Compiled code is cached under a key that contains it."""
        return repr(self)

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        """Return what an instruction with these parameters reads and writes. By default, the planner itself knows."""
        return Effects(shared=self.shared)

    def cpu(self, lanes: int) -> Any:
        """Return the code for a CPU whose vector registers hold `lanes` float32s."""
        body = functools.partial(self.on_cpu, lanes=lanes)
        return tir.kernel(body, self.parameters, self.may_set, self.shared)

    def cuda(self) -> Any:
        """Return the code for a GPU."""
        return tir.kernel(self.on_gpu, self.parameters, atomic=True)

    def on_cpu(self, instruction: Any, lanes: int) -> None:
        """Emit what a CPU does for an instruction, which is a `tir.Instruction`."""
        raise NotImplementedError

    def on_gpu(self, instruction: Any) -> None:
        """Emit what a thread of a GPU does for an instruction."""
        raise NotImplementedError


SHARD = 16  # the most kernels that are compiled together as one module
RUN_SHARD = "run_shard"  # the name of the function, in each shard's module, that runs instructions of its kernels


def symbol_of(name: str) -> str:
    """Return the name of a kernel's function. Its prefix keeps a kernel `exp` from hiding C's `exp`."""
    return "kernel_" + name.replace(".", "_")


class NoCodeError(RuntimeError):
    """A graph needs a kernel whose machine code is not loaded, so it was not computed. This is a bug in the library."""


class Kernels:
    """A table of kernels by name and by opcode. Kernels are added at the end and never removed.

    Up to SHARD kernels whose names begin alike, such as `tanh` and `tanh.dx`, are a shard. It is compiled when one of
    them is first used, and is then closed: a kernel with such a name that is added later begins another shard. So the
    code of a shard does not depend on which other kernels there are.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._shards: list[list[str]] = []
        self._open: dict[str, int] = {}  # from the first part of a name (`tanh`) to the shard of the next such kernel
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
            if len(self._shards) == layout.MOST_SHARDS:
                raise ValueError(f"kernel {name}: too many kernels: the limit is {layout.MOST_SHARDS} groups")
            shard = self._open[group] = len(self._shards)
            self._shards.append([])
        self._kernels[name] = kernel
        self._opcodes[name] = shard * SHARD + len(self._shards[shard])
        self._shards[shard].append(name)
        return self._opcodes[name]

    def add_defined(self, name: str, kernels: Mapping[str, Kernel], alone: bool = False) -> str:
        """Add the kernels of what a program has defined, and return the beginning of their names.

        This is `name`; if it was defined before, differently, a number is appended, because old kernels stay. `kernels`
        are by the ends of their names. With `alone`, each is compiled by itself.
        """
        start, count = name, 1
        while any(self._kernels.get(start + end, kernel).key != kernel.key for end, kernel in kernels.items()):
            count += 1
            start = f"{name}.{count}"
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
        """Note that a kernel is in use, so that its shard will be loaded. Return the opcode."""
        self.used.add(opcode // SHARD)
        return opcode

    def opcode(self, name: str) -> int:
        """Return the opcode of a kernel, and note that it is in use."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Close a shard: later kernels with names like those in it are added to another one."""
        self._open = {group: index for group, index in self._open.items() if index != shard}

    def shard(self, index: int) -> dict[int, tuple[str, Kernel]]:
        """Return (name, kernel) by slot of shard `index`. The opcode is index * SHARD + slot."""
        return {slot: (name, self._kernels[name]) for slot, name in enumerate(self._shards[index])}

    def shards(self) -> range:
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
