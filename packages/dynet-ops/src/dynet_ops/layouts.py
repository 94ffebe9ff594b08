"""Broadcasting: the shape of a result, and views by which kernels read operands of different shapes in place.

Strides are in floats from one column's start to the next; 0 along a dimension in which the operand is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ArgumentTypeError, ShapeError
from dynet_core.graph.record import common_batch, described
from dynet_core.signature import View
from dynet_kernels.layout import SELF


def of_rank(sizes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return the sizes with trailing 1s added or dropped until there are `rank`: (2, 3) for (2, 3, 1) and rank 1."""
    kept = len(sizes)
    while kept > rank and sizes[kept - 1] == 1:
        kept -= 1
    return sizes[:kept] + (1,) * (rank - kept)


def is_matrix(dim: Dim) -> bool:
    """Return whether at most two dimensions are left without trailing 1s."""
    return len(of_rank(dim.dims, 2)) == 2


Loop = tuple[int, int, int]  # extent, stride in the result, stride in the operand
# Operands may differ in trailing dimensions of size 1, as (3,) and (3, 1) do. How many of these the result has differs
# from op to op in DyNet, so each op uses one of the functions below.
Rank = Callable[[Sequence[Dim]], int]
"""Returns how many dimensions the result of an op has, from the shapes of the operands."""


def longest(dims: Sequence[Dim]) -> int:
    """As many as the operand that has the most."""
    return max(len(dim.dims) for dim in dims)


def as_first(dims: Sequence[Dim]) -> int:
    """As many as the first operand."""
    return len(dims[0].dims)


def as_last(dims: Sequence[Dim]) -> int:
    """As many as the last operand."""
    return len(dims[-1].dims)


def shortest(dims: Sequence[Dim]) -> int:
    """One: all trailing dimensions of size 1 are dropped, but never the first."""
    return 1


def broadcast(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the shape of an elementwise result: a size of 1 fits any other. Raise ShapeError if others differ."""
    most = longest(dims)
    padded = [of_rank(dim.dims, most) for dim in dims]
    sizes = tuple(max(sizes) for sizes in zip(*padded))
    if any(size not in (1, whole) for dim in padded for size, whole in zip(dim, sizes)):
        raise ShapeError(f"{name}: dimensions do not fit: operands are {described(dims)}")
    return Dim.of(of_rank(sizes, rank(dims)), common_batch(name, dims))


def matched(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the shape of the result of operands that must have equal dimensions; a batch size of 1 fits any other."""
    if any(of_rank(dim.dims, 1) != of_rank(dims[0].dims, 1) for dim in dims):
        raise ShapeError(f"{name}: dimensions differ: operands are {described(dims)}")
    return Dim.of(of_rank(dims[0].dims, rank(dims)), common_batch(name, dims))


def joined(loops: Iterable[Loop]) -> list[Loop]:
    """Return fewer loops that copy the same: merge those that step like one longer loop, and drop extents of 1."""
    longer: list[Loop] = []
    for extent, target, source in loops:
        inner, inner_target, inner_source = longer[-1] if longer else (0, 0, 0)
        if longer and (target, source) == (inner * inner_target, inner * inner_source):
            longer[-1] = (inner * extent, inner_target, inner_source)
        elif extent != 1:
            longer.append((extent, target, source))
    return longer


def batch_stride(dim: Dim) -> int:
    """Return how many floats after a batch element the next one starts: 0 if the only one is repeated."""
    return dim.size if dim.batch > 1 else 0


def column_view(source: int, extents: Sequence[int], strides: Sequence[int]) -> View | None:
    """Return the view of operand `source` whose columns are visited by nested loops, innermost first.

    None if more than two loops, the most that a view can express, are left after merging.
    """
    match joined(zip(extents, strides, strides)):
        case []:
            return View(source)
        case [(_, _, stride)]:
            return View(source, stride=stride)
        case [(period, _, stride), (_, _, outer)]:
            return View(source, stride=stride, period=period, outer=outer)
    return None


def column_views(extents: Sequence[int], strides: Iterable[Sequence[int]]) -> list[View]:
    """Return the `column_view` of each operand; two loops must be enough. `strides` has an entry for each."""
    views = [column_view(operand, extents, one) for operand, one in enumerate(strides)]
    assert None not in views
    return [view for view in views if view]


def by_batch_elements(result: Dim, dims: Sequence[Dim]) -> list[View]:
    """Return the views of a node and its operands if each batch element is a column."""
    return [View(SELF, stride=result.size), *[View(k, stride=batch_stride(dim)) for k, dim in enumerate(dims)]]


def strides_of(dim: Dim, whole: Dim) -> list[int]:
    """Return the strides of `dim` broadcast to `whole`, one for each dimension and the batch; 0 where it repeats."""
    strides, step = [], 1
    for size in of_rank(dim.dims, len(whole.dims)):
        strides.append(step if size > 1 else 0)
        step *= size
    return [*strides, batch_stride(dim)]


def leading_run(whole: Dim, strides: Sequence[Sequence[int]]) -> int:
    """Return how many leading dimensions of `whole` (batch last) are one run of adjacent numbers in every operand."""
    run, step = 0, 1
    for d, extent in enumerate((*whole.dims, whole.batch)):
        if extent > 1 and any(s[d] != step for s in strides):
            break
        step *= extent
        run += 1
    return run


def column_layout(name: str, dims: Sequence[Dim], rank: Rank = longest):
    """Divide operands into columns that a kernel can read in place, although the operands are broadcast.

    Return (index of the operand that has one number per column or None, result's shape, column size, number of columns,
    views). None if a view would need more than two loops, or if no columns can be found for more than two operands.
    """
    whole = broadcast(name, dims, rank)
    strides = [strides_of(dim, whole) for dim in dims]
    extents = (*whole.dims, whole.batch)
    run = leading_run(whole, strides)
    size = math.prod(extents[:run])
    single = None
    if size == 1 and whole.total > 1:
        if len(dims) > 2:
            return None
        # One operand is repeated along the first dimension larger than 1, so nothing is adjacent in both. Divide the
        # other one into columns; the repeated one has one number for each of them.
        first = next(d for d, extent in enumerate(extents) if extent > 1)
        single = next(k for k, s in enumerate(strides) if s[first] == 0)
        run = leading_run(whole, [strides[1 - single]])
        while run and any(strides[single][k] for k in range(run)):
            run -= 1
        size = math.prod(extents[:run])
    views = [View(SELF, stride=size)]
    for operand, operand_strides in enumerate(strides):
        view = column_view(operand, extents[run:], operand_strides[run:])
        if view is None:
            return None
        views.append(view)
    return single, whole, size, math.prod(extents[run:]), views


def lined_up(reference: Callable, rank: Rank | None = None) -> Callable:
    """Make a numpy function broadcast as DyNet does: missing dimensions are added at the end, not at the beginning."""

    def padded(*arrays, **attributes):
        dims = [Dim.of(array.shape) for array in arrays]
        result = reference(*[array.reshape(of_rank(array.shape, longest(dims))) for array in arrays], **attributes)
        if not hasattr(result, "shape"):
            raise ArgumentTypeError(f"the reference returns {result!r:.60}, which is not an array")
        return result if rank is None else result.reshape(of_rank(result.shape, rank(dims)))

    return padded
