"""Reduce an expression (by a sum, maximum, ...) along any of its dimensions and along the batch.

An axis is the number of a dimension; the axis after the last dimension is the batch. Kernels with ".across" in their
names are strided: they reduce a dimension other than the first. The operand is transposed only if the dimensions to
reduce are not adjacent and an op such as `std_dim` cannot reduce one after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynet_core.annotations import Dims, Index
from dynet_core.checks import checked_flag, whole
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, OutOfRangeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of, node
from dynet_core.op import Function, Sample, register, samples
from dynet_core.signature import Signature, View, computed, number_views
from dynet_core.signature.by_sizes import by_sizes
from dynet_kernels.families.rules import InterleavedRule, Rule
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from .copying import copies
from .kinds import COLUMNWISE
from .layouts import sizes_and_batch
from .operands import checked_count, shape_along, shape_of

AxisRuns = list[tuple[int, bool]]
"""Runs of adjacent axes, innermost first: (product of sizes, whether all axes of the run are reduced, or else none).

Axes of size 1 are left out. If no axis to reduce remains, a run (1, True) is added.
"""


def add_strided_kernels(name: str) -> None:
    """Add the strided kernels `name.across` and `name.across.dx` of the rules `name` and `name.dx`."""
    for gradient in ("", ".dx"):
        rule = KERNELS[name + gradient]
        assert isinstance(rule, Rule)
        KERNELS.add(f"{name}.across{gradient}", InterleavedRule(rule))


@by_sizes
def column_signature(
    kernel: str, result: Dim, size_before: int, size: int, size_after: int, number_count: int = 0, op: str = ""
) -> Signature:
    """Return the signature of a node that runs a kernel along a dimension of `size` elements, as in softmax or a sum.

    `size_before`, `size_after`: see `before_along_after`. `result` has all the operand's sizes, or lacks the dimension.
    If `size_before` exceeds 1, the strided kernel `kernel.across` runs. Each kernel reads `number_count` plain numbers.
    """
    name, parameters = (kernel + ".across", (size, size_before)) if size_before > 1 else (kernel, (size,))
    own_view = View(SELF, stride=result.total // (size_after or 1))  # `size_after` is 0 if a size is 0
    views = [own_view, View(0, stride=size_before * size), *number_views(number_count)]
    return computed(name, result, parameters, views, size_after, names="yx", name=op)


def before_along_after(dim: Dim, d: int) -> tuple[int, int, int]:
    """Return (product of sizes before d, size of d, product after d, with the batch): (2, 3, 20) for 2x3x4*5, d = 1."""
    sizes = sizes_and_batch(dim)
    return math.prod(sizes[:d]), sizes[d], math.prod(sizes[d + 1 :])


def without_axes(dim: Dim, axes: Sequence[int]) -> Dim:
    """Return the shape without `axes`. If the batch is among them, the batch size becomes 1."""
    kept_sizes = tuple(size for d, size in enumerate(dim.dims) if d not in axes)
    return Dim.of(kept_sizes or (1,), 1 if len(dim.dims) in axes else dim.batch)


def _axis_runs(dim: Dim, axes: Sequence[int]) -> AxisRuns:
    extents = [(extent, axis in axes) for axis, extent in enumerate(sizes_and_batch(dim)) if extent != 1]
    grouped = itertools.groupby(extents, key=lambda pair: pair[1])
    runs = [(math.prod(extent for extent, _ in run), reduced) for reduced, run in grouped]
    return runs if any(reduced for _, reduced in runs) else [*runs, (1, True)]


@by_sizes
def _swap_signature(before: int, kept: int, size: int, after: int) -> Signature:
    """Return the signature of a transpose from the sizes (before, kept, size, after) to (before, size, kept, after)."""
    loops = [
        (before, 1, 1),
        (size, before, before * kept),
        (kept, before * size, before),
        (after, before * size * kept, before * size * kept),
    ]
    return copies(Dim.of((before * kept * size * after,)), [(View(SELF), View(0), loops)])


def _join_reduced_axes(x: Expression, runs: AxisRuns) -> tuple[Expression, AxisRuns]:
    """Transpose x until the axes to reduce are one run. Return the transposed x and its runs."""
    while sum(reduced for _, reduced in runs) > 1:
        before = runs.pop(0)[0] if runs[0][1] else 1  # reduced and kept runs alternate: now a kept one is first
        (kept, _), (size, _), *other_runs = runs
        signature = _swap_signature(before, kept, size, math.prod(extent for extent, _ in other_runs))
        x = graph_of("transpose", (x,)).append(signature, [x.at])
        runs = [(before * size, True), (kept * (other_runs[0][0] if other_runs else 1), False), *other_runs[1:]]
    return x, runs


def checked_axes(name: str, d, b, dim: Dim) -> tuple[int, ...]:
    """Return the axes to reduce, batch last. Raise an error if there are none, or one is repeated or out of range."""
    b = checked_flag(name, "b", b)
    axes = []
    for axis in d if np.iterable(d) and not isinstance(d, Expression) else (d,):
        axes.append(whole(name, "a dimension", axis))
    rank = len(dim.dims)
    for axis in axes:
        if not 0 <= axis < rank:
            raise OutOfRangeError(f"{name}: dimension {axis} is out of range for x, which is {dim!r}")
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{name}: a dimension is named twice in d = {axes}")
    if not axes and not b:
        raise ArgumentError(f"{name}: no dimension to reduce: d is empty and b is False")
    return (*axes, rank) if b else tuple(axes)


@dataclass(frozen=True)
class Axes:
    """The axes that an op reduces, for its numpy reference in tests.

    `choose` takes the number of axes, including the batch, and the op's d and b, if it has them. It returns the axes to
    reduce. `whole_batch` says whether the reference gets whole batches. `samples` are the calls to test.
    """

    choose: Callable[..., Sequence[int]]
    whole_batch: bool
    samples: Sequence[Sample]


DIMENSIONS = Axes(
    lambda rank, d=(0,), b=False: (*d, rank - 1) if b else tuple(d),
    True,
    samples(
        "5 d=[0]; 3x4*2 d=[1]; 17x3 d=[0,1]; 19x5*2 d=[1] b=True; 3x4*3 d=[0] b=True; 5x2x3*2 d=[0,2]; "
        "1x2x1*2 d=[2,0]; 2x3x2x3*2 d=[2,0] b=True; 4x3*5 d=[] b=True"
    ),
)
ONE_DIMENSION = Axes(lambda rank, d=0: (d,), False, samples("5; 3x4*2 d=1; 17x3; 2x3x4*2 d=1; 2x1x4 d=2; 19x5*2 d=1"))
ELEMENTS = Axes(lambda rank: range(rank - 1), False, samples("1; 7*3; 17x3; 5x2x3*2"))
BATCH = Axes(lambda rank: (rank - 1,), True, samples("1*5; 17; 5x3*4; 33*2"))


class Along:
    """Makes ops that reduce along any axes, from a function that reduces each column to one number.

    CONTRIBUTING.md has an example. In all methods, `name` is the name of the op, for error messages.

    Args:
        column: the function that reduces a column, decorated with `columnwise`.
        parts: the function that reduces results of `column` if the axes are not adjacent: a sum, for sums of squares.
            None if `column` must read all elements together; then the operand is transposed first.
        constants: a function of (n, count, *others) that returns plain numbers of `column`, such as 1 / n for a mean.
            `count` is how many elements become one. n is the op's argument n, or `count` if that is 0 or missing.
            `others` are further arguments, such as a moment's order. The reference of `column` takes x, n and `others`.
    """

    def __init__(
        self,
        column: Callable[..., Any],
        parts: Callable[..., Any] | None = None,
        constants: Callable[..., Sequence[float]] = lambda n, count: (),
    ):
        self.column, self.constants = COLUMNWISE[column.__name__], constants
        self.parts = COLUMNWISE[parts.__name__] if parts else None
        if not self.column.reduces:
            raise ArgumentError(
                f"{column.__name__}: not a reduction: it must turn each column of one operand x into one number"
            )
        add_strided_kernels(self.column.kernels)

    def op(self, axes: Axes, samples: Sequence[Sample] = ()) -> Callable[[Function], Function]:
        """Return a decorator that registers a function as an op, with a numpy reference for tests.

        The function must add the nodes, by calling `dimensions`, `one_dimension`, `elements` or `over_batch`.

        Args:
            axes: the axes that the op reduces: DIMENSIONS, ONE_DIMENSION, ELEMENTS or BATCH.
            samples: calls to test; by default `axes.samples`.
        """

        def reference(x, n=0, **attributes):
            batched = x if axes.whole_batch else x[..., None]
            chosen = axes.choose(batched.ndim, **{key: attributes.pop(key) for key in ("d", "b") if key in attributes})
            kept = [axis for axis in range(batched.ndim) if axis not in chosen]
            columns = batched.transpose(*kept, *chosen).reshape(math.prod(batched.shape[axis] for axis in kept), -1)
            if self.column.constants:
                attributes["n"] = n or columns.shape[1]
            sizes = [batched.shape[axis] for axis in kept if axis < batched.ndim - 1] or [1]
            values = np.reshape([self.column.reference(column, **attributes) for column in columns], [*sizes, -1])
            return values if axes.whole_batch else values[..., 0]

        fields = {"reference": reference, "whole_batch": axes.whole_batch, "samples": samples or axes.samples}
        return lambda function: register(function, **fields)

    def record(self, name: str, x: Expression, axes: Sequence[int], n: int = 0, *others: float) -> Expression:
        """Add the nodes that reduce x along `axes`, and return the last one.

        A mean divides by n or, if n is 0, by how many elements become one. `others` are passed to `constants`.
        """
        graph, dim = graph_of(name, (x,)), x.type.plain
        result_dim, runs = without_axes(dim, axes), _axis_runs(dim, axes)
        if not self.parts:
            x, runs = _join_reduced_axes(x, runs)
        # How many elements become one number; NaN if there are none, because the mean of no elements is NaN
        element_count = math.prod(sizes_and_batch(dim)[axis] for axis in axes) or math.nan
        constants = self.constants(n or element_count, element_count, *others)
        start = graph.take(constants)
        inputs, column = range(start, start + len(constants)), self.column
        extents, reduced = [extent for extent, _ in runs], [k for k, (_, reduced) in enumerate(runs) if reduced]
        for k in reversed(reduced):
            size = extents.pop(k)
            before, after = math.prod(extents[:k]), math.prod(extents[k:])
            dim = result_dim if k == reduced[0] else Dim.of((before * after,))
            signature = column_signature(column.kernels, dim, before, size, after, number_count=len(inputs), op=name)
            x = graph.append(signature, [x.at, *inputs])
            column, inputs = self.parts or column, range(0)  # `parts` reduces further runs, without plain numbers
        return x

    def dimensions(self, name: str, x: Expression, d: Dims, b: bool, n: Index = 0, *others: float) -> Expression:
        """Check d, b and n, then reduce x along the dimensions d, and along the batch if b is true.

        A mean divides by n, or by the number of elements if n is 0. `others` go to `constants`.
        """
        axes = checked_axes(name, d, b, shape_of(name, x))
        return self.record(name, x, axes, checked_count(name, "n", n), *others)

    def one_dimension(self, name: str, x: Expression, d: Index) -> Expression:
        """Check d, then reduce x along dimension d."""
        dim, d = shape_along(name, x, d)
        signature = column_signature(self.column.kernels, without_axes(dim, [d]), *before_along_after(dim, d))
        return node(name, signature, (x,))

    def elements(self, name: str, x: Expression, *others: float) -> Expression:
        """Reduce each batch element of x to one number. `others` go to `constants`."""
        return self.record(name, x, range(len(shape_of(name, x).dims)), 0, *others)

    def over_batch(self, name: str, x: Expression, *others: float) -> Expression:
        """Reduce x along the batch, keeping all dimensions. `others` go to `constants`."""
        return self.record(name, x, [len(shape_of(name, x).dims)], 0, *others)
