"""The parameters that kernels are emitted with: sizes of tiles, panels and blocks, unrolling, threads. Needs no TVM.

They decide how fast a kernel is, and in which order some sums are formed; never what is computed. The defaults here
are right everywhere; records (`records.py`) hold better ones for a kind of CPU or GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace

Tile = tuple[int, int]
ON_STACK = 1 << 16  # floats that a panel may take, on any thread's stack


def _between(family: object, **limits: tuple[int, int]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(family, name)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}, not a whole number from {low} to {high}")


def _tile(name: str, tile: object, sums: int) -> Tile:
    whole = isinstance(tile, (tuple, list)) and len(tile) == 2 and all(type(n) is int and n > 0 for n in tile)
    if not whole or tile[0] * tile[1] > sums:  # type: ignore[index, operator]
        raise ValueError(f"{name} is {tile!r}, not two whole numbers from 1 whose product is at most {sums}")
    return tuple(tile)  # type: ignore[return-value, arg-type]


def _tiles(family: object, name: str) -> None:
    tiles = getattr(family, name)
    if not isinstance(tiles, (tuple, list)) or not 1 <= len(tiles) <= 6:
        raise ValueError(f"{name} is {tiles!r}, not a list of one to six tiles")
    tiles = tuple(_tile(name, tile, 48) for tile in tiles)
    widths = [width for width, _ in tiles]
    if widths != sorted(set(widths), reverse=True) or widths[-1] != 1:
        raise ValueError(f"{name} is {tiles!r}: the columns must become fewer from tile to tile, and end with 1")
    object.__setattr__(family, name, tiles)


@dataclass(frozen=True)
class Product:
    """y = W x; see `families.matmul`.

    Args:
        tiles: (columns of x, vectors of rows) whose sums stay in registers, for many columns first, for one last.
        panel: columns of W that are copied to where they are contiguous, and used again and again.
        many: columns of x from which on a panel pays.
        far: rows of W from which on it does.
        large: floats of W from which on it does for any columns that more than one tile takes: so it is read once.
    """

    tiles: tuple[Tile, ...] = ((4, 3), (2, 4), (1, 8))
    panel: int = 128
    many: int = 24
    far: int = 128
    large: int = 1 << 19

    def __post_init__(self):
        _tiles(self, "tiles")
        _between(self, panel=(8, ON_STACK // (16 * self.tiles[0][1])), many=(1, 1 << 20), far=(1, 1 << 20))
        _between(self, large=(1 << 10, 1 << 40))


@dataclass(frozen=True)
class ColumnGradient:
    """dx += W' dy; see `families.matmul`.

    Args:
        tiles: (columns of dy, columns of W) whose sums stay in registers.
        block: floats of W that are worked on at once, so that they stay in the cache.
        many: columns of dy, for every hundred rows of W, from which on parts of W are transposed, to be worked on as in
            a product; more, if lanes are lost by that.
        tile: (columns of dy, vectors of columns of W) whose sums stay in registers then.
        panel: rows of W that are transposed at once; in whole vectors.
    """

    tiles: tuple[Tile, ...] = ((3, 3), (2, 5), (1, 8))
    block: int = 1 << 18
    many: int = 14
    tile: Tile = (4, 3)
    panel: int = 128

    def __post_init__(self):
        _tiles(self, "tiles")
        object.__setattr__(self, "tile", _tile("tile", self.tile, 48))
        _between(self, block=(1 << 10, 1 << 30), many=(1, 1 << 20), panel=(16, ON_STACK // (16 * self.tile[1])))
        if self.panel % 16:
            raise ValueError(f"panel is {self.panel}, not a multiple of 16")


@dataclass(frozen=True)
class MatrixGradient:
    """dW += dy x'; see `families.matrix_gradient`.

    Args:
        tile: (columns of W, vectors of rows) whose sums stay in registers.
        few: columns of dy up to which time goes by reading and writing dW.
        few_tile: the tile for so few columns; of long stretches.
        panel: columns of dy that are copied to where they are contiguous; three times as many if dW is large.
    """

    tile: Tile = (4, 3)
    few: int = 4
    few_tile: Tile = (1, 8)
    panel: int = 48

    def __post_init__(self):
        for name in ("tile", "few_tile"):
            object.__setattr__(self, name, _tile(name, getattr(self, name), 48))
        _between(self, panel=(8, ON_STACK // (64 * self.tile[1])), few=(1, 32))


@dataclass(frozen=True)
class Columns:
    """Rules; see `families.columns`.

    Args:
        vectors: vectors of a column that are worked on at once.
        chains: partial sums of a reduction that do not wait for one another; at most `vectors`.
        heaviest: the weight of formulas up to which more than one vector is worked on at once.
    """

    vectors: int = 1
    chains: int = 1
    heaviest: int = 16

    def __post_init__(self):
        _between(self, vectors=(1, 8), chains=(1, 8), heaviest=(0, 1000))
        if self.chains > self.vectors:
            raise ValueError(f"chains is {self.chains}, more than vectors, which is {self.vectors}")


@dataclass(frozen=True)
class Norm:
    """The norm of a gradient; see `families.norm`.

    Args:
        stretches: places in which a column is read at once: two are faster than one where memory is slow.
        vectors: vectors that are read at once in each; every one has a sum of its own.
    """

    stretches: int = 2
    vectors: int = 2

    def __post_init__(self):
        _between(self, stretches=(1, 4), vectors=(1, 8))


@dataclass(frozen=True)
class Update:
    """Rules of trainers; see `families.update`.

    Args:
        vectors: vectors of every tensor that are worked on at once.
    """

    vectors: int = 2

    def __post_init__(self):
        _between(self, vectors=(1, 8))


@dataclass(frozen=True)
class Cpu:
    """The parameters of all families on a CPU."""

    product: Product = field(default_factory=Product)
    column_gradient: ColumnGradient = field(default_factory=ColumnGradient)
    matrix_gradient: MatrixGradient = field(default_factory=MatrixGradient)
    columns: Columns = field(default_factory=Columns)
    norm: Norm = field(default_factory=Norm)
    update: Update = field(default_factory=Update)

    @property
    def key(self) -> str:
        """Text that tells these parameters from all others, for the cache of compiled kernels."""
        return repr(self)


@dataclass(frozen=True)
class Cuda:
    """The parameters of all families on a GPU.

    Args:
        threads: threads that share one column; a power of two.
        block: threads of a block where each works on one element.
        tile: a block computes tile x tile results of a product.
    """

    threads: int = 128
    block: int = 256
    tile: int = 8

    def __post_init__(self):
        _between(self, threads=(32, 1024), block=(32, 1024), tile=(4, 32))
        if self.threads & (self.threads - 1):
            raise ValueError(f"threads is {self.threads}, not a power of two")

    @property
    def key(self) -> str:
        """Text that tells these parameters from all others, for the cache of compiled kernels."""
        return repr(self)


Family = Product | ColumnGradient | MatrixGradient | Columns | Norm | Update | Cuda
FAMILIES: dict[str, type[Family]] = {
    "product": Product,
    "column_gradient": ColumnGradient,
    "matrix_gradient": MatrixGradient,
    "columns": Columns,
    "norm": Norm,
    "update": Update,
    "cuda": Cuda,
}
CPU_FAMILIES = tuple(name for name in FAMILIES if name != "cuda")
_chosen: ContextVar[Cpu | None] = ContextVar("chosen", default=None)
_chosen_cuda: ContextVar[Cuda | None] = ContextVar("chosen_cuda", default=None)


def registers(lanes: int) -> int:
    """How many vector registers, at least, a CPU has whose vectors hold `lanes` floats."""
    return 32 if lanes == 16 else 16


def defaults(lanes: int) -> Cpu:
    """The parameters for a CPU without a record.

    A tile has at most 24 sums on a CPU with 32 vector registers, and at most 12 on a CPU with 16.
    """
    if registers(lanes) == 16:
        return Cpu()
    return Cpu(
        Product(tiles=((8, 3), (4, 6), (2, 8), (1, 8))),
        ColumnGradient(tiles=((4, 4), (1, 8))),
        MatrixGradient(tile=(8, 3), few=8, few_tile=(2, 8)),
    )


def cpu(lanes: int) -> Cpu:
    """The parameters with which kernels are emitted at present."""
    return _chosen.get() or defaults(lanes)


def cuda() -> Cuda:
    """The parameters with which kernels for a GPU are emitted at present."""
    return _chosen_cuda.get() or Cuda()


@contextmanager
def using(parameters: Cpu | Cuda) -> Iterator[None]:
    """Emit kernels with these parameters."""
    if isinstance(parameters, Cuda):
        token = _chosen_cuda.set(parameters)
        try:
            yield
        finally:
            _chosen_cuda.reset(token)
    else:
        token = _chosen.set(parameters)
        try:
            yield
        finally:
            _chosen.reset(token)


def with_family(parameters: Cpu, name: str, family: Family) -> Cpu:
    """The same parameters but for one family."""
    return replace(parameters, **{name: family})


def to_json(family: Family) -> dict:
    """A family's parameters as JSON holds them."""
    return asdict(family)


def from_json(name: str, values: object) -> Family:
    """A family's parameters from what JSON holds.

    Raises:
        ValueError: there is no such family or parameter, or a value is out of range.
    """
    if name not in FAMILIES:
        raise ValueError(f"there is no family {name!r}: they are {', '.join(FAMILIES)}")
    if not isinstance(values, dict):
        raise ValueError(f"the parameters of {name} are {values!r}, not an object")
    unknown = sorted(set(values) - {f.name for f in fields(FAMILIES[name])})
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]!r}")
    return FAMILIES[name](**values)
