"""Indexing and slicing of expressions, `x[...]`, and iteration over them."""

from __future__ import annotations

from dynet_core.errors import StaleExpressionError
from dynet_core.recorder import know

from ..declare import *
from .picking import pick, pickrange
from .selection import select_regularly


def item(x: Expression, key) -> Expression:
    """Return `x[key]`, where `key` is an index or a slice, or a tuple of them for the first dimensions of x.

    An index picks one element along its dimension, which the result lacks. A slice keeps its dimension; it is cut off
    at the end, as in Python, and its step must be positive. Negative indices count from the end. If the tuple has an
    entry for every dimension, one more slice may follow, for the batch.

    >>> x = inputVector([1, 2, 3, 4])
    >>> x[-1].value(), x[1:3].value(), x[::2].value()
    (4.0, [2.0, 3.0], [1.0, 3.0])
    >>> inputTensor([[1, 2, 3], [4, 5, 6]], batched=True)[:, 1:].npvalue()
    array([[2., 3.],
           [5., 6.]])
    """
    try:
        return _part(x, key)
    except StaleExpressionError:
        pass
    graph_of("x[...]", (x,))  # raises the same error, but its message names `x[...]`, not the op that `_part` called
    return _part(x, key)  # a signal handler has called `cg_revert` meanwhile, which left x


def _part(x: Expression, key) -> Expression:
    if key.__class__ is slice and key.step is None and x.type.dims:
        size = x.type.dims[0]
        try:
            start, stop, _ = key.indices(size)
        except TypeError:
            start = stop = 0  # an end is not an int: skip the next `if`; `_range_of` converts the ends or raises
        if start < stop:
            return x if stop - start == size else pickrange(x, start, stop)
    keys = key if isinstance(key, tuple) else (key,)
    rank = len(x.type.dims)
    of_batch = len(keys) == rank + 1 and isinstance(keys[rank], slice)
    if len(keys) > rank + of_batch:
        raise OutOfRangeError(f"x[...]: {len(keys)} indices for x, which is {x.type!r}")
    picked, ranges = [], []
    for number, one in enumerate(keys):
        if isinstance(one, slice):
            ranges.append(_range_of(x, number, one))
        else:
            picked.append((_index_of(x, number, one), number))
    if of_batch:
        every = [(0, size, 1) for size in x.type.dims]
        x = select_regularly(graph_of("x[...]", (x,)), x, [*every, ranges.pop()])
    for index, number in reversed(picked):
        x = pick(x, index, number)
    if any(step > 1 for _, _, step in ranges):
        return select_regularly(graph_of("x[...]", (x,)), x, ranges)
    for d, (start, stop, _) in enumerate(ranges):
        if stop - start < x.type.dims[d]:
            x = pickrange(x, start, stop, d)
    return x


def _index_of(x: Expression, number: int, index) -> int:
    size, index = x.type.dims[number], checked_index("x[...]", index)
    if not -size <= index < size:
        graph_of("x[...]", (x,))  # if x is a parameter of size 0, this raises an error that says so
        raise OutOfRangeError(f"x[...]: index {index} is out of range for dimension {number} of x, which is {x.type!r}")
    return index % size


def _range_of(x: Expression, d: int, part: slice) -> tuple[int, int, int]:
    """Return (start, stop, step) with ends that count from 0, of dimension d or of the batch."""
    is_batch = d == len(x.type.dims)
    size = x.type.batch if is_batch else x.type.dims[d]
    step = 1 if part.step is None else whole("x[...]", "the step of a slice", part.step)
    if step < 1:
        raise ArgumentError(f"x[...]: the step of {part} must be at least 1")
    try:
        start, stop, _ = part.indices(size)
    except TypeError:  # an end is not an int: convert the ends, or raise an error that names the wrong one
        ends = [None if end is None else whole("x[...]", "an end of a slice", end) for end in (part.start, part.stop)]
        start, stop, _ = slice(*ends).indices(size)
    if start >= stop:
        graph_of("x[...]", (x,))
        named = "the batch" if is_batch else f"dimension {d}"
        raise OutOfRangeError(f"x[...]: {part} selects nothing from {named} of x, which is {x.type!r}")
    return start, stop, step


def _elements(x: Expression):
    """Return an iterator over x[0], x[1], ..."""
    return (x[index] for index in range(len(x)))


def _elements_from_the_end(x: Expression):
    """Return an iterator over x[-1], x[-2], ..., x[0]."""
    return (x[index] for index in reversed(range(len(x))))


know(item=pick, stretch=pickrange, subscript=item)
Expression.__iter__ = _elements  # type: ignore[attr-defined]
Expression.__reversed__ = _elements_from_the_end  # type: ignore[attr-defined]
