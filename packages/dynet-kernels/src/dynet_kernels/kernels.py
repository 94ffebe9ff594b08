"""Every kernel by name; its place is its opcode. Ops add rules; the rest stands here. Needs no TVM."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
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


def _family(name: str):
    return importlib.import_module(f".families.{name}", __package__)


# A window that moves over an image of several channels: their sizes, the steps of the window, how far it begins
# outside, and the number of its places.
WINDOW = (
    "height", "width", "channels", "window_height", "window_width", "row_step", "column_step", "above", "left",
    "result_height", "result_width",
)  # fmt: skip


@dataclass(frozen=True)
class Fill(Adds, Alone):
    """Sets a stretch of memory to one number."""

    parameters = ("start", "size", "number")
    key = "fill"

    def cpu(self, lanes):
        return _family("fill").cpu(self, lanes)

    def cuda(self):
        return _family("fill").cuda(self)


@dataclass(frozen=True)
class Clear(Adds, Alone):
    """Sets stretches of memory to 0: one column each, whose addresses are where it begins and how long it is."""

    parameters = ()
    key = "clear"

    def cpu(self, lanes):
        return _family("fill").clear_cpu(self, lanes)

    def cuda(self):
        return _family("fill").clear_cuda(self)


@dataclass(frozen=True)
class Strides(ByColumns):
    """Copies (or adds) one layout to another; see families.strides."""

    accumulate: bool
    parameters = (
        "target",
        "source",
        *(f"{kind}{k}" for kind in ("extent", "target", "source") for k in range(4)),
    )

    @property
    def key(self):
        return repr(self)

    def covers(self, parameters):
        """All of a column's target, if the loops go over it without a gap."""
        target, source, *numbers = parameters
        size, same = 1, True
        for extent, stride, other in zip(numbers[:4], numbers[4:8], numbers[8:], strict=True):
            if extent > 1 and stride != size:
                return None
            same = same and (extent == 1 or other == stride)
            size *= extent
        return (target, size, source if same else None) if self.accumulate else None

    def targets(self, parameters):
        target, _, *numbers = parameters
        loops = zip(numbers[:4], numbers[4:8], strict=True)
        return ((target, 1 + sum((extent - 1) * stride for extent, stride in loops)),)

    def lists(self, parameters):
        target, source, *_ = parameters
        return (target, source), ()

    def cpu(self, lanes):
        return _family("strides").cpu(self, lanes)

    def cuda(self):
        return _family("strides").cuda(self)


@dataclass(frozen=True)
class Sum(Adds, ByRows):
    """y = the sum of the x of all neighbouring columns that share y, times a number if `scaled`; see families.sums."""

    scaled: bool
    parameters = ("size",)

    def work(self, parameters):
        (size,) = parameters
        return NUMBER * size

    @property
    def key(self):
        return repr(self)

    def cpu(self, lanes):
        return _family("sums").cpu(self, lanes)

    def cuda(self):
        return _family("sums").cuda(self)


def _with_matrix(matrix: int, group: int, *columns: int) -> Lists:
    """The lists of a product: the matrix has one address for all columns if they are one group."""
    return (columns, (matrix,)) if group == 0 else ((*columns, matrix), ())


@dataclass(frozen=True)
class Product(Adds, ByRows):
    """y[j] = start[j] + W x[j]; a start role of -1 starts from zero."""

    parameters = ("rows", "inner", "matrix", "x", "y", "start", "group")
    written = ("y",)
    key = "product"

    def lists(self, parameters):
        *_, matrix, x, y, start, group = parameters
        return _with_matrix(matrix, group, x, y, *([start] if start >= 0 else []))

    def targets_by_columns(self, parameters):
        rows, inner, _, _, y, _, group = parameters
        return ((y, rows),) if group == 0 and rows * inner <= AT_HAND else None

    def cpu(self, lanes):
        return _family("matmul").product_cpu(self, lanes)

    def cuda(self):
        return _family("matmul").product_cuda(self)


@dataclass(frozen=True)
class ColumnGradient(ByRows):
    """dx[j] += W' dy[j]."""

    parameters = ("rows", "inner", "matrix", "dx", "dy", "group")
    written = ("dx",)
    key = "column_gradient"

    def covers(self, parameters):
        return parameters[3], parameters[1], None

    def lists(self, parameters):
        *_, matrix, dx, dy, group = parameters
        return _with_matrix(matrix, group, dx, dy)

    def targets_by_columns(self, parameters):
        rows, inner, _, dx, _, group = parameters
        return ((dx, inner),) if group == 0 and rows * inner <= AT_HAND else None

    def cpu(self, lanes):
        return _family("matmul").column_gradient_cpu(self, lanes)

    def cuda(self):
        return _family("matmul").column_gradient_cuda(self)


@dataclass(frozen=True)
class MatrixGradient(Adds, ByRows):
    """dW += sum over j of dy[j] x[j]'."""

    parameters = ("rows", "inner", "dmatrix", "x", "dy", "group")
    written = ("dmatrix",)
    key = "matrix_gradient"

    def lists(self, parameters):
        *_, matrix, x, dy, group = parameters
        return _with_matrix(matrix, group, x, dy)

    def cpu(self, lanes):
        return _family("matrix_gradient").cpu(self, lanes)

    def cuda(self):
        return _family("matrix_gradient").cuda(self)


