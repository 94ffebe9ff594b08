"""Broadcasting: the shape of a result, and views by which kernels read operands of different shapes without copies.

A stride is the distance from one column or element to the next, in floats; 0 if the operand is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dynet_core.dim import Dim
from dynet_core.errors import ArgumentTypeError, ShapeError
from dynet_core.graph.record import common_batch, described
from dynet_core.signature import View
from dynet_kernels.layout import SELF


def of_rank(sizes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return `rank` sizes by adding or dropping trailing 1s; more if others remain: (2, 3) for (2, 3, 1) and rank 1."""
    kept_count = len(sizes)
    while kept_count > rank and sizes[kept_count - 1] == 1:
        kept_count -= 1
    return sizes[:kept_count] + (1,) * (rank - kept_count)


def with_rank(array: np.ndarray, rank: int) -> np.ndarray:
    """Return an array whose shape has trailing 1s added or dropped, as by `of_rank`."""
    return array.reshape(of_rank(array.shape, rank))


def sizes_and_batch(dim: Dim) -> tuple[int, ...]:
    return (*dim.dims, dim.batch)


def is_matrix(dim: Dim) -> bool:
    """Return whether there are at most two dimensions, not counting trailing 1s."""
    return len(of_rank(dim.dims, 2)) == 2


Loop = tuple[int, int, int]  # (extent: how many iterations; stride in the result; stride in the operand)
Rank = Callable[[Sequence[Dim]], int]
"""Returns the number of dimensions of an op's result, from the operands' shapes.

Operands may differ in trailing dimensions of size 1, as (3,) and (3, 1) do. Each op of DyNet has a rule for how many of
these the result has: one of the functions below.
"""


def longest(dims: Sequence[Dim]) -> int:
    """Return the number of dimensions of the operand that has the most."""
    return max(len(dim.dims) for dim in dims)


def as_first(dims: Sequence[Dim]) -> int:
    """Return the number of dimensions of the first operand."""
    return len(dims[0].dims)


def as_last(dims: Sequence[Dim]) -> int:
    """Return the number of dimensions of the last operand."""
    return len(dims[-1].dims)


def shortest(dims: Sequence[Dim]) -> int:
    """Return 1, so that `of_rank` drops all trailing dimensions of size 1, except the first dimension."""
    return 1


