"""Copies between layouts, described as nested loops of (extent, stride in the result, stride in the operand)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.record import append, graph_of
from dynet_core.signature import Signature, Step, View
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Rule

from .layouts import of_rank, strides_of

KERNELS.add("clear", Rule(("y",), {"y": lambda: 0.0}))
LOOPS = 4
Loop = tuple[int, int, int]


class TooManyLoops(ShapeError):
    """A copy between layouts that one instruction cannot do."""


def joined(loops: Sequence[Loop]) -> list[Loop]:
    """The same loops, neighbours joined where both strides go on, innermost first."""
    found: list[Loop] = []
    for extent, target, source in loops:
        if extent == 1:
            continue
        if found:
            inner, inner_target, inner_source = found[-1]
            if target == inner * inner_target and source == inner * inner_source:
                found[-1] = (inner * extent, inner_target, inner_source)
                continue
        found.append((extent, target, source))
    return found


def collapsed(loops: Sequence[Loop]) -> list[Loop]:
    """As few loops as possible, filled up to the number that copies take."""
    found = joined(loops)
    if len(found) > LOOPS:
        raise TooManyLoops(f"{len(found)} nested loops are needed, {LOOPS} are possible: {found}")
    return found + [(1, 1, 1)] * (LOOPS - len(found))


def copy_parameters(target: int, source: int, loops: Sequence[Loop], backward: bool = False) -> tuple[int, ...]:
    """The parameters of a copy between two roles; `backward` exchanges the strides."""
    extents, targets, sources = zip(*loops)
    if backward:
        targets, sources = sources, targets
    return (target, source, *extents, *targets, *sources)


def copies(result: Dim, parts: Sequence[tuple[View, View, Sequence[Loop]]], **facts) -> Signature:
    """A node put together of copies, each from one operand's view to a view of the node, with their gradients.

    Where a loop of the result does not move, the values that meet are added.
    """
    views, forward, backward = [], [], []
    for place, (target, source, loops) in enumerate(parts):
        views += [target, source]
        loops = collapsed(loops)
        y, x = 2 * place, 2 * place + 1
        adds = any(extent != 1 and stride == 0 for extent, stride, _ in loops)
        if adds and place == 0:
            forward.append(Step("clear", (result.total,)))
        forward.append(Step("accumulate" if adds else "copy", copy_parameters(2 * y, 2 * x, loops)))
        backward.append(
            Step(
                "accumulate",
                copy_parameters(2 * x + 1, 2 * y + 1, loops, backward=True),
                gradient_of=source.source,
            )
        )
    return Signature(result, operands=len({source.source for _, source, _ in parts}), views=views,
                     forward=forward, backward=backward, **facts)  # fmt: skip


def copy_of(result: Dim, loops: Sequence[Loop], *, index_scale: int | None = None, offset: int = 0) -> Signature:
    """A copy from one operand, optionally from a place that an attribute gives."""
    if index_scale is None:
        return copies(result, [(View(SELF), View(0, offset=offset), loops)])
    source = View(0, offset=offset, index=0, scale=index_scale)
    return copies(result, [(View(SELF), source, loops)], attributes=1)


def around(dim: Dim, d: int) -> tuple[int, int]:
    """How many elements lie before and after dimension d."""
    return math.prod(dim.dims[:d]), math.prod(dim.dims[d + 1 :])


def _repeat_loops(dim: Dim, whole: Dim) -> list[Loop]:
    return list(zip((*whole.dims, whole.batch), strides_of(whole, whole), strides_of(dim, whole)))


@functools.cache
def _repeat_signature(dim: Dim, whole: Dim) -> Signature:
    return copy_of(whole, _repeat_loops(dim, whole))


@functools.cache
def _repeat_steps(dim: Dim, whole: Dim) -> list[Dim]:
    """The shapes on the way to the full one: it alone, or one dimension after another where that is too intricate."""
    if dim.total == whole.total:
        return []
    if len(joined(_repeat_loops(dim, whole))) <= LOOPS:
        return [whole]
    sizes = [*of_rank(dim.dims, len(whole.dims))]
    steps = []
    for d, size in enumerate(whole.dims):
        if sizes[d] != size:
            sizes[d] = size
            steps.append(Dim.of(tuple(sizes), dim.batch))
    return steps if dim.batch == whole.batch else [*steps, whole]


def repeat(x: Expression, whole: Dim) -> Expression:
    """x with its sizes of 1 (and missing dimensions, and a batch of 1) repeated to a full shape.

    Where nothing is to be repeated it is x, which may have other trailing 1s.
    """
    for step in _repeat_steps(x.type.plain, whole):
        x = append(graph_of("broadcast", (x,)), _repeat_signature(x.type.plain, step), [x.at])
    return x
