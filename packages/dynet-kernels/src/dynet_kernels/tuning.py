"""The tuning parameters of emitted kernels: tile and panel sizes, unrolling, GPU threads. Does not import TVM.

These parameters affect the speed of a kernel, and its results only through the order of some additions. The defaults
work everywhere. `tune/` searches for better values, and `tuning_records.py` stores them by kind of machine.
Here, a *family* is a group of kernels with the same tuning parameters. A *vector* is the contents of a vector register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

Tile = tuple[int, int]  # the width and the height of a tile, in the units that the classes below state
PANEL_FLOATS = 1 << 16  # the most floats that a panel may have with vectors of 16 floats: panels are on the stack
MOST_SUMS = 48  # the most sums, width * height, that a tile may have; CPUs have registers for at most 32
X_FLOATS_AT_ONCE = 256  # the gradient of a matrix copies this many floats of each x[j] to contiguous memory at a time


@dataclass(frozen=True)
class Parameters:
    """The base class of tuning parameters, which are dataclasses. A field's metadata has a function to check values."""

    def __post_init__(self):
        for one in fields(self):
            if one.metadata:
                object.__setattr__(self, one.name, one.metadata["checked"](self, one.name, getattr(self, one.name)))


def _int_field(default: int, low: int, high: int | Callable[[Any], int]) -> Any:
    """Return a dataclass field for a whole number from `low` to `high`, or to high(parameters) if it is a function."""

    def checked_int(parameters: Parameters, name: str, value: object) -> object:
        most = high(parameters) if callable(high) else high
        if type(value) is not int or not low <= value <= most:
            raise ValueError(f"{name} is {value!r}, not a whole number from {low} to {most}")
        return value

    return field(default=default, metadata={"checked": checked_int})


def _tile_field(default: Tile) -> Any:
    return field(default=default, metadata={"checked": _checked_tile})


def _checked_tile(_: Parameters, name: str, tile: Any) -> Tile:
    is_pair = isinstance(tile, (tuple, list)) and len(tile) == 2 and all(type(n) is int and n > 0 for n in tile)
    if not is_pair or tile[0] * tile[1] > MOST_SUMS:
        raise ValueError(f"{name} is {tile!r}, not two whole numbers from 1 whose product is at most {MOST_SUMS}")
    return tile[0], tile[1]


def _tiles_field(*default: Tile) -> Any:
    def checked_tiles(parameters: Parameters, name: str, tiles: Any) -> tuple[Tile, ...]:
        if not isinstance(tiles, (tuple, list)) or not 1 <= len(tiles) <= 6:
            raise ValueError(f"{name} is {tiles!r}, not a list of one to six tiles")
        tiles = tuple(_checked_tile(parameters, name, tile) for tile in tiles)
        widths = [width for width, _ in tiles]
        if widths != sorted(set(widths), reverse=True) or widths[-1] != 1:
            raise ValueError(f"{name} is {tiles!r}: the columns must become fewer from tile to tile, and end with 1")
        return tiles

    return field(default=default, metadata={"checked": checked_tiles})


