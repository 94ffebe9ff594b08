"""The interface of kernels, their effects, and the table of all kernels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import layout, tir

FLOP = 10  # the estimated picoseconds that a floating-point operation of a matrix product takes
NUMBER = 250  # the estimated picoseconds that a kernel other than a product takes for each float that it writes
# A matrix of at most this many floats fits in the L2 cache of each core. Threads may then share a product by columns,
# although each thread reads the whole matrix.
L2_FLOATS = 1 << 17


class Effects(NamedTuple):
    """The memory that an instruction reads and writes, and what it costs.

    Args:
        writes: pairs (role, size): for each column, the instruction writes `size` floats, from the column's address in
            the list `role` on. The size does not matter if one thread runs the instruction.
        work: an estimate of the picoseconds that one thread takes for a column.
        shared: how threads can share the instruction, as a constant of `layout`. BY_COLUMNS: each works on some
            columns, which is possible if no two columns write to the same floats. BY_ROWS: each computes some rows of
            the result, for every column. EITHER: both ways are possible. ALONE: neither is possible.
        reads: the roles of the other address lists that the kernel uses. None: it may use any list. The planner only
            writes address lists that are used.
        firsts: the roles of the address lists of which only the first address is used. They are not in `reads`.
        covers: whether the kernel adds to the floats of the only pair in `writes` but, on a CPU, can overwrite them.
            The planner marks an instruction as `fresh` if these floats are uninitialized; then they are overwritten.
        copied: if the instruction `covers` and only adds unchanged floats that it reads, the role of these floats.
    """

    writes: tuple[tuple[int, int], ...] = ()
    work: int = 0
    shared: int = layout.BY_COLUMNS
    reads: tuple[int, ...] | None = None
    firsts: tuple[int, ...] = ()
    covers: bool = False
    copied: int | None = None

    def moved(self, by: int) -> Effects:
        """Return the same effects, with larger numbers of roles."""
        reads = None if self.reads is None else tuple([role + by for role in self.reads])
        writes, firsts = [(role + by, size) for role, size in self.writes], [role + by for role in self.firsts]
        copied = None if self.copied is None else self.copied + by
        return self._replace(reads=reads, writes=tuple(writes), firsts=tuple(firsts), copied=copied)


class Kernel:
    """The base class of all kernels. A subclass has `on_cpu` and `on_gpu`, and `effects` if steps use it.

    A subclass is a dataclass with `frozen=True`, or defines `key`.

    Args:
        parameters: the names of the parameters of an instruction.
        shared: how CPU threads can share an instruction, as a constant of `layout`; see `tir.kernel`.
        may_set: whether a CPU overwrites the target of an instruction that is `fresh`.
        has_factors: whether its code depends on `families.products.precision`.
    """

    parameters: tuple[str, ...] = ()
    shared: int = layout.BY_COLUMNS
    may_set: bool = False
    has_factors: bool = False

    @property
    def key(self) -> str:
        """Text that differs for kernels with different code. The cache key of compiled code depends on it."""
        return repr(self)

    def effects(self, parameters: tuple[int, ...]) -> Effects:
        """Return the effects of an instruction with these parameters. This default is for kernels that no step uses."""
        return Effects(shared=self.shared)

    def cpu_code(self, lanes: int) -> Any:
        """Return the code for a CPU whose vector registers hold `lanes` float32s."""
        body = functools.partial(self.on_cpu, lanes=lanes)
        return tir.kernel(body, self.parameters, self.may_set, self.shared)

    def cuda_code(self) -> Any:
        return tir.kernel(self.on_gpu, self.parameters, atomic=True)

    def on_cpu(self, instruction: Any, lanes: int) -> None:
        """Emit the code for a CPU that carries out `instruction`, a `tir.Instruction`."""
        raise NotImplementedError

    def on_gpu(self, instruction: Any) -> None:
        """Emit the code for a GPU thread that carries out its share of `instruction`."""
        raise NotImplementedError


SHARD_SIZE = 16  # the most kernels that are compiled together as one module
RUN_SHARD = "run_shard"  # the function in each shard's module that runs instructions of its kernels


def function_name(name: str) -> str:
    """Return the name of a kernel's function. Its prefix keeps a kernel `exp` from hiding C's `exp`."""
    return "kernel_" + name.replace(".", "_")


class NoCodeError(RuntimeError):
    """A graph was not computed because a kernel's machine code is not loaded. This is a bug in the library."""


