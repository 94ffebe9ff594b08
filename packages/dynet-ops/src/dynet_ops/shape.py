"""Ops that move values: reshaping, picking, joining, transposing, repeating, and sums along dimensions.

All are copies between layouts (or aliases, where nothing moves), described as nested loops of
(extent, stride in the result, stride in the operand).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from dynet_core.dim import MAX_DIMS, Dim, checked_batch, checked_dims
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_core.parameter import checked_index, checked_indices
from dynet_core.record import append, common_batch, described, graph_of, many_operands, one_operand
from dynet_core.signature import Signature, Step, View, alias
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import ANY_OPERAND, EACH, SELF
from dynet_kernels.rule import Rule

from .kinds import by_plain_dims, lined_up, op
from .layouts import broadcast, strides_of

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
        adds = any(extent > 1 and stride == 0 for extent, stride, _ in loops)
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


def _one(result: Dim, loops: Sequence[Loop], *, index_scale: int = 0, offset: int = 0) -> Signature:
    """A copy from one operand, optionally from a place that an attribute gives."""
    source = View(0, offset=offset, index=0, scale=index_scale) if index_scale else View(0, offset=offset)
    return copies(result, [(View(SELF), source, loops)], attributes=int(index_scale > 0))


def _around(dim: Dim, d: int) -> tuple[int, int]:
    """How many elements lie before and after dimension d."""
    return math.prod(dim.dims[:d]), math.prod(dim.dims[d + 1 :])


def checked_dimension(name: str, d: int, dim: Dim) -> int:
    """A number of a dimension that a user gave."""
    d = checked_index(name, d)
    if not 0 <= d < len(dim.dims):
        raise OutOfRangeError(f"{name}: dimension {d} is out of range for x, which is {dim!r}")
    return d


def checked_expression(name: str, x) -> Expression:
    """What a user gave as an operand."""
    if not isinstance(x, Expression):
        graph_of(name, (x,))
    return x


def _repeat_loops(dim: Dim, whole: Dim) -> list[Loop]:
    return list(zip((*whole.dims, whole.batch), strides_of(whole, whole), strides_of(dim, whole)))


@functools.cache
def _repeat_signature(dim: Dim, whole: Dim) -> Signature:
    return _one(whole, _repeat_loops(dim, whole))


@functools.cache
def _repeat_steps(dim: Dim, whole: Dim) -> list[Dim]:
    """The shapes on the way to the full one: it alone, or one dimension after another where that is too intricate."""
    if dim is whole:
        return []
    if len(joined(_repeat_loops(dim, whole))) <= LOOPS:
        return [whole]
    sizes = [*dim.dims, *[1] * (len(whole.dims) - len(dim.dims))]
    steps = []
    for d, size in enumerate(whole.dims):
        if sizes[d] != size:
            sizes[d] = size
            steps.append(Dim.of(tuple(sizes), dim.batch))
    return steps if dim.batch == whole.batch else [*steps, whole]


def repeat(x: Expression, whole: Dim) -> Expression:
    """x with its sizes of 1 (and missing dimensions, and a batch of 1) repeated to a full shape."""
    for step in _repeat_steps(x.type.plain, whole):
        x = append(graph_of("broadcast", (x,)), _repeat_signature(x.type.plain, step), [x.at])
    return x


# ------------------------------------------------------------------------------------------ reshape and transpose


@functools.cache
def _alias(dim: Dim, scale: int) -> Signature:
    return alias(dim, scale=scale)


def reshape(x: Expression, d: Sequence[int], batch_size: int = 1) -> Expression:
    """The same numbers, column by column, in another shape; nothing is copied.

    Args:
        d: the new dimensions.
        batch_size: the new batch size; with 1, the batch is kept where that fits.

    >>> reshape(inputVector([1, 2, 3, 4]), (2, 2)).npvalue()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    old = checked_expression("reshape", x).type
    dims, batch = checked_dims("reshape", d), checked_batch("reshape", batch_size)
    new = Dim.of(dims, batch)
    if new.total != old.total:
        if batch != 1 or new.size != old.size:
            raise ShapeError(f"reshape: x is {old!r}, which has {old.total} elements; {new!r} has {new.total}")
        new = Dim.of(dims, old.batch)
    return append(graph_of("reshape", (x,)), _alias(new, 0), [x.at])