@dataclass(frozen=True)
class ProductTuning(Parameters):
    """Parameters of the matrix product y = W x; see `families.products`.

    Args:
        tiles: sizes of tiles, blocks of results whose sums stay in registers: (columns of x, vectors of rows of W). The
            widest tile, for many columns, comes first, and a tile for a single column comes last.
        panel: this many columns of W are copied to contiguous memory at a time; this copy is the panel.
        many: panels are used if x has at least this many columns, and W has at least `far` rows.
        far: the number of rows for `many`.
        large: panels are also used if W has at least this many floats and x has more columns than the widest tile, so
            that W is read only once.
        crowded: panels are also used if the columns of W are a multiple of 256 bytes apart, so that they compete for a
            few sets of the L1 cache, if rows of W * columns of x is at least this, and if x has at least 20 columns.
    """

    tiles: tuple[Tile, ...] = _tiles_field((4, 3), (2, 4), (1, 8))
    panel: int = _int_field(128, 8, lambda product: PANEL_FLOATS // (16 * product.tiles[0][1]))
    many: int = _int_field(24, 1, 1 << 20)
    far: int = _int_field(128, 1, 1 << 20)
    large: int = _int_field(1 << 19, 1 << 10, 1 << 40)
    crowded: int = _int_field(1 << 13, 1 << 10, 1 << 40)


@dataclass(frozen=True)
class ColumnGradientTuning(Parameters):
    """Parameters of dx += W' dy, the gradient of x in the product y = W x; see `families.products`.

    Args:
        tiles: sizes of tiles, blocks of results whose sums stay in registers: (columns of dy, columns of W). They are
            used without panels.
        block: this many floats of W are worked on at a time, so that they stay in the cache.
        many: if dy has at least about this many columns per 100 rows of W, sections of W are transposed into panels,
            and the kernel works like y = W x. dy must have more columns if the number of columns of W is not a multiple
            of a vector's length.
        tile: the size of a tile when panels are used: (columns of dy, vectors of columns of W).
        panel: this many rows of W are transposed at a time; a multiple of 16.
    """

    tiles: tuple[Tile, ...] = _tiles_field((3, 3), (2, 5), (1, 8))
    block: int = _int_field(1 << 18, 1 << 10, 1 << 30)
    many: int = _int_field(14, 1, 1 << 20)
    tile: Tile = _tile_field((4, 3))
    panel: int = _int_field(128, 16, lambda gradient: PANEL_FLOATS // (16 * gradient.tile[1]))

    def __post_init__(self):
        super().__post_init__()
        if self.panel % 16:
            raise ValueError(f"panel is {self.panel}, not a multiple of 16")


@dataclass(frozen=True)
class MatrixGradientTuning(Parameters):
    """Parameters of dW += dy x', the gradient of W in the product y = W x; see `families.products`.

    Args:
        tile: the size of a tile, a block of dW whose sums stay in registers: (columns of W, vectors of rows).
        few: if dy has at most this many columns, `few_tile` is used instead of `tile`, because most of the time is
            spent on reading and writing dW.
        few_tile: the tile for `few`, which is narrow and tall, so that dW is read in long contiguous runs.
        panel: this many columns of dy and x are copied to contiguous memory at a time.
    """

    tile: Tile = _tile_field((4, 3))
    few: int = _int_field(4, 1, 32)
    few_tile: Tile = _tile_field((1, 8))
    panel: int = _int_field(128, 8, lambda gradient: PANEL_FLOATS // max(64 * gradient.tile[1], X_FLOATS_AT_ONCE + 16))


@dataclass(frozen=True)
class ColumnsTuning(Parameters):
    """Parameters of rules, kernels that apply formulas to columns; see `families.rules`.

    Args:
        vectors: the loop over a column is unrolled by this many vectors.
        chains: the number of independent partial sums of a reduction, to hide additions' latency; at most `vectors`.
        heaviest: loops are not unrolled if the formulas take more than about this many machine instructions.
    """

    vectors: int = _int_field(1, 1, 8)
    chains: int = _int_field(1, 1, 8)
    heaviest: int = _int_field(16, 0, 1000)

    def __post_init__(self):
        super().__post_init__()
        if self.chains > self.vectors:
            raise ValueError(f"chains is {self.chains}, more than vectors, which is {self.vectors}")


@dataclass(frozen=True)
class NormTuning(Parameters):
    """Parameters of the kernel that computes the norm of gradients; see `families.norm`.

    A column is divided into this many `stretches`, which are read in parallel; if memory is slow, 2 are faster than 1.
    The loop over a stretch is unrolled by `vectors` vectors, each with its own partial sum.
    """

    stretches: int = _int_field(2, 1, 4)
    vectors: int = _int_field(2, 1, 8)


@dataclass(frozen=True)
class UpdateTuning(Parameters):
    """Parameters of the kernels of trainers, whose loops are unrolled by `vectors` vectors of each tensor."""

    vectors: int = _int_field(2, 1, 8)


@dataclass(frozen=True)
class Cpu(Parameters):
    """The tuning parameters of all families of kernels on a CPU."""

    product: ProductTuning = ProductTuning()
    column_gradient: ColumnGradientTuning = ColumnGradientTuning()
    matrix_gradient: MatrixGradientTuning = MatrixGradientTuning()
    columns: ColumnsTuning = ColumnsTuning()
    norm: NormTuning = NormTuning()
    update: UpdateTuning = UpdateTuning()


@dataclass(frozen=True)
class Cuda(Parameters):
    """The tuning parameters of all kernels on a GPU.

    Args:
        threads: the number of threads per block in kernels that reduce columns; a power of two.
        block: the number of threads per block in kernels with one thread per element.
        tile: a block of threads computes tile x tile elements of a matrix product.
    """

    threads: int = _int_field(128, 32, 1024)
    block: int = _int_field(256, 32, 1024)
    tile: int = _int_field(8, 4, 32)

    def __post_init__(self):
        super().__post_init__()
        if self.threads & (self.threads - 1):
            raise ValueError(f"threads is {self.threads}, not a power of two")


CPU_FAMILIES = tuple(vars(Cpu()))
FAMILIES = {name: type(parameters) for name, parameters in vars(Cpu()).items()} | {"cuda": Cuda}
_variables: dict[type, ContextVar[Any]] = {kind: ContextVar(kind.__name__, default=None) for kind in (Cpu, Cuda)}


def register_count(lanes: int) -> int:
    """Return the least number of vector registers of CPUs with `lanes` floats per vector register."""
    return 32 if lanes == 16 else 16


def defaults(lanes: int) -> Cpu:
    """Return the parameters for a CPU without records: tiles of up to 24 sums for 32 vector registers, 12 for 16."""
    if register_count(lanes) == 16:
        return Cpu()
    return Cpu(
        ProductTuning(tiles=((8, 3), (4, 6), (2, 8), (1, 8))),
        ColumnGradientTuning(tiles=((4, 4), (1, 8))),
        MatrixGradientTuning(tile=(8, 3), few=8, few_tile=(2, 8)),
    )


def cpu(lanes: int) -> Cpu:
    """Return the CPU parameters set by `using`, or the defaults for vector registers of `lanes` floats."""
    return _variables[Cpu].get() or defaults(lanes)


def cuda() -> Cuda:
    """Return the GPU parameters set by `using`, or the defaults."""
    return _variables[Cuda].get() or Cuda()


@contextmanager
def holding(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Give a context variable a value within a `with` block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def using(parameters: Cpu | Cuda) -> AbstractContextManager[None]:
    """Use `parameters` instead of the defaults for all kernels that are emitted within a `with` block."""
    return holding(_variables[type(parameters)], parameters)


def from_json(name: Any, values: object) -> Parameters:
    """Return the parameters of family `name`, given `values` from JSON. Raise ValueError if they are invalid."""
    if name not in tuple(FAMILIES):  # not `in FAMILIES`, because `name` may be unhashable
        raise ValueError(f"there is no family {name!r}: they are {', '.join(FAMILIES)}")
    if not isinstance(values, dict):
        raise ValueError(f"the parameters of {name} are {values!r}, not an object")
    unknown_names = sorted(set(values) - {f.name for f in fields(FAMILIES[name])})
    if unknown_names:
        raise ValueError(f"{name} has no parameter {unknown_names[0]!r}")
    return FAMILIES[name](**values)
