"""Ops that join expressions along a dimension, or to a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_core.checks import checked_index
from dynet_core.dim import Dim
from dynet_core.errors import OutOfRangeError, ShapeError
from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_core.record import common_batch, described, many_operands
from dynet_core.signature import Signature, View
from dynet_kernels.layout import SELF

from .copying import copies
from .kinds import by_plain_dims
from .layouts import as_first, of_rank
from .operands import listed


def concatenate_signature(d: int, dims: Sequence[Dim], name: str = "concatenate") -> Signature:
    padded = [of_rank(dim.dims, max(d + 1, as_first(dims))) for dim in dims]
    first = padded[0]
    if any(sizes[:d] + sizes[d + 1 :] != first[:d] + first[d + 1 :] for sizes in padded):
        raise ShapeError(f"{name}: dimensions other than {d} differ: operands are {described(dims)}")
    batch = common_batch(name, dims)
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


def _along(d: int, name: str = "concatenate") -> Callable:
    return by_plain_dims(lambda *dims: concatenate_signature(d, dims, name))


concatenations = [_along(d) for d in range(7)]
"""For each dimension, the signature of operands that are joined along it, from their Dims."""
_concatenate = [many_operands("concatenate", signature_of) for signature_of in concatenations]
_column = _concatenate[0]
_columns = many_operands("concatenate_cols", _along(1, "concatenate_cols"))


def concatenate(xs: Sequence[Expression], d: int = 0) -> Expression:
    """Expressions joined along dimension d; trailing 1s are those of the first.

    Raises:
        ShapeError: sizes of other dimensions differ.

    >>> concatenate([inputVector([1, 2]), inputVector([3])]).value()
    [1.0, 2.0, 3.0]
    """
    if xs.__class__ is list and d is FIRST:
        count = len(xs)
        try:
            if count == 2:
                a, last = xs
                signature, dim = _two[a.type][last.type]
                graph = last.graph
                if a.graph is graph or a.graph is None:  # None: of a parameter
                    node = graph.next
                    graph.next = node.next
                    node.type = dim
                    nodes = graph.nodes
                    nodes.append(signature)
                    nodes.append(a.at)
                    nodes.append(last.at)
                    return node
            elif count == 3:
                a, b, last = xs
                signature, dim = _three[a.type][b.type][last.type]
                graph = last.graph
                if (a.graph is graph or a.graph is None) and (b.graph is graph or b.graph is None):
                    node = graph.next
                    graph.next = node.next
                    node.type = dim
                    nodes = graph.nodes
                    nodes.append(signature)
                    nodes.append(a.at)
                    nodes.append(b.at)
                    nodes.append(last.at)
                    return node
            elif count == 4:
                a, b, c, last = xs
                signature, dim = _four[a.type][b.type][c.type][last.type]
                graph = last.graph
                if (
                    (a.graph is graph or a.graph is None)
                    and (b.graph is graph or b.graph is None)
                    and (c.graph is graph or c.graph is None)
                ):
                    node = graph.next
                    graph.next = node.next
                    node.type = dim
                    nodes = graph.nodes
                    nodes.append(signature)
                    nodes.append(a.at)
                    nodes.append(b.at)
                    nodes.append(c.at)
                    nodes.append(last.at)
                    return node
        except (AttributeError, KeyError):
            pass
        if xs:
            return _of_few(xs) if 2 <= count <= 4 else _column(xs)
    xs = listed("concatenate", xs)
    d = checked_index("concatenate", d)
    if not 0 <= d < len(_concatenate):
        raise OutOfRangeError(f"concatenate: there is no dimension {d}")
    return _concatenate[d](xs)


FIRST = 0  # the default of `d`
_two: dict[Dim, Any] = {}
_three: dict[Dim, Any] = {}
_four: dict[Dim, Any] = {}
_few = {2: _two, 3: _three, 4: _four}
"""Signatures and results by the operands' Dims, one after the other: the common cases, recorded without detours."""


def _of_few(xs: list[Expression]) -> Expression:
    """Record them, and remember the signature."""
    node = _column(xs)
    known: Any = _few[len(xs)]
    for x in xs[:-1]:
        known = known.setdefault(x.type, {})
    known[xs[-1].type] = node.graph.nodes[-1 - len(xs)], node.type
    return node


def concatenate_cols(xs: Sequence[Expression]) -> Expression:
    """Vectors or matrices joined side by side.

    >>> concatenate_cols([inputVector([1, 2]), inputVector([3, 4])]).npvalue()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    return _columns(listed("concatenate_cols", xs))


def _join(arrays, d):
    return np.concatenate([a.reshape(of_rank(a.shape, max(d + 1, arrays[0].ndim))) for a in arrays], axis=d)


register(
    concatenate,
    reference=lambda *xs, d=0: _join(xs, d),
    samples=[
        Sample([((3,), 1), ((5,), 1)], as_list=True),
        Sample([((3,), 2), ((1,), 1), ((17,), 2)], as_list=True),
        Sample([((2, 3), 1), ((4, 3), 2)], as_list=True),
        Sample([((2, 3), 2), ((2, 1), 1)], {"d": 1}, as_list=True),
        Sample([((2,), 1)], as_list=True),
        Sample([((3,), 2), ((3,), 2)], as_list=True),
        Sample([((2, 5), 1), ((2, 5), 1), ((2, 5), 1)], {"d": 1}, as_list=True),
        Sample([((3,), 1), ((5, 1, 1), 2), ((1, 1), 1)], as_list=True),
        Sample([((3, 1), 2), ((5,), 1)], as_list=True),
        Sample([((3,), 1), ((3,), 2)], {"d": 2}, as_list=True),
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
        Sample([((3,), 1), ((3, 1, 1), 2), ((3, 2, 1), 1)], as_list=True),
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


_to_batch = many_operands("concatenate_to_batch", by_plain_dims(lambda *dims: _to_batch_signature(dims)))


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

__all__ = ["concatenate", "concatenate_cols", "concatenate_to_batch"]