register(
    reshape,
    reference=lambda x, d: x.reshape(d, order="F"),
    samples=[
        Sample([((6,), 1)], {"d": (2, 3)}),
        Sample([((2, 3), 2)], {"d": (3, 2)}),
        Sample([((1, 5), 1)], {"d": (5,)}),
        Sample([((4, 3, 2), 3)], {"d": (2, 12)}),
    ],
)


def _transposed(dim: Dim, order: tuple[int, ...]) -> tuple[Dim, list[Loop]]:
    """The dimensions in another order, and the loops of the copy."""
    sizes = dim.dims + (1,) * (len(order) - len(dim.dims))
    strides = strides_of(dim, Dim.of(sizes))
    result = Dim.of(tuple(sizes[k] for k in order), dim.batch)
    loops = [(size, step, strides[k]) for size, step, k in zip(result.dims, strides_of(result, result), order)]
    return result, [*loops, (dim.batch, dim.size, dim.size)]


@functools.cache
def _transpose_steps(dim: Dim, order: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The order itself, or several in turn where one copy is too intricate: each puts a dimension in its place."""
    if len(joined(_transposed(dim, order)[1])) <= LOOPS:
        return [order]
    place = next(place for place, k in enumerate(order) if place != k)
    behind = [k for k in range(place, len(order)) if k != order[place]]
    first = (*range(place), order[place], *behind)
    rest = tuple(first.index(k) for k in order)
    return [first, *_transpose_steps(_transposed(dim, first)[0], rest)]


@functools.cache
def _transpose_signature(dim: Dim, order: tuple[int, ...]) -> Signature:
    result, loops = _transposed(dim, order)
    if all(extent == 1 or target == source for extent, target, source in loops):
        return alias(result)
    return _one(result, loops)


def transpose(x: Expression, dims: Sequence[int] = (1, 0)) -> Expression:
    """The transpose of a matrix, or dimensions in another order: dimension i of the result is dims[i] of x.

    >>> transpose(inputTensor([[1, 2], [3, 4]])).npvalue()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    dim = checked_expression("transpose", x).type.plain
    if not isinstance(dims, (tuple, list, np.ndarray)):
        raise ArgumentTypeError(f"transpose: dims must be a tuple of ints, not {dims!r:.60}")
    order = tuple(checked_index("transpose", d) for d in dims)
    if sorted(order) != list(range(len(order))) or not len(dim.dims) <= len(order) <= MAX_DIMS:
        raise ArgumentError(f"transpose: dims {order} is no order of the dimensions of x, which is {dim!r}")
    graph = graph_of("transpose", (x,))
    for step in _transpose_steps(dim, order):
        x = append(graph, _transpose_signature(x.type.plain, step), [x.at])
    return x


register(
    transpose,
    reference=lambda x, dims=(1, 0): np.transpose(x.reshape(x.shape + (1,) * (len(dims) - x.ndim)), dims),
    samples=[
        Sample([((3, 5), 1)]),
        Sample([((17,), 2)]),
        Sample([((1, 4), 3)]),
        Sample([((2, 3, 4), 2)], {"dims": (2, 0, 1)}),
        Sample([((2, 3, 4), 1)], {"dims": (1, 0, 2)}),
    ],
)


def along(name: str, of_columns: Callable, x: Expression, d: int) -> Expression:
    """Apply an op of columns along dimension d."""
    d = checked_dimension(name, d, checked_expression(name, x).type)
    order = [d, *[k for k in range(len(x.type.dims)) if k != d]]
    back = [order.index(k) for k in range(len(order))]
    return transpose(of_columns(transpose(x, order)), back)


# ------------------------------------------------------------------------------------------------------- picking


@functools.cache
def _pick_signature(dim: Dim, d: int, length: int) -> Signature:
    """`length` neighbours along dimension d from an index on; with length 0 one of them, without the dimension."""
    before, after = _around(dim, d)
    kept = (length,) if length else ()
    result = Dim.of(dim.dims[:d] + kept + dim.dims[d + 1 :] or (1,), dim.batch)
    if after == 1 and dim.batch == 1:
        return alias(result, scale=before)
    run = before * (length or 1)
    whole = before * dim.dims[d]
    return _one(result, [(run, 1, 1), (after, run, whole), (dim.batch, run * after, dim.size)], index_scale=before)


def pick(e: Expression, index: int = 0, dim: int = 0) -> Expression:
    """The element (row, column, ...) of number `index` along dimension `dim`, which disappears.

    Raises:
        OutOfRangeError: there is no such dimension or index; negative indices count from the end only in `e[...]`.

    >>> pick(inputVector([1, 2, 3]), 2).value()
    3.0
    """
    shape = checked_expression("pick", e).type.plain
    dim = checked_dimension("pick", dim, shape)
    index = checked_index("pick", index)
    if not 0 <= index < shape.dims[dim]:
        raise OutOfRangeError(f"pick: index {index} is out of range for dimension {dim} of x, which is {shape!r}")
    return append(graph_of("pick", (e,)), _pick_signature(shape, dim, 0), [e.at, index])


register(
    pick,
    reference=lambda x, index=0, dim=0: np.atleast_1d(x.take(index, axis=dim)),
    samples=[
        Sample([((5,), 1)], {"index": 3}),
        Sample([((5,), 3)], {"index": 0}),
        Sample([((3, 4), 1)], {"index": 2, "dim": 1}),
        Sample([((3, 4), 2)], {"index": 1, "dim": 0}),
        Sample([((3, 4, 5), 2)], {"index": 3, "dim": 1}),
    ],
)


def pickrange(x: Expression, v: int, u: int, d: int = 0) -> Expression:
    """Elements v up to but not including u along dimension d.

    >>> pickrange(inputVector([1, 2, 3, 4]), 1, 3).value()
    [2.0, 3.0]
    """
    shape = checked_expression("pickrange", x).type.plain
    d = checked_dimension("pickrange", d, shape)
    v, u = checked_index("pickrange", v), checked_index("pickrange", u)
    if not 0 <= v < u <= shape.dims[d]:
        raise OutOfRangeError(f"pickrange: {v}..{u} is out of range for dimension {d} of x, which is {shape!r}")
    return append(graph_of("pickrange", (x,)), _pick_signature(shape, d, u - v), [x.at, v])


pick_range = pickrange

register(
    pickrange,
    reference=lambda x, v, u, d=0: x.take(range(v, u), axis=d),
    samples=[
        Sample([((9,), 1)], {"v": 2, "u": 7}),
        Sample([((9,), 3)], {"v": 0, "u": 1}),
        Sample([((5, 4), 1)], {"v": 1, "u": 3, "d": 1}),
        Sample([((5, 4), 2)], {"v": 1, "u": 4}),
    ],
)


@functools.cache
def _pick_batch_elems_signature(dim: Dim, count: int) -> Signature:
    result = Dim.of(dim.dims, count)
    return Signature(
        result,
        operands=1,
        attributes=count,
        columns=count,
        views=[View(SELF, stride=dim.size), View(0, index=0, index_step=1, scale=dim.size)],
        forward=[Step("copy", copy_parameters(0, 2, collapsed([(dim.size, 1, 1)])))],
        backward=[Step("accumulate", copy_parameters(3, 1, collapsed([(dim.size, 1, 1)])), gradient_of=0)],
    )


def pick_batch_elems(x: Expression, vs: Sequence[int]) -> Expression:
    """The batch elements of numbers vs, as a batch of their own; numbers may repeat.

    >>> pick_batch_elems(inputTensor([[1, 2, 3]], batched=True), [2, 0]).npvalue()
    array([[3., 1.]], dtype=float32)
    """
    dim = checked_expression("pick_batch_elems", x).type.plain
    indices = checked_indices("pick_batch_elems", vs, dim.batch, "the batch of x")
    return append(graph_of("pick_batch_elems", (x,)), _pick_batch_elems_signature(dim, len(indices)), [x.at, *indices])


register(
    pick_batch_elems,
    reference=lambda x, vs: x[..., vs],
    whole_batch=True,
    samples=[
        Sample([((3,), 4)], {"vs": [1, 3]}),
        Sample([((1,), 1)], {"vs": [0]}),
        Sample([((5, 2), 3)], {"vs": [2, 2, 0, 1]}),
        Sample([((17,), 2)], {"vs": [1]}),
    ],
)


@functools.cache
def _pick_batch_elem_signature(dim: Dim) -> Signature:
    return alias(Dim.of(dim.dims), scale=dim.size)


def pick_batch_elem(x: Expression, v: int) -> Expression:
    """Batch element number v.

    >>> pick_batch_elem(inputTensor([[1, 2, 3]], batched=True), 1).value()
    2.0
    """
    dim = checked_expression("pick_batch_elem", x).type.plain
    (index,) = checked_indices("pick_batch_elem", [v], dim.batch, "the batch of x")
    return append(graph_of("pick_batch_elem", (x,)), _pick_batch_elem_signature(dim), [x.at, index])


register(
    pick_batch_elem,
    reference=lambda x, v: x[..., v : v + 1],
    whole_batch=True,
    samples=[
        Sample([((3,), 4)], {"v": 1}),
        Sample([((1,), 1)], {"v": 0}),
        Sample([((5, 2), 3)], {"v": 2}),
        Sample([((17,), 2)], {"v": 1}),
    ],
)


@functools.cache
def _pick_batch_signature(dim: Dim, d: int) -> Signature:
    """A different index for each batch element."""
    before, after = _around(dim, d)
    result = Dim.of(dim.dims[:d] + dim.dims[d + 1 :] or (1,), dim.batch)
    loops = collapsed([(before, 1, 1), (after, before, before * dim.dims[d])])
    return Signature(
        result,
        operands=1,
        attributes=dim.batch,
        columns=dim.batch,
        views=[
            View(SELF, stride=result.size),
            View(0, stride=dim.size, index=0, index_step=1, scale=before),
        ],
        forward=[Step("copy", copy_parameters(0, 2, loops))],
        backward=[Step("accumulate", copy_parameters(3, 1, loops, backward=True), gradient_of=0)],
    )


def pick_batch(e: Expression, indices: Sequence[int], dim: int = 0) -> Expression:
    """From batch element i the element (row, column, ...) of number indices[i] along dimension `dim`.

    >>> pick_batch(inputTensor([[1, 2], [3, 4]], batched=True), [0, 1]).npvalue()
    array([[1., 4.]], dtype=float32)
    """
    shape = checked_expression("pick_batch", e).type.plain
    dim = checked_dimension("pick_batch", dim, shape)
    found = checked_indices("pick_batch", indices, shape.dims[dim], f"dimension {dim} of x {shape!r}")
    if len(found) != shape.batch:
        if shape.batch == 1:
            e = repeat(e, Dim.of(shape.dims, len(found)))
            shape = e.type
        else:
            raise ShapeError(f"pick_batch: {len(found)} indices for a batch of {shape.batch}")
    return append(graph_of("pick_batch", (e,)), _pick_batch_signature(shape, dim), [e.at, *found])


register(
    pick_batch,
    reference=lambda x, indices, dim=0: np.stack(
        [np.atleast_1d(x[..., b].take(i, axis=dim)) for b, i in enumerate(indices)], axis=-1
    ),
    whole_batch=True,
    samples=[
        Sample([((5,), 3)], {"indices": [0, 4, 2]}),
        Sample([((3, 4), 2)], {"indices": [2, 0]}),
        Sample([((3, 4), 2)], {"indices": [3, 1], "dim": 1}),
        Sample([((1,), 1)], {"indices": [0]}),
    ],
)


def item(x: Expression, key) -> Expression:
    """What `x[key]` means: one index picks along the first dimension; slices keep theirs.

    >>> x = inputVector([1, 2, 3, 4])
    >>> x[-1].value(), x[1:3].value()
    (4.0, [2.0, 3.0])
    """
    keys = key if isinstance(key, tuple) else (key,)
    dims = x.type.dims
    if len(keys) > len(dims):
        raise OutOfRangeError(f"x[{key}]: {len(keys)} indices for x, which is {x.type!r}")
    d = 0
    for number, one in enumerate(keys):
        size = dims[number]
        if not isinstance(one, slice):
            index = checked_index("x[...]", one)
            if not -size <= index < size:
                raise OutOfRangeError(
                    f"x[...]: index {index} is out of range for dimension {number} of x, which is {x.type!r}"
                )
            x = pick(x, index % size, d)
            continue
        start, stop, step = one.indices(size)
        if start >= stop or step < 1:
            raise OutOfRangeError(f"x[...]: {one} takes nothing from dimension {number} of x, which is {x.type!r}")
        if (start, stop, step) != (0, size, 1):
            x = pickrange(x, start, stop, d) if step == 1 else strided(x, d, start, stop, step)
        d += 1
    return x


@functools.cache
def _strided_signature(dim: Dim, d: int, start: int, stop: int, step: int) -> Signature:
    before, after = _around(dim, d)
    count = -(-(stop - start) // step)
    result = Dim.of((*dim.dims[:d], count, *dim.dims[d + 1 :]), dim.batch)
    loops = [
        (before, 1, 1),
        (count, before, before * step),
        (after, before * count, before * dim.dims[d]),
        (dim.batch, result.size, dim.size),
    ]
    return _one(result, loops, offset=before * start)


def strided(x: Expression, d: int, start: int, stop: int, step: int) -> Expression:
    """Every step-th element from start up to but not including stop along dimension d."""
    return append(graph_of("x[...]", (x,)), _strided_signature(x.type.plain, d, start, stop, step), [x.at])


def _elements(x: Expression):
    """The elements along the first dimension, one by one."""
    return (item(x, index) for index in range(x.type.rows))


Expression.__getitem__ = item  # type: ignore[attr-defined]
Expression.__iter__ = _elements  # type: ignore[attr-defined]

# ------------------------------------------------------------------------------------------------------- joining


def concatenate_signature(d: int, dims: Sequence[Dim]) -> Signature:
    rank = max(d + 1, *[len(dim.dims) for dim in dims])
    padded = [dim.dims + (1,) * (rank - len(dim.dims)) for dim in dims]
    first = padded[0]
    if any(sizes[:d] + sizes[d + 1 :] != first[:d] + first[d + 1 :] for sizes in padded):
        raise ShapeError(f"concatenate: dimensions other than {d} differ: operands are {described(dims)}")
    batch = common_batch("concatenate", dims)
    length = sum(sizes[d] for sizes in padded)
    result = Dim.of((*first[:d], length, *first[d + 1 :]), batch)
    before, after = math.prod(first[:d]), math.prod(first[d + 1 :])
    parts, start = [], 0
    for place, (dim, sizes) in enumerate(zip(dims, padded)):
        run = before * sizes[d]
        loops = [
            (run, 1, 1),
            (after, before * length, run),
            (batch, result.size, dim.size if dim.batch > 1 else 0),
        ]
        parts.append((View(SELF, offset=start * before), View(place), loops))
        start += sizes[d]
    return copies(result, parts)


def _concatenate_along(d: int) -> Callable:
    return many_operands("concatenate", lambda *dims: concatenate_signature(d, [dim.plain for dim in dims]))


_concatenate = [_concatenate_along(d) for d in range(7)]


def concatenate(xs: Sequence[Expression], d: int = 0) -> Expression:
    """Expressions joined along dimension d.

    Raises:
        ShapeError: sizes of other dimensions differ.

    >>> concatenate([inputVector([1, 2]), inputVector([3])]).value()
    [1.0, 2.0, 3.0]
    """
    xs = listed("concatenate", xs)
    d = checked_index("concatenate", d)
    if not 0 <= d < len(_concatenate):
        raise OutOfRangeError(f"concatenate: there is no dimension {d}")
    return _concatenate[d](xs)


def concatenate_cols(xs: Sequence[Expression]) -> Expression:
    """Vectors or matrices joined side by side.

    >>> concatenate_cols([inputVector([1, 2]), inputVector([3, 4])]).npvalue()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    return _concatenate[1](listed("concatenate_cols", xs))


def listed(name: str, xs) -> Sequence[Expression]:
    """The operands that a user gave together."""
    if not isinstance(xs, (list, tuple)):
        if isinstance(xs, Expression):
            return [xs]
        try:
            xs = list(xs)
        except TypeError:
            graph_of(name, (xs,))
    if not xs:
        raise ArgumentError(f"{name}: no expressions")
    return xs


def _join(arrays, d):
    rank = max(d + 1, *[a.ndim for a in arrays])
    return np.concatenate([a.reshape(a.shape + (1,) * (rank - a.ndim)) for a in arrays], axis=d)


register(
    concatenate,
    reference=lambda *xs, d=0: _join(xs, d),
    samples=[
        Sample([((3,), 1), ((5,), 1)], as_list=True),
        Sample([((3,), 2), ((1,), 1), ((17,), 2)], as_list=True),
        Sample([((2, 3), 1), ((4, 3), 2)], as_list=True),
        Sample([((2, 3), 2), ((2, 1), 1)], {"d": 1}, as_list=True),
        Sample([((2,), 1)], as_list=True),
    ],
)
register(
    concatenate_cols,
    reference=lambda *xs: _join(xs, 1),
    samples=[
        Sample([((3,), 1), ((3,), 1), ((3,), 1)], as_list=True),
        Sample([((3,), 2), ((3, 4), 1)], as_list=True),
        Sample([((1,), 1)], as_list=True),
        Sample([((17, 2), 3), ((17, 1), 3)], as_list=True),
    ],
)


def _to_batch_signature(dims: Sequence[Dim]) -> Signature:
    if any(dim.dims != dims[0].dims for dim in dims):
        raise ShapeError(f"concatenate_to_batch: dimensions differ: operands are {described(dims)}")
    result = Dim.of(dims[0].dims, sum(dim.batch for dim in dims))
    parts, start = [], 0
    for place, dim in enumerate(dims):
        parts.append((View(SELF, offset=start), View(place), [(dim.total, 1, 1)]))
        start += dim.total
    return copies(result, parts)


_to_batch = many_operands("concatenate_to_batch", lambda *dims: _to_batch_signature([dim.plain for dim in dims]))


def concatenate_to_batch(xs: Sequence[Expression]) -> Expression:
    """Expressions of the same dimensions as the batch elements of one.

    >>> concatenate_to_batch([inputVector([1, 2]), inputVector([3, 4])]).dim()
    ((2,), 2)
    """
    return _to_batch(listed("concatenate_to_batch", xs))


register(
    concatenate_to_batch,
    reference=lambda *xs: np.concatenate(xs, axis=-1),
    whole_batch=True,
    samples=[
        Sample([((3,), 1), ((3,), 1)], as_list=True),
        Sample([((3, 2), 2), ((3, 2), 1), ((3, 2), 3)], as_list=True),
        Sample([((1,), 1)], as_list=True),
        Sample([((17,), 2), ((17,), 2)], as_list=True),
    ],
)

# ----------------------------------------------------------------------------------------------------------- sums


@functools.cache
def _equal_sum_signature(dim: Dim) -> Signature:
    loops = collapsed([(dim.total, 1, 1)])
    return Signature(
        dim,
        variadic=True,
        columns=1,
        views=[View(SELF), View(EACH, period=1)],
        forward=[Step("clear", (dim.total,)), Step("accumulate", copy_parameters(0, 2, loops))],
        backward=[Step("accumulate", copy_parameters(3, 1, loops), gradient_of=ANY_OPERAND)],
    )


def _sum_signature(name: str, dims: Sequence[Dim]) -> Signature:
    """Operands of different shapes, broadcast."""
    whole = broadcast(name, dims)
    extents, target = (*whole.dims, whole.batch), strides_of(whole, whole)
    views, forward, backward = [View(SELF)], [Step("clear", (whole.total,))], []
    for place, dim in enumerate(dims):
        loops = collapsed(list(zip(extents, target, strides_of(dim, whole))))
        role = 2 * (place + 1)
        views.append(View(place))
        forward.append(Step("accumulate", copy_parameters(0, role, loops)))
        backward.append(Step("accumulate", copy_parameters(role + 1, 1, loops, backward=True), gradient_of=place))
    return Signature(whole, operands=len(dims), views=views, forward=forward, backward=backward)


def _sum_of_any(name: str) -> Callable:
    record = many_operands(name, lambda *dims: _sum_signature(name, [dim.plain for dim in dims]))

    def of_intricate(xs: Sequence[Expression]) -> Expression:
        try:
            return record(xs)
        except TooManyLoops:
            whole = broadcast(name, [x.type for x in xs])
            return record([repeat(x, whole) for x in xs])

    return of_intricate


_sums = {name: _sum_of_any(name) for name in ("esum", "average")}


def _sum(name: str, xs: Sequence[Expression]) -> Expression:
    graph, dim = checked_expression(name, xs[0]).graph, xs[0].type
    places = []
    for x in xs:
        if not isinstance(x, Expression) or x.type is not dim or x.graph is not graph or graph is None:
            return _sums[name](xs)
        places.append(x.at)
    if graph.nodes is graph:
        graph_of(name, xs)  # says that it is gone
    return append(graph, _equal_sum_signature(dim.plain), [len(places), *places])


def esum(xs: Sequence[Expression]) -> Expression:
    """The elementwise sum of any number of expressions; shapes are broadcast.

    >>> esum([inputVector([1, 2]), inputVector([3, 4])]).value()
    [4.0, 6.0]
    """
    return _sum("esum", listed("esum", xs))


def average(xs: Sequence[Expression]) -> Expression:
    """The elementwise average of any number of expressions.

    >>> average([inputVector([1, 2]), inputVector([3, 4])]).value()
    [2.0, 3.0]
    """
    xs = listed("average", xs)
    return _sum("average", xs) * (1.0 / len(xs))


_SUM_SAMPLES = [
    Sample([((3, 2), 1), ((3,), 2)], as_list=True),
    Sample([((3,), 1)], as_list=True),
    Sample([((17,), 2), ((17,), 2), ((17,), 2)], as_list=True),
    Sample([((5, 3), 1), ((5, 3), 4)], as_list=True),
    Sample([((1,), 1)] * 9, as_list=True),
    Sample([((4,), 3), ((4,), 1), ((1,), 1)], as_list=True),
]
register(esum, reference=lined_up(lambda *xs: sum(xs)), samples=_SUM_SAMPLES)
register(average, reference=lined_up(lambda *xs: sum(xs) / len(xs)), samples=_SUM_SAMPLES)


@by_plain_dims
def _sum_batches_signature(dim: Dim) -> Signature:
    return _one(Dim.of(dim.dims), [(dim.size, 1, 1), (dim.batch, 0, dim.size)])


@op(
    one_operand("sum_batches", _sum_batches_signature),
    reference=lambda x: x.sum(-1, keepdims=True),
    whole_batch=True,
    samples=[Sample([((1,), 5)]), Sample([((17,), 1)]), Sample([((5, 3), 4)]), Sample([((33,), 2)])],
)
def sum_batches(x: Expression) -> Expression:
    """The sum over the batch: one batch element is left.

    >>> sum_batches(inputTensor([[1, 2, 3]], batched=True)).value()
    6.0
    """
    ...


@by_plain_dims
def _sum_cols_signature(dim: Dim) -> Signature:
    rows, columns = dim.rows, dim.columns
    return _one(Dim.of((rows,), dim.batch), [(rows, 1, 1), (columns, 0, rows), (dim.batch, rows, dim.size)])


@op(
    one_operand("sum_cols", _sum_cols_signature),
    reference=lambda x: x.reshape(len(x), -1).sum(1),
    samples=[Sample([((3, 5), 1)]), Sample([((17, 2), 3)]), Sample([((4,), 1)]), Sample([((1, 6), 2)])],
)
def sum_cols(x: Expression) -> Expression:
    """The sum of the columns of a matrix, y_i = sum over j of x_ij.

    >>> sum_cols(inputTensor([[1, 2], [3, 4]])).value()
    [3.0, 7.0]
    """
    ...


# ------------------------------------------------------------------------------------------ gradients that stop


@by_plain_dims
def _nobackprop_signature(dim: Dim) -> Signature:
    return alias(dim, passes=False)


@op(
    one_operand("nobackprop", _nobackprop_signature),
    reference=lambda x: x,
    differentiable=False,
    samples=[Sample([((3,), 1)]), Sample([((17, 2), 3)]), Sample([((1,), 1)]), Sample([((5,), 2)])],
)
def nobackprop(x: Expression) -> Expression:
    """x itself, through which no gradient flows back.

    >>> nobackprop(inputVector([1, 2])).value()
    [1.0, 2.0]
    """
    ...


__all__ = [
    "average", "concatenate", "concatenate_cols", "concatenate_to_batch", "esum", "nobackprop", "pick", "pick_batch",
    "pick_batch_elem", "pick_batch_elems", "pick_range", "pickrange", "reshape", "sum_batches", "sum_cols", "transpose",
]  # fmt: skip
