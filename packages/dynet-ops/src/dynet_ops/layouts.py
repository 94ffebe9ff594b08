"""How operands of different shapes line up, as views of columns."""

from __future__ import annotations

from collections.abc import Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.record import common_batch, described
from dynet_core.signature import View


def broadcast(name: str, dims: Sequence[Dim]) -> Dim:
    """The shape of an elementwise result: a size of 1 goes with any other, missing dimensions count as 1."""
    rank = max(len(dim.dims) for dim in dims)
    padded = [dim.dims + (1,) * (rank - len(dim.dims)) for dim in dims]
    sizes = tuple(max(sizes) for sizes in zip(*padded))
    if any(size not in (1, whole) for dim in padded for size, whole in zip(dim, sizes)):
        raise ShapeError(f"{name}: dimensions do not fit: operands are {described(dims)}")
    return Dim.of(sizes, common_batch(name, dims))


def column_view(source: int, extents: Sequence[int], strides: Sequence[int]) -> View | None:
    """The view of columns that lie in nested loops, innermost first; None if two loops do not suffice."""
    levels: list[tuple[int, int]] = []
    for extent, stride in zip(extents, strides):
        if extent == 1:
            continue
        if levels and stride == levels[-1][0] * levels[-1][1]:
            levels[-1] = (levels[-1][0] * extent, levels[-1][1])
        else:
            levels.append((extent, stride))
    if not levels:
        return View(source)
    if len(levels) == 1:
        return View(source, stride=levels[0][1])
    if len(levels) == 2:
        (period, stride), (_, outer) = levels
        return View(source, stride=stride, period=period, outer=outer)
    return None


def strides_of(dim: Dim, whole: Dim) -> list[int]:
    """How far apart neighbours stand in each dimension of `whole` and in its batch; 0 where `dim` repeats."""
    strides, step = [], 1
    for size in dim.dims + (1,) * (len(whole.dims) - len(dim.dims)):
        strides.append(step if size > 1 else 0)
        step *= size
    return [*strides, dim.size if dim.batch > 1 else 0]


def leading_run(whole: Dim, strides: Sequence[Sequence[int]]) -> int:
    """How many leading dimensions (the batch counts as the last) every operand runs through without a gap."""
    run, step = 0, 1
    for place, extent in enumerate((*whole.dims, whole.batch)):
        if extent > 1 and any(s[place] != step for s in strides):
            break
        step *= extent
        run += 1
    return run
