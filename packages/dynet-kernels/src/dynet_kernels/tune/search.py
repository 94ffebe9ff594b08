"""Searches for the fastest tuning parameters of a family: changes one axis at a time, and keeps faster values.

An *axis* is a tuning parameter, or several that are changed together. The values to try on an axis are given, or
returned by a function of `best`, the best parameters so far, and `register_count`, the number of vector registers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .. import tuning
from ..cuda.driver import CudaError
from . import timing
from .shapes import ELEMENTWISE, REDUCTIONS, STUDIES, Study
from .timing import Candidate, Timer, Workload

Tiles = tuple[tuning.Tile, ...]


@dataclass(frozen=True)
class Axis:
    """One or more tuning parameters, named by `changed`, that the search changes together.

    `values` are the values to try (tuples for several parameters), or a function that returns them. affects(workload)
    says whether the time of a workload can depend on them.
    """

    name: str
    changed: str | tuple[str, ...]
    values: Iterable[Any] | Callable[[Any, int], Iterable[Any]]
    affects: Callable[[Workload], bool] = lambda workload: True

    def variants(self, best: tuning.Parameters, register_count: int) -> Iterator[tuning.Parameters]:
        """Yield the parameters to try, which differ from `best` along this axis. Skip invalid parameters."""
        for value in dict.fromkeys(self.values(best, register_count) if callable(self.values) else self.values):
            changes = {self.changed: value} if isinstance(self.changed, str) else dict(zip(self.changed, value))
            try:
                variant = replace(best, **changes)
            except ValueError:
                continue
            if variant != best:
                yield variant


def _register_tiles(widths: range) -> Callable[[Any, int], list[tuning.Tile]]:
    """Return a function that returns tiles, (columns, vectors of rows), that use at least 5/8 of the vector registers.

    A tile needs columns * vectors registers for sums, and `vectors` more for rows. `widths` are the columns to try.
    """
    return lambda best, register_count: [
        (width, vectors)
        for width in widths
        for vectors in range(1, 9)
        if register_count * 5 // 8 <= width * vectors + vectors <= register_count
    ]


def _gradient_tiles(best: Any, register_count: int) -> list[tuning.Tile]:
    """Return tiles for `column_gradient`, (columns of dy, columns of W), that use at least half of the registers."""
    return [
        (width, columns)
        for width in range(2, 7)
        for columns in (2, 3, 4, 5, 6, 8)
        if register_count // 2 <= (width + 1) * columns + 1 <= register_count + 1
    ]


def _first_tiles(choices: Callable[[Any, int], list[tuning.Tile]]) -> Callable[[Any, int], list[Tiles]]:
    """Return a function that returns values for `tiles`: first a tile from `choices`, then narrower tiles of `best`."""
    return lambda best, registers: [
        (tile, *(narrower for narrower in best.tiles[1:] if narrower[0] < tile[0])) for tile in choices(best, registers)
    ]


def _mid_tiles(divisor: int, *choices: tuple[int, ...]) -> Callable[[Any, int], list[Tiles]]:
    """Return a function that returns values for `tiles`: new tiles between the first and the last tile of `best`.

    Args:
        divisor: the sums of a new tile take about 3 / `divisor` of the registers.
        choices: lists of widths of the new tiles. A width that is not less than that of the first tile is left out.
    """

    def tiles(best: Any, register_count: int) -> list[Tiles]:
        first, *_, last = best.tiles
        allowed = [[width for width in widths if width < first[0]] for widths in choices]
        return [(first, *((w, min(8, register_count * 3 // divisor // w)) for w in widths), last) for widths in allowed]

    return tiles


def _last_tiles(best: Any, register_count: int) -> list[Tiles]:
    return [(*best.tiles[:-1], (1, vectors)) for vectors in (4, 6, 8, 12, 16)]


def _few_column_tiles(best: Any, register_count: int) -> list[tuning.Tile]:
    tiles = [(1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (4, 4)]
    return [tile for tile in tiles if tile[0] * tile[1] < register_count]


def _has_columns(least: int, most: int = 1 << 62) -> Callable[[Workload], bool]:
    return lambda workload: least <= workload.columns <= most


_SEVERAL_COLUMNS, _MANY_COLUMNS = _has_columns(2), _has_columns(16)
_STRETCHES_AND_VECTORS = [(s, v) for s in (1, 2, 4) for v in (1, 2, 4, 8) if 2 <= s * v <= 8]
_MID_WIDTHS = ((), (2,), (4,), (4, 2), (6, 4, 2), (4, 3, 2))

# Family -> axes, in the order in which the search changes them.
AXES: dict[str, tuple[Axis, ...]] = {
    "product": (
        Axis("tile of many columns", "tiles", _first_tiles(_register_tiles(range(4, 15))), _has_columns(8)),
        Axis(
            "tiles of a few columns",
            "tiles",
            _mid_tiles(4, *_MID_WIDTHS),
            lambda w: _SEVERAL_COLUMNS(w) and "matrices" not in w.label,
        ),
        Axis("tile of one column", "tiles", _last_tiles, _has_columns(1, 1)),
        Axis("panel", "panel", (64, 96, 128, 192, 256, 384), _MANY_COLUMNS),
        Axis("columns for a panel", "many", (8, 12, 16, 24, 32, 48, 96), _has_columns(8, 64)),
        Axis("rows for a panel", "far", (64, 128, 256, 512), _MANY_COLUMNS),
        Axis("work for a panel", "crowded", (1 << 12, 1 << 13, 1 << 14, 1 << 40), _MANY_COLUMNS),
    ),
    "column_gradient": (
        Axis("tile of many columns", "tiles", _first_tiles(_gradient_tiles), _SEVERAL_COLUMNS),
        Axis("tiles of a few columns", "tiles", _mid_tiles(5, (), (2,), (3, 2)), _SEVERAL_COLUMNS),
        Axis("tile of one column", "tiles", _last_tiles, _has_columns(1, 1)),
        Axis("tile in a panel", "tile", _register_tiles(range(4, 15)), _MANY_COLUMNS),
        Axis("columns for a panel", "many", (5, 7, 10, 14, 20, 28, 40), _has_columns(8, 64)),
        Axis("panel", "panel", (64, 96, 128, 192, 256), _MANY_COLUMNS),
        Axis("block", "block", [1 << k for k in range(14, 20)], _SEVERAL_COLUMNS),
    ),
    "matrix_gradient": (
        Axis("tile of many columns", "tile", _register_tiles(range(3, 15)), _has_columns(9)),
        Axis("tile of few columns", "few_tile", _few_column_tiles, _has_columns(0, 2)),
        Axis("columns that are few", "few", (1, 2, 4, 8, 12), _has_columns(0, 16)),
        Axis("panel", "panel", (32, 48, 64, 96, 128, 192, 240), _has_columns(32)),
    ),
    "columns": (
        Axis("vectors and chains", ("vectors", "chains"), [(v, c) for v in (1, 2, 4) for c in (1, 2, 4) if c <= v]),
        Axis("heaviest formula", "heaviest", (4, 16, 40), _SEVERAL_COLUMNS),
    ),
    "norm": (Axis("stretches and vectors", ("stretches", "vectors"), _STRETCHES_AND_VECTORS),),
    "update": (Axis("vectors", "vectors", (1, 2, 3, 4)),),
    "cuda": (
        Axis("tile", "tile", (4, 16, 32), lambda w: w.kernel.startswith("product")),
        Axis("threads", "threads", (32, 64, 256, 512, 1024), lambda w: w.kernel in REDUCTIONS),
        Axis("block", "block", (64, 128, 512, 1024), lambda w: w.kernel in ELEMENTWISE),
    ),
}


# A candidate replaces the best one if its time is less than MEAN_RATIO times the best time on average, and at most
# LARGEST_RATIO times the best time for each workload. Smaller gains may be measurement errors.
MEAN_RATIO = 0.985
LARGEST_RATIO = 1.05


class WrongResult(RuntimeError):
    """Raised if kernels with the initial parameters do not compute the same results as numpy."""


class Search:
    """A search for the fastest tuning parameters of one family of kernels.

    Args:
        family: the name of the family.
        timer: compiles and times kernels on a device.
        start: the initial parameters.
        study: the kernels and workloads to time. None: those that `shapes.STUDIES` has for the family.
    """

    def __init__(self, family: str, timer: Timer, start: tuning.Parameters, study: Study | None = None):
        self.family, self.timer, self.start = family, timer, start
        self.study = study or STUDIES[family]
        self.try_count = self.refused_count = 0

    def _compiled(self, values: tuning.Parameters) -> Candidate:
        return self.timer.compiled(self.study.kernels, self.family, values)

    def candidate_count(self) -> int:
        """Return the approximate number of candidates that `run` will try if it has enough time."""
        return sum(len(list(axis.variants(self.start, self.timer.register_count))) for axis in AXES[self.family])

    def run(self, seconds: float, report: Callable[[str], None] = lambda text: None) -> tuple[tuning.Parameters, bool]:
        """Search for at most `seconds`. Return the best parameters, and whether all candidates were tried.

        Call report(text) after each candidate. Raise WrongResult if kernels with the initial parameters are wrong.
        """
        end = time.monotonic() + seconds
        workloads = self.study.workloads()
        values, best = self.start, self._compiled(self.start)
        wrong_labels = [workload.label for workload in workloads if not best.is_right(workload)]
        if wrong_labels:
            raise WrongResult(f"{self.family}: kernels compute something wrong for {', '.join(wrong_labels)}")
        for axis in AXES[self.family]:
            affected_workloads = [workload for workload in workloads if axis.affects(workload)]
            for variant in axis.variants(values, self.timer.register_count):
                if time.monotonic() > end:
                    return values, False
                if faster := self._better_candidate(best, variant, workloads, affected_workloads):
                    values, best = variant, faster
                report(f"{self.family}: {axis.name}")
        return values, True

    def _better_candidate(
        self, best: Candidate, variant: tuning.Parameters, workloads: list, affected_workloads: list
    ) -> Candidate | None:
        """Compile and time a variant. Return its candidate if it is correct and faster than the best one, else None."""
        self.try_count += 1
        try:
            candidate = self._compiled(variant)
            is_right = all(candidate.is_right(workload) for workload in workloads)
        except CudaError:  # the compiler or driver refuses the kernels, for example for having too many threads
            is_right = False
        if not is_right:
            self.refused_count += 1
            return None
        mean, _ = timing.time_ratio(candidate, best, affected_workloads)
        if mean >= MEAN_RATIO:
            return None
        mean, _ = timing.time_ratio(candidate, best, affected_workloads, 21)  # confirm the gain by a longer measurement
        _, largest = timing.time_ratio(candidate, best, workloads, 15)  # check that no workload becomes much slower
        return candidate if mean < MEAN_RATIO and largest <= LARGEST_RATIO else None

    def speedups(self, values: tuning.Parameters) -> dict[str, float]:
        """Return a dict label of a workload -> speedup of `values` over the default parameters."""
        pair = [self._compiled(values), self._compiled(self.timer.default_parameters(self.family))]
        *_, least_seconds = timing.least_times(pair, self.study.workloads(), 15)
        return {label: round(default / tuned, 2) for label, (tuned, default) in least_seconds.items()}
