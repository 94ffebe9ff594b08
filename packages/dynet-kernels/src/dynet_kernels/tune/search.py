"""Searches for the fastest tuning parameters of a family of kernels: changes one at a time, and keeps what is faster.

A family is a group of kernels with the same tuning parameters, which `tuning.py` describes. A *candidate* is the
family's kernels, compiled with some parameters. A *workload* is a computation that is timed. A *tile* is a block of
results whose sums stay in vector registers; a *panel* is a part of a matrix that is copied to contiguous memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from .. import tuning
from ..cuda.driver import CudaError
from . import timing
from .shapes import ELEMENTWISE, REDUCTIONS, STUDIES, Study
from .timing import Candidate, Timer, Workload

# A candidate replaces the best one so far if, on average, it takes less than GAIN times the time of the best one, and
# for no workload more than LOSS times the time. Smaller gains may be errors of measurement.
GAIN = 0.985
LOSS = 1.05


@dataclass(frozen=True)
class Axis:
    """A tuning parameter that the search changes, or several that it changes together.

    Args:
        name: the name to show to the user.
        variants: `variants(best, registers)` yields the family's parameters to try. `best` has the best parameters so
            far; each result differs from it in what this axis changes. The CPU has `registers` vector registers.
        touches: returns whether the time of a workload can depend on what this axis changes.
    """

    name: str
    variants: Callable[[tuning.Family, int], Iterator[tuning.Family]]
    touches: Callable[[Workload], bool] = lambda workload: True


def _values(name: str, *values: int) -> Callable[[tuning.Family, int], Iterator[tuning.Family]]:
    def variants(family: tuning.Family, registers: int) -> Iterator[tuning.Family]:
        for value in values:
            if value != getattr(family, name):
                yield from _valid(family, **{name: value})

    return variants


def _valid(family: tuning.Family, **changes: object) -> Iterator[tuning.Family]:
    """Yield a copy of `family`, the parameters of a family, with these changes; nothing if a value is not allowed."""
    try:
        yield replace(family, **changes)
    except ValueError:
        return


def register_tiles(registers: int, widths: range) -> list[tuning.Tile]:
    """Return the sizes of tiles, as (columns, vectors of rows), that use at least 5/8 of a CPU's vector registers.

    A tile needs `columns * vectors` registers for its sums, and `vectors` more for the rows that it reads.

    Args:
        registers: how many vector registers the CPU has. A tile must not need more.
        widths: the numbers of columns to try.
    """
    return [
        (width, vectors)
        for width in widths
        for vectors in range(1, 9)
        if registers * 5 // 8 <= width * vectors + vectors <= registers
    ]


def _first_tile(family, registers):
    for tile in register_tiles(registers, range(4, 15)):
        smaller = tuple(other for other in family.tiles[1:] if other[0] < tile[0])
        if tile != family.tiles[0]:
            yield from _valid(family, tiles=(tile, *smaller))


def _middle_tiles(family, registers):
    first, *_, last = family.tiles
    per = registers * 3 // 4
    choices = [tuple(w for w in widths if w < first[0]) for widths in ((), (2,), (4,), (4, 2), (6, 4, 2), (4, 3, 2))]
    for widths in dict.fromkeys(choices):
        tiles = (first, *((w, min(8, per // w)) for w in widths), last)
        if tiles != family.tiles:
            yield from _valid(family, tiles=tiles)


def _last_tile(family, registers):
    for vectors in (4, 6, 8, 12, 16):
        if (1, vectors) != family.tiles[-1]:
            yield from _valid(family, tiles=(*family.tiles[:-1], (1, vectors)))


def _gradient_tile(family, registers):
    for width in (2, 3, 4, 5, 6):
        for columns in (2, 3, 4, 5, 6, 8):
            if registers // 2 <= width * columns + columns + 1 <= registers + 1:
                tiles = ((width, columns), *(tile for tile in family.tiles[1:] if tile[0] < width))
                if tiles != family.tiles:
                    yield from _valid(family, tiles=tiles)


def _few_gradient_tiles(family, registers):
    first, *_, last = family.tiles
    choices = [tuple(w for w in widths if w < first[0]) for widths in ((), (2,), (3, 2))]
    for widths in dict.fromkeys(choices):
        tiles = (first, *((w, min(8, registers * 3 // 5 // w)) for w in widths), last)
        if tiles != family.tiles:
            yield from _valid(family, tiles=tiles)


def _panel_tile(family, registers):
    for tile in register_tiles(registers, range(4, 15)):
        if tile != family.tile:
            yield from _valid(family, tile=tile)


def _matrix_tile(family, registers):
    for tile in register_tiles(registers, range(3, 15)):
        if tile != family.tile:
            yield from _valid(family, tile=tile)


def _few_tile(family, registers):
    for tile in ((1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (4, 4)):
        if tile != family.few_tile and tile[0] * tile[1] < registers:
            yield from _valid(family, few_tile=tile)


def _columns_at_once(family, registers):
    for vectors, chains in ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)):
        if (vectors, chains) != (family.vectors, family.chains):
            yield from _valid(family, vectors=vectors, chains=chains)


def _norm_at_once(family, registers):
    for stretches, vectors in ((1, 2), (1, 4), (1, 8), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2)):
        if (stretches, vectors) != (family.stretches, family.vectors):
            yield from _valid(family, stretches=stretches, vectors=vectors)


def _several(workload: Workload) -> bool:
    return workload.columns > 1


AXES: dict[str, tuple[Axis, ...]] = {
    "product": (
        Axis("tile of many columns", _first_tile, lambda w: w.columns >= 8),
        Axis("tiles of a few columns", _middle_tiles, lambda w: 1 < w.columns and "matrices" not in w.label),
        Axis("tile of one column", _last_tile, lambda w: w.columns == 1),
        Axis("panel", _values("panel", 64, 96, 128, 192, 256, 384), lambda w: w.columns >= 16),
        Axis("columns for a panel", _values("many", 8, 12, 16, 24, 32, 48, 96), lambda w: 8 <= w.columns <= 64),
        Axis("rows for a panel", _values("far", 64, 128, 256, 512), lambda w: 16 <= w.columns),
        Axis("work for a panel", _values("crowded", 1 << 12, 1 << 13, 1 << 14, 1 << 40), lambda w: 16 <= w.columns),
    ),
    "column_gradient": (
        Axis("tile of many columns", _gradient_tile, _several),
        Axis("tiles of a few columns", _few_gradient_tiles, _several),
        Axis("tile of one column", _last_tile, lambda w: w.columns == 1),
        Axis("tile in a panel", _panel_tile, lambda w: w.columns >= 16),
        Axis("columns for a panel", _values("many", 5, 7, 10, 14, 20, 28, 40), lambda w: 8 <= w.columns <= 64),
        Axis("panel", _values("panel", 64, 96, 128, 192, 256), lambda w: w.columns >= 16),
        Axis("block", _values("block", 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 19), _several),
    ),
    "matrix_gradient": (
        Axis("tile of many columns", _matrix_tile, lambda w: w.columns > 8),
        Axis("tile of few columns", _few_tile, lambda w: w.columns <= 2),
        Axis("columns that are few", _values("few", 1, 2, 4, 8, 12), lambda w: w.columns <= 16),
        Axis("panel", _values("panel", 32, 48, 64, 96, 128, 192, 240), lambda w: w.columns >= 32),
    ),
    "columns": (
        Axis("vectors and chains", _columns_at_once),
        Axis("heaviest formula", _values("heaviest", 4, 16, 40), _several),
    ),
    "norm": (Axis("stretches and vectors", _norm_at_once),),
    "update": (Axis("vectors", _values("vectors", 1, 2, 3, 4)),),
    "cuda": (
        Axis("tile", _values("tile", 4, 16, 32), lambda w: w.kernel.startswith("product")),
        Axis("threads", _values("threads", 32, 64, 256, 512, 1024), lambda w: w.kernel in REDUCTIONS),
        Axis("block", _values("block", 64, 128, 512, 1024), lambda w: w.kernel in ELEMENTWISE),
    ),
}


class WrongResult(RuntimeError):
    """Raised if kernels do not compute what numpy does, even with the parameters from which the search starts."""


class Search:
    """A search for the fastest tuning parameters of one family of kernels.

    Args:
        family: a key of AXES.
        timer: the device.
        start: the parameters of the family from which to start.
        study: the kernels and workloads to time; None for the ones in `shapes.STUDIES`.
    """

    def __init__(self, family: str, timer: Timer, start: tuning.Family, study: Study | None = None):
        self.family, self.timer, self.start = family, timer, start
        self.study = study or STUDIES[family]
        self.tried, self.refused = 0, 0

    def _compiled(self, values: tuning.Family) -> Candidate:
        return self.timer.compiled(self.study.kernels, self.family, values)

    def steps(self) -> int:
        """Return about how many candidates `run` will try if it has enough time."""
        return sum(len(list(axis.variants(self.start, self.timer.registers))) for axis in AXES[self.family])

    def run(self, seconds: float, report: Callable[[str], None] = lambda text: None) -> tuple[tuning.Family, bool]:
        """Search for the fastest parameters.

        Args:
            seconds: the time after which the search stops.
            report: is called with a text after each candidate.

        Returns:
            The best parameters, and whether all candidates were tried within the time.

        Raises:
            WrongResult: kernels with the parameters from which the search starts do not compute what numpy does.
        """
        end = time.monotonic() + seconds
        workloads = self.study.workloads()
        values, best = self.start, self._compiled(self.start)
        wrong = [workload.label for workload in workloads if not best.is_right(workload)]
        if wrong:
            raise WrongResult(f"{self.family}: kernels compute something wrong for {', '.join(wrong)}")
        for axis in AXES[self.family]:
            touched = [workload for workload in workloads if axis.touches(workload)]
            for variant in axis.variants(values, self.timer.registers):
                if time.monotonic() > end:
                    return values, False
                faster = self._if_better(best, variant, workloads, touched)
                if faster:
                    values, best = variant, faster
                report(f"{self.family}: {axis.name}")
        return values, True

    def _if_better(self, best: Candidate, variant: tuning.Family, workloads: list, touched: list) -> Candidate | None:
        """Compile and time a variant. Return the candidate if it is right, and faster than the best one, else None."""
        self.tried += 1
        try:
            candidate = self._compiled(variant)
            right = all(candidate.is_right(workload) for workload in workloads)
        except CudaError:  # the compiler or the driver refuses it, for example because a block has too many threads
            right = False
        if not right:
            self.refused += 1
            return None
        mean, _ = timing.ratio(candidate, best, touched)
        if mean >= GAIN:
            return None
        mean, _ = timing.ratio(candidate, best, touched, 21)  # confirm the gain by a longer measurement
        _, largest = timing.ratio(candidate, best, workloads, 15)
        return candidate if mean < GAIN and largest <= LOSS else None

    def figures(self, values: tuning.Family) -> dict[str, float]:
        """Return for each workload, by its label: its speed with `values`, divided by that with default parameters.

        Speed is work per second; see `Workload`.
        """
        pair = [self._compiled(self.timer.default(self.family)), self._compiled(values)]
        found = timing.speeds(pair, self.study.workloads())
        return {label: round(tuned / default, 2) for label, (default, tuned) in found.items()}
