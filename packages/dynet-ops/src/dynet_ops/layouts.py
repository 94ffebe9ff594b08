"""Broadcasting: the shape of a result, and the views that line operands up in columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.record import common_batch, described
from dynet_core.signature import View
from dynet_kernels.layout import SELF


def of_rank(sizes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Add or drop trailing 1s until there are `rank` sizes. Other sizes are never dropped."""
    kept = len(sizes)
    while kept > rank and sizes[kept - 1] == 1:
        kept -= 1
    return sizes[:kept] + (1,) * (rank - kept)


def is_matrix(dim: Dim) -> bool:
    """Whether there are at most two dimensions, not counting trailing 1s."""
    return len(of_rank(dim.dims, 2)) == 2


Rank = Callable[[Sequence[Dim]], int]
"""Returns the number of dimensions of a result, from the Dims of its operands.

Operands may differ in trailing 1s. DyNet has no common rule for the rank of the result, so each op names one.
"""


def longest(dims: Sequence[Dim]) -> int:
    """The rank of the operand with the most dimensions."""
    return max(len(dim.dims) for dim in dims)


def as_first(dims: Sequence[Dim]) -> int:
    """The rank of the first operand."""
    return len(dims[0].dims)


def as_last(dims: Sequence[Dim]) -> int:
    """The rank of the last operand."""
    return len(dims[-1].dims)


def shortest(dims: Sequence[Dim]) -> int:
    """Rank 1: the result drops all trailing 1s. A single number is (1,)."""
    return 1


def broadcast(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the shape of an elementwise result. A size of 1 fits any other; missing dimensions count as 1."""
    most = longest(dims)
    padded = [of_rank(dim.dims, most) for dim in dims]
    sizes = tuple(max(sizes) for sizes in zip(*padded))
    if any(size not in (1, whole) for dim in padded for size, whole in zip(dim, sizes)):
        raise ShapeError(f"{name}: dimensions do not fit: operands are {described(dims)}")
    return Dim.of(of_rank(sizes, rank(dims)), common_batch(name, dims))


def matched(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the common shape of operands. Only trailing 1s may differ, and a batch of 1 fits any other."""
    if any(of_rank(dim.dims, 1) != of_rank(dims[0].dims, 1) for dim in dims):
        raise ShapeError(f"{name}: dimensions differ: operands are {described(dims)}")
    return Dim.of(of_rank(dims[0].dims, rank(dims)), common_batch(name, dims))


def column_view(source: int, extents: Sequence[int], strides: Sequence[int]) -> View | None:
    """Return the view of columns that nested loops visit, innermost loop first; None if there are more than two."""
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
    """Return the stride of `dim` in each dimension of `whole` and in its batch; 0 where `dim` is repeated."""
    strides, step = [], 1
    for size in of_rank(dim.dims, len(whole.dims)):
        strides.append(step if size > 1 else 0)
        step *= size
    return [*strides, dim.size if dim.batch > 1 else 0]


def leading_run(whole: Dim, strides: Sequence[Sequence[int]]) -> int:
    """Return how many leading dimensions are contiguous in every operand. The batch is the last dimension."""
    run, step = 0, 1
    for place, extent in enumerate((*whole.dims, whole.batch)):
        if extent > 1 and any(s[place] != step for s in strides):
            break
        step *= extent
        run += 1
    return run


def column_layout(name: str, dims: Sequence[Dim], rank: Rank = longest):
    """Divide broadcast operands into columns.

    Returns:
        (function from operand names to the kernel suffix, Dim of the result, column size, number of columns, views);
        None if a view would need more than two nested loops.
    """
    whole = broadcast(name, dims, rank)
    strides = [strides_of(dim, whole) for dim in dims]
    extents = (*whole.dims, whole.batch)
    run = leading_run(whole, strides)
    size = math.prod(extents[:run])
    number = None
    if size == 1 and whole.total > 1:
        # One operand repeats along the first dimension: it has one number per column.
        still = [k for k, s in enumerate(strides) if s[_first_moving(extents)] == 0]
        number, moving = still[0], 1 - still[0]
        run = leading_run(whole, [strides[moving]])
        while run and any(strides[number][k] for k in range(run)):
            run -= 1
        size = math.prod(extents[:run])
    views = [View(SELF, stride=size)]
    for place, operand_strides in enumerate(strides):
        view = column_view(place, extents[run:], operand_strides[run:])
        if view is None:
            return None
        views.append(view)
    columns = math.prod(extents[run:])

    def kernel(operands):
        return "" if number is None else f".{operands[number]}_number"

    return kernel, whole, size, columns, views


def _first_moving(extents: Sequence[int]) -> int:
    return next(place for place, extent in enumerate(extents) if extent > 1)


def lined_up(reference: Callable, rank: Rank | None = None) -> Callable:
    """Return a numpy function that broadcasts as DyNet does: missing dimensions are trailing sizes of 1.

    Args:
        rank: returns the number of dimensions of the result; None leaves the result as numpy makes it.
    """

    def padded(*arrays, **attributes):
        dims = [Dim.of(array.shape) for array in arrays]
        result = reference(*[array.reshape(of_rank(array.shape, longest(dims))) for array in arrays], **attributes)
        return result if rank is None else result.reshape(of_rank(result.shape, rank(dims)))

    return padded
