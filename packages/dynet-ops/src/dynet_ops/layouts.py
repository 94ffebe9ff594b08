"""How operands of different shapes line up, as views of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.record import common_batch, described
from dynet_core.signature import View


def of_rank(sizes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The same sizes as `rank` dimensions: trailing 1s are added or left out. What is no trailing 1 stays."""
    kept = len(sizes)
    while kept > rank and sizes[kept - 1] == 1:
        kept -= 1
    return sizes[:kept] + (1,) * (rank - kept)


def is_matrix(dim: Dim) -> bool:
    """Whether something is a matrix or less, trailing 1s aside."""
    return len(of_rank(dim.dims, 2)) == 2


# How many dimensions a result has if its operands differ in trailing 1s. DyNet has no rule for all ops: each names its
# own.

Rank = Callable[[Sequence[Dim]], int]


def longest(dims: Sequence[Dim]) -> int:
    """As many as the operand that has most."""
    return max(len(dim.dims) for dim in dims)


def as_first(dims: Sequence[Dim]) -> int:
    """As many as the first operand."""
    return len(dims[0].dims)


def as_last(dims: Sequence[Dim]) -> int:
    """As many as the last operand."""
    return len(dims[-1].dims)


def shortest(dims: Sequence[Dim]) -> int:
    """No trailing 1s, but for a single number, which is (1,)."""
    return 1


def broadcast(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """The shape of an elementwise result: a size of 1 goes with any other, missing dimensions count as 1."""
    most = longest(dims)
    padded = [of_rank(dim.dims, most) for dim in dims]
    sizes = tuple(max(sizes) for sizes in zip(*padded))
    if any(size not in (1, whole) for dim in padded for size, whole in zip(dim, sizes)):
        raise ShapeError(f"{name}: dimensions do not fit: operands are {described(dims)}")
    return Dim.of(of_rank(sizes, rank(dims)), common_batch(name, dims))


def matched(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """The shape of operands whose dimensions are the same but for trailing 1s; a batch of 1 goes with any other."""
    if any(of_rank(dim.dims, 1) != of_rank(dims[0].dims, 1) for dim in dims):
        raise ShapeError(f"{name}: dimensions differ: operands are {described(dims)}")
    return Dim.of(of_rank(dims[0].dims, rank(dims)), common_batch(name, dims))


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
    for size in of_rank(dim.dims, len(whole.dims)):
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
