"""Reductions and other ops along any dimensions; the batch counts as the last one.

Leading dimensions are reduced within each column, others by a strided kernel ("across" columns). The operand is
transposed only if the dimensions are not adjacent and must be reduced in one step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from dynet_core.checks import checked_flag, whole
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, OutOfRangeError
from dynet_core.expression import Expression
from dynet_core.record import append, graph_of
from dynet_core.signature import Signature, Step, View, constant
from dynet_kernels.derivative import gradients
from dynet_kernels.formula import Formula
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Across, Rule

from .copying import copies

Groups = list[tuple[int, bool]]
"""Neighbouring dimensions merged, innermost first: (number of elements, whether they are reduced)."""


def add_across(name: str) -> None:
    """Add strided versions of the rule `name` and of its gradient: the elements of a column are not contiguous."""
    for gradient in ("", ".dx"):
        rule = KERNELS[name + gradient]
        assert isinstance(rule, Rule)
        KERNELS.add(f"{name}.across{gradient}", Across(rule))


def add_reduction(name: str, formula: Callable, gradient: Callable | None = None) -> None:
    """Add the kernels that reduce a column `x` to one number `y`, contiguous and strided.

    Args:
        formula: y, as a function of x and of constants.
        gradient: the gradient of x, if not the derivative of the formula.
    """
    traced = Formula.of(formula)
    constants = traced.names[1:]
    derived = Formula.of(gradient) if gradient else gradients(traced, ["x"], numbers=constants)["x"]
    for suffix, target, one in (("", "y", traced), (".dx", "dx", derived)):
        KERNELS.add(name + suffix, Rule(("y", "x", *constants), {target: one}, numbers=("y",), constants=constants))
    add_across(name)


@functools.cache
def column_signature(
    kernel: str,
    result: Dim,
    before: int,
    size: int,
    after: int,
    reduces: bool = True,
    constants: int = 0,
    op: str = "",
) -> Signature:
    """Return the signature of a kernel on the columns of `size` elements along one dimension.

    Args:
        before: the number of elements before that dimension, which is the stride within a column.
        after: the number of elements behind it.
        reduces: whether the kernel reduces a column to one number.
        constants: the number of constants that the kernel reads.
        op: the name of the op.
    """
    across = before > 1
    name, parameters = (kernel + ".across", (size, before)) if across else (kernel, (size,))
    return Signature(
        result,
        name=op,
        operands=1,
        attributes=constants,
        constants=constants,
        columns=after,
        views=[
            View(SELF, stride=before if reduces else before * size),
            View(0, stride=before * size),
            *map(constant, range(constants)),
        ],
        forward=[Step(name, parameters)],
        backward=[Step(name + ".dx", parameters, gradient_of=0)],
    )


def before_along_after(dim: Dim, d: int) -> tuple[int, int, int]:
    """Return the number of elements before, along and behind dimension d; the batch counts as behind."""
    sizes = (*dim.dims, dim.batch)
    return math.prod(sizes[:d]), sizes[d], math.prod(sizes[d + 1 :])


def without(dim: Dim, axes: Sequence[int]) -> Dim:
    """Return the Dim that is left after reducing `axes`. The batch is the axis after the last dimension."""
    rank = len(dim.dims)
    kept = tuple(size for place, size in enumerate(dim.dims) if place not in axes)
    return Dim.of(kept or (1,), 1 if rank in axes else dim.batch)


def _groups(dim: Dim, axes: Sequence[int]) -> Groups:
    found: Groups = []
    for place, extent in enumerate((*dim.dims, dim.batch)):
        reduced = place in axes
        if extent == 1:
            continue
        if found and found[-1][1] == reduced:
            found[-1] = found[-1][0] * extent, reduced
        else:
            found.append((extent, reduced))
    return found if any(reduced for _, reduced in found) else [*found, (1, True)]


def _extents(groups: Groups) -> list[int]:
    return [extent for extent, _ in groups]


def _around_last(groups: Groups) -> tuple[int, int, int]:
    """Return the number of elements before, in and behind the last reduced group."""
    last = max(place for place, (_, reduced) in enumerate(groups) if reduced)
    extents = _extents(groups)
    return math.prod(extents[:last]), extents[last], math.prod(extents[last + 1 :])


@functools.cache
def _brought_together(before: int, kept: int, size: int, after: int) -> Signature:
    """Return the signature of a copy from the order (before, kept, size, after) to (before, size, kept, after)."""
    loops = [
        (before, 1, 1),
        (size, before, before * kept),
        (kept, before * size, before),
        (after, before * size * kept, before * size * kept),
    ]
    return copies(Dim.of((before * kept * size * after,)), [(View(SELF), View(0), loops)])


def _together(x: Expression, groups: Groups) -> tuple[Expression, Groups]:
    """Transpose x until there is only one reduced group."""
    while sum(reduced for _, reduced in groups) > 1:
        place = next(k for k, (_, reduced) in enumerate(groups) if not reduced and any(r for _, r in groups[k + 1 :]))
        extents = _extents(groups)
        before, after = math.prod(extents[:place]), math.prod(extents[place + 2 :])
        signature = _brought_together(before, extents[place], extents[place + 1], after)
        x = append(graph_of("transpose", (x,)), signature, [x.at])
        (kept, _), (size, _), *rest = groups[place:]
        if place:
            groups = [*groups[: place - 1], (groups[place - 1][0] * size, True)]
        else:
            groups = [(size, True)]
        groups += [(kept * rest[0][0], False), *rest[1:]] if rest else [(kept, False)]
    return x, groups


def reduced(
    name: str,
    kernel: str,
    x: Expression,
    axes: Sequence[int],
    numbers: Sequence[float] = (),
    following: str | None = None,
) -> Expression:
    """Record a reduction of x along `axes`.

    Args:
        kernel: the rule, added by `add_reduction`.
        axes: the dimensions to reduce; the one after the last is the batch.
        numbers: the values of the rule's constants.
        following: a rule without constants that combines the results of `kernel` on parts. None if `kernel` must
            read all elements at once.
    """
    graph, dim = graph_of(name, (x,)), x.type.plain
    result, groups = without(dim, axes), _groups(dim, axes)
    if following is None:
        x, groups = _together(x, groups)
    start = graph.take(numbers)
    places = range(start, start + len(numbers))
    while True:
        before, size, after = _around_last(groups)
        last = sum(reduced for _, reduced in groups) == 1
        dim = result if last else Dim.of((before * after,))
        signature = column_signature(kernel, dim, before, size, after, constants=len(places), op=name)
        x = append(graph, signature, [x.at, *places])
        if last:
            return x
        assert following is not None
        kernel, places = following, range(0)
        place = max(place for place, (_, reduced) in enumerate(groups) if reduced)
        groups = [*groups[:place], *groups[place + 1 :]]


def checked_axes(name: str, d, b, dim: Dim) -> tuple[int, ...]:
    """Return the axes that the arguments d and b of an op ask for; raise if they are not dimensions of `dim`."""
    b = checked_flag(name, "b", b)
    found = []
    for one in d if np.iterable(d) and not isinstance(d, Expression) else (d,):
        found.append(whole(name, "a dimension", one))
    rank = len(dim.dims)
    for one in found:
        if not 0 <= one < rank:
            raise OutOfRangeError(f"{name}: dimension {one} is out of range for x, which is {dim!r}")
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name}: a dimension is named twice in d = {found}")
    if not found and not b:
        raise ArgumentError(f"{name}: no dimension to reduce: d is empty and b is False")
    return (*found, rank) if b else tuple(found)


def along_axes(function: Callable) -> Callable:
    """Turn a numpy function of (x, axes, ...) into the reference of an op with the arguments (x, d, b, ...)."""

    def reference(x, d=(0,), b=False, **attributes):
        axes = (*d, x.ndim - 1) if b else tuple(d)
        kept = [size for place, size in enumerate(x.shape[:-1]) if place not in axes]
        return function(x, axes, **attributes).reshape(*(kept or [1]), 1 if b else x.shape[-1])

    return reference
