"""Signatures of nodes that copy elements of their operands, such as transposes, broadcasts and slices.

A copy is described by nested loops, innermost first: (iterations, stride in the result, stride in the operand).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import node
from dynet_core.signature import Signature, Step, View
from dynet_core.signature.by_sizes import by_sizes
from dynet_kernels.layout import EACH, EACH_OPERAND, NO_INDEX, SELF

from .layouts import Loop, merge_loops, of_rank, sizes_and_batch, strides_of

MAX_LOOPS = 4  # how many nested loops the copy kernel has


class TooManyLoops(ShapeError):
    """A copy needs more than `MAX_LOOPS` nested loops."""


def collapsed(loops: Sequence[Loop]) -> list[Loop]:
    """Return merged loops, and loops of one iteration up to `MAX_LOOPS`. Raise TooManyLoops if there are more."""
    merged = merge_loops(loops)
    if len(merged) > MAX_LOOPS:
        raise TooManyLoops(f"{len(merged)} nested loops are needed, {MAX_LOOPS} are possible: {merged}")
    return merged + [(1, 1, 1)] * (MAX_LOOPS - len(merged))


def copy_parameters(target: int, source: int, loops: Sequence[Loop], backward: bool = False) -> tuple[int, ...]:
    """Return the parameters of the kernels `copy`, which overwrites its target, and `accumulate`, which adds to it.

    `target` and `source` are the roles of the memory to write and read: 2 k for the values of view k, 2 k + 1 for its
    gradients. `backward` swaps each loop's strides, for a kernel that adds the result's gradient to the operand's.
    """
    extents, target_strides, source_strides = zip(*loops)
    if backward:
        target_strides, source_strides = source_strides, target_strides
    return (target, source, *extents, *target_strides, *source_strides)


def copies(result: Dim, transfers: Sequence[tuple[View, View, Sequence[Loop]]], **facts) -> Signature:
    """Return the signature of a node that makes a copy for each (view to write, view to read, loops) in `transfers`.

    If a loop has stride 0 in the result, the elements that it reads are summed. `facts` are other `Signature` fields.
    """
    views, forward, backward = [], [], []
    for index, (target, source, loops) in enumerate(transfers):
        views += [target, source]
        loops = collapsed(loops)
        y, x = 4 * index, 4 * index + 2  # the roles of the values of the two views
        adds = any(extent != 1 and stride == 0 for extent, stride, _ in loops)
        if adds and index == 0:  # clear the whole result once, before the first copy adds to it
            forward.append(Step("clear", (result.total,)))
        forward.append(Step("accumulate" if adds else "copy", copy_parameters(y, x, loops)))
        operand = EACH_OPERAND if source.source == EACH else source.source
        backward.append(Step("accumulate", copy_parameters(x + 1, y + 1, loops, backward=True), operand))
    return Signature(result, views=views, forward=forward, backward=backward, **facts)


def copies_by_index(
    result: Dim, count: int, distance: int, loops: Sequence[Loop], *, scale: int, stride: int = 0
) -> Signature:
    """Return the signature of a node that makes a copy for each of its `count` indices.

    In the result, copies start `distance` floats apart. Copy k reads the operand from float k * stride + i * scale on,
    where i is the copy's index.
    """
    source = View(0, stride=stride, index=0, index_step=1, scale=scale)
    return copies(result, [(View(SELF, stride=distance), source, loops)], columns=count)


def for_each_index(name: str, x: Expression, count: int) -> Expression:
    """Return x, repeated if it has no batch, so that each of `count` indices has a batch element."""
    dim = x.type.plain
    if dim.batch not in (1, count):
        raise ShapeError(f"{name}: {count} indices for a batch of {dim.batch}")
    return repeat(x, Dim.of(dim.dims, count))


def copy_of(result: Dim, loops: Sequence[Loop], *, index_scale: int | None = None, offset: int = 0) -> Signature:
    """Return the signature of a node that copies some or all elements of its only operand.

    Args:
        result: the shape of the node's value.
        loops: the elements to copy, as nested loops; see `Loop`.
        index_scale: None, or a number of floats if each node stores an index i.
        offset: the float of the operand from which a node reads on; with an index, it is offset + i * index_scale.
    """
    source = View(0, offset=offset, index=NO_INDEX if index_scale is None else 0, scale=index_scale or 0)
    return copies(result, [(View(SELF), source, loops)])


def sizes_before_and_after(dim: Dim, d: int) -> tuple[int, int]:
    """Return the products of the sizes before and after dimension d, without the batch."""
    return math.prod(dim.dims[:d]), math.prod(dim.dims[d + 1 :])


def repeat_loops(dim: Dim, whole: Dim) -> list[Loop]:
    """Return the loops of a copy that broadcasts the shape `dim` to `whole`."""
    return list(zip(sizes_and_batch(whole), strides_of(whole, whole), strides_of(dim, whole)))


@by_sizes
def _repeat_signature(dim: Dim, result: Dim) -> Signature:
    return copy_of(result, repeat_loops(dim, result))


@functools.cache
def _repeat_shapes(dim: Dim, result: Dim) -> list[Dim]:
    """Return the shapes that `repeat` makes in turn: none, only `result`, or for too many loops, one per dimension."""
    if dim.total == result.total:
        return []
    if len(merge_loops(repeat_loops(dim, result))) <= MAX_LOOPS:
        return [result]
    sizes, shapes = [*of_rank(dim.dims, len(result.dims))], []
    for d, size in enumerate(result.dims):
        if sizes[d] != size:
            sizes[d] = size
            shapes.append(Dim.of(tuple(sizes), dim.batch))
    return shapes if dim.batch == result.batch else [*shapes, result]


def repeat(x: Expression, whole: Dim) -> Expression:
    """Broadcast x to the shape `whole` by copying it.

    If nothing needs to be repeated, return x itself. Its shape may differ in trailing dimensions of size 1.
    """
    for shape in _repeat_shapes(x.type.plain, whole):
        x = node("broadcast", _repeat_signature(x.type.plain, shape), (x,))
    return x