class Kernels:
    """A table of kernels by name and by opcode. Kernels are never removed.

    Up to SHARD_SIZE kernels whose names begin with the same word, such as `tanh` and `tanh.dx`, form a shard. When a
    kernel of a shard is first used, the shard is compiled and closed: kernels with the same first word that are added
    later form a new shard. So the code of a shard does not depend on kernels of other shards.
    """

    def __init__(self):
        self._kernels: dict[str, Kernel] = {}
        self._opcodes: dict[str, int] = {}
        self._shards: list[list[str]] = []
        self._open_shards: dict[str, int] = {}  # first word of names (`tanh`) -> shard for the next kernel
        self.used_shards: set[int] = set()  # the numbers of the shards with a kernel in use

    def add(self, name: str, kernel: Kernel) -> int:
        """Add a kernel, unless the same kernel was already added under this name. Return its opcode."""
        if name in self._kernels:
            if self._kernels[name].key != kernel.key:
                raise ValueError(f"kernel {name} is defined twice, differently")
            return self._opcodes[name]
        first_word = name.partition(".")[0]
        shard = self._open_shards.get(first_word)
        if shard is None or len(self._shards[shard]) == SHARD_SIZE:
            if len(self._shards) == layout.MOST_SHARDS:
                raise ValueError(f"kernel {name}: too many kernels: the limit is {layout.MOST_SHARDS} groups")
            shard = self._open_shards[first_word] = len(self._shards)
            self._shards.append([])
        self._kernels[name] = kernel
        self._opcodes[name] = shard * SHARD_SIZE + len(self._shards[shard])
        self._shards[shard].append(name)
        return self._opcodes[name]

    def add_defined(self, name: str, kernels: Mapping[str, Kernel], alone: bool = False) -> str:
        """Add the kernels of an op or trainer that a program has defined. Return the beginning of their names.

        This is `name`, or `name` with a number if other kernels have taken these names, because kernels are never
        removed. `kernels` maps the ends of names to kernels. With `alone`, each kernel is compiled separately.
        """
        start, count = name, 1
        while any(self._kernels.get(start + end, kernel).key != kernel.key for end, kernel in kernels.items()):
            count += 1
            start = f"{name}.{count}"
        for end, kernel in kernels.items():
            (self.add_alone if alone else self.add)(start + end, kernel)
        return start

    def add_alone(self, name: str, kernel: Kernel) -> int:
        """Add a kernel that, whatever its name, gets a shard of its own. Return its opcode."""
        self._open_shards.pop(name.partition(".")[0], None)
        opcode = self.add(name, kernel)
        self.close(opcode // SHARD_SIZE)
        return opcode

    def use(self, opcode: int) -> int:
        """Note that the kernel with this opcode is in use, so that its shard will be loaded. Return the opcode."""
        self.used_shards.add(opcode // SHARD_SIZE)
        return opcode

    def opcode(self, name: str) -> int:
        """Return the opcode of a kernel, and note that it is in use."""
        return self.use(self._opcodes[name])

    def close(self, shard: int) -> None:
        """Close a shard: kernels that are added later, with the same first word, get another shard."""
        self._open_shards = {first_word: index for first_word, index in self._open_shards.items() if index != shard}

    def shard(self, index: int) -> dict[int, tuple[str, Kernel]]:
        """Return the kernels of shard `index`: slot -> (name, kernel). An opcode is index * SHARD_SIZE + slot."""
        return {slot: (name, self._kernels[name]) for slot, name in enumerate(self._shards[index])}

    def shard_indices(self) -> range:
        return range(len(self._shards))

    def no_code_error(self, opcode: int) -> NoCodeError:
        """Return the error for an instruction whose machine code is not loaded."""
        name = next((name for name, kernel_opcode in self._opcodes.items() if kernel_opcode == opcode), "unknown")
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

    def with_opcodes(self) -> list[tuple[int, str, Kernel]]:
        """Return (opcode, name, kernel) for each kernel."""
        return [(self._opcodes[name], name, kernel) for name, kernel in self._kernels.items()]