@dataclass(frozen=True)
class Windows(Adds, ByColumns):
    """Copies what a window sees at each of its places over an image, or (backward) adds it back to the image."""

    backward: bool = False
    parameters = ("windows", "image", *WINDOW)

    def targets(self, parameters):
        windows, image, height, width, channels, window_height, window_width, *_, result_height, result_width = (
            parameters
        )
        if self.backward:
            return ((image, height * width * channels),)
        return ((windows, result_height * result_width * window_height * window_width * channels),)

    @property
    def key(self):
        return repr(self)

    def cpu(self, lanes):
        return _family("windows").copy_cpu(self, lanes)

    def cuda(self):
        return _family("windows").copy_cuda(self)


@dataclass(frozen=True)
class LargestInWindow(Adds, ByColumns):
    """The largest number that a window sees at each of its places over an image, and where it stands."""

    parameters = ("y", "image", "places", *WINDOW)
    key = "largest_in_window"

    def targets(self, parameters):
        y, _, places, _, _, channels, *_, result_height, result_width = parameters
        return tuple((role, result_height * result_width * channels) for role in (y, places))

    def cpu(self, lanes):
        return _family("windows").largest_cpu(self)

    def cuda(self):
        return _family("windows").largest_cuda(self)


@dataclass(frozen=True)
class LargestInOrder(Adds, ByColumns):
    """The `number` largest numbers of each column in their order, and where they stand; see families.selection."""

    parameters = ("size", "number", "y", "x", "places")
    key = "largest_in_order"

    def targets(self, parameters):
        _, number, y, _, places = parameters
        return (y, number), (places, number)

    def work(self, parameters):
        size, *_ = parameters
        return 4 * NUMBER * size

    def cpu(self, lanes):
        return _family("selection").largest_cpu(self, lanes)

    def cuda(self):
        return _family("selection").largest_cuda(self)


@dataclass(frozen=True)
class FallingOrder(Adds, ByColumns):
    """The numbers of each column in falling order, and what is found beside them in the same order."""

    parameters = ("size", "y", "places", "x", "found")
    key = "falling_order"

    def targets(self, parameters):
        size, y, places, *_ = parameters
        return (y, size), (places, size)

    def work(self, parameters):
        size, *_ = parameters
        return 4 * NUMBER * size * size

    def cpu(self, lanes):
        return _family("selection").falling_cpu(self)

    def cuda(self):
        return _family("selection").falling_cuda(self)


@dataclass(frozen=True)
class Scatter(Adds, Alone):
    """target[places[i]] += source[i] for each i < size; the places are integers."""

    parameters = ("size", "target", "source", "places")
    written = ("target",)
    key = "scatter"

    def cpu(self, lanes):
        return _family("selection").scatter_cpu(self)

    def cuda(self):
        return _family("selection").scatter_cuda(self)


@dataclass(frozen=True)
class Invert(Adds, Alone):
    """Replaces a matrix by its inverse; see families.linalg."""

    parameters = ("order", "matrix", "work", "group")
    written = ("matrix", "work")
    key = "invert"

    def cpu(self, lanes):
        return _family("linalg").cpu(self, lanes)

    def cuda(self):
        return _family("linalg").cuda(self)


@dataclass(frozen=True)
class Scan(Adds, ByColumns):
    """Running sums of a column; `backward` adds those from the end, their gradient. See families.scan."""

    backward: bool
    parameters = ("target", "source", "size", "width")

    def targets(self, parameters):
        target, _, size, width = parameters
        return ((target, size * width),)

    @property
    def key(self):
        return repr(self)

    def cpu(self, lanes):
        return _family("scan").cpu(self, lanes)

    def cuda(self):
        return _family("scan").cuda(self)


@dataclass(frozen=True)
class Simplex(Adds, ByColumns):
    """Projections onto probabilities: "sparsemax" or "constrained_softmax". See families.simplex."""

    function: str
    parameters = ("size",)

    def targets(self, parameters):
        return ((0, parameters[0]),)

    def work(self, parameters):
        return 10 * NUMBER * parameters[0]

    @property
    def key(self):
        return repr(self)

    def cpu(self, lanes):
        return _family("simplex").cpu(self, lanes)

    def cuda(self):
        return _family("simplex").cuda(self)


@dataclass(frozen=True)
class Toeplitz(Adds, ByColumns):
    """y[k] += sum over i of a[i] b[offset + k + step i]. See families.toeplitz."""

    parameters = ("y", "a", "b", "size", "offset", "step")
    key = "toeplitz"

    def targets(self, parameters):
        y, _, _, size, *_ = parameters
        return ((y, size),)

    def work(self, parameters):
        _, _, _, size, *_ = parameters
        return 2 * FLOP * size * size

    def cpu(self, lanes):
        return _family("toeplitz").cpu(self, lanes)

    def cuda(self):
        return _family("toeplitz").cuda(self)


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


KERNELS = Kernels()
KERNELS.use(KERNELS.add("fill", Fill()))
KERNELS.add("clear_stretches", Clear())
KERNELS.add("copy", Strides(accumulate=False))
KERNELS.add("accumulate", Strides(accumulate=True))
KERNELS.close(0)  # every program uses these
for _name, _kernel in {"product": Product(), "product.dx": ColumnGradient(), "product.dW": MatrixGradient()}.items():
    KERNELS.add(_name, _kernel)
KERNELS.close(1)  # products take longer to compile than all else that a small program uses