def broadcast(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the shape of an elementwise result. A size of 1 fits any size; if other sizes differ, raise ShapeError."""
    most_dims = longest(dims)
    padded = [of_rank(dim.dims, most_dims) for dim in dims]
    sizes = tuple(max(sizes) for sizes in zip(*padded))
    if any(size not in (1, whole) for dim in padded for size, whole in zip(dim, sizes)):
        raise ShapeError(f"{name}: dimensions do not fit: operands are {described(dims)}")
    return Dim.of(of_rank(sizes, rank(dims)), common_batch(name, dims))


def matched(name: str, dims: Sequence[Dim], rank: Rank = longest) -> Dim:
    """Return the result's shape for operands that must have equal dimensions; a batch size of 1 fits any other."""
    if any(of_rank(dim.dims, 1) != of_rank(dims[0].dims, 1) for dim in dims):
        raise ShapeError(f"{name}: dimensions differ: operands are {described(dims)}")
    return Dim.of(of_rank(dims[0].dims, rank(dims)), common_batch(name, dims))


def merge_loops(loops: Iterable[Loop]) -> list[Loop]:
    """Return fewer loops with the same effect: merge those that step like one longer loop, drop those of extent 1."""
    merged: list[Loop] = []
    for extent, target, source in loops:
        inner, inner_target, inner_source = merged[-1] if merged else (0, 0, 0)
        if merged and (target, source) == (inner * inner_target, inner * inner_source):
            merged[-1] = (inner * extent, inner_target, inner_source)
        elif extent != 1:
            merged.append((extent, target, source))
    return merged


def batch_stride(dim: Dim) -> int:
    """Return the stride from one batch element to the next; 0 if the only batch element is repeated."""
    return dim.size if dim.batch > 1 else 0


def column_view(operand: int, extents: Sequence[int], strides: Sequence[int]) -> View | None:
    """Return a view with a column for each step of nested loops, innermost first; None if views cannot express them."""
    match merge_loops(zip(extents, strides, strides)):
        case []:
            return View(operand)
        case [(_, _, stride)]:
            return View(operand, stride=stride)
        case [(period, _, stride), (_, _, outer)]:
            return View(operand, stride=stride, period=period, outer=outer)
    return None


def column_views(extents: Sequence[int], strides: Iterable[Sequence[int]]) -> list[View]:
    """Return each operand's `column_view`; none may be None. `strides` has the strides of each operand's loops."""
    views = [column_view(operand, extents, operand_strides) for operand, operand_strides in enumerate(strides)]
    assert None not in views
    return [view for view in views if view]


def by_batch_elements(result: Dim, dims: Sequence[Dim]) -> list[View]:
    """Return the views of a node and its operands if each batch element is a column."""
    return [View(SELF, stride=result.size), *[View(k, stride=batch_stride(dim)) for k, dim in enumerate(dims)]]


def strides_of(dim: Dim, result: Dim) -> list[int]:
    """Return the strides of `dim` broadcast to `result`, for each dimension and the batch; 0 where it is repeated."""
    strides, step = [], 1
    for size in of_rank(dim.dims, len(result.dims)):
        strides.append(step if size > 1 else 0)
        step *= size
    return [*strides, batch_stride(dim)]


def contiguous_dim_count(result: Dim, strides: Sequence[Sequence[int]]) -> int:
    """Return how many leading dimensions of `result` (batch last) together are contiguous in every operand."""
    dimension_count, step = 0, 1
    for d, extent in enumerate(sizes_and_batch(result)):
        if extent > 1 and any(s[d] != step for s in strides):
            break
        step *= extent
        dimension_count += 1
    return dimension_count


def column_layout(name: str, dims: Sequence[Dim], rank: Rank = longest):
    """Divide broadcast operands into columns that a kernel can read without copying the operands.

    Return (index of the operand that has one number per column, or None; the result's shape; column size; number of
    columns; views). Return None if a view would need more than two loops, or if three or more operands have no
    contiguous dimensions in common.
    """
    whole = broadcast(name, dims, rank)
    strides = [strides_of(dim, whole) for dim in dims]
    extents = sizes_and_batch(whole)
    leading_dims = contiguous_dim_count(whole, strides)
    size = math.prod(extents[:leading_dims])
    scalar_operand = None
    if size == 1 and whole.total > 1:
        if len(dims) > 2:
            return None
        # One operand is repeated along the first dimension larger than 1, so no elements are adjacent in both. Divide
        # the other operand into columns; the repeated operand has one number for each column.
        first = next(d for d, extent in enumerate(extents) if extent > 1)
        scalar_operand = next(k for k, s in enumerate(strides) if s[first] == 0)
        leading_dims = contiguous_dim_count(whole, [strides[1 - scalar_operand]])
        while any(strides[scalar_operand][:leading_dims]):
            leading_dims -= 1
        size = math.prod(extents[:leading_dims])
    views = [View(SELF, stride=size)]
    for operand, operand_strides in enumerate(strides):
        view = column_view(operand, extents[leading_dims:], operand_strides[leading_dims:])
        if view is None:
            return None
        views.append(view)
    return scalar_operand, whole, size, math.prod(extents[leading_dims:]), views


def broadcasting(reference: Callable, rank: Rank | None = None) -> Callable:
    """Return a numpy function that broadcasts as DyNet does: missing dimensions are added at the end, not in front."""

    def padded_reference(*arrays, **attributes):
        dims = [Dim.of(array.shape) for array in arrays]
        result = reference(*[with_rank(array, longest(dims)) for array in arrays], **attributes)
        if not hasattr(result, "shape"):
            raise ArgumentTypeError(f"the reference returns {result!r:.60}, which is not an array")
        return result if rank is None else with_rank(result, rank(dims))

    return padded_reference
