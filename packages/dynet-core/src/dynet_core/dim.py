"""`Dim`: the shape of an expression. Equal shapes are the same object, but each parameter has its own."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynet_kernels.locks import new_lock
from dynet_kernels.sizes import trace_of

from .annotations import Dims, Index
from .checks import whole
from .errors import ArgumentError, ShapeError
from .messages.refusals import Refusals

MAX_DIMS = 7  # an expression has at most this many dimensions, as in DyNet
MAX_TOTAL = 1 << 40  # an expression holds at most this many numbers
_dims_lock = new_lock()
RETIRED_DIMS: deque[Dim] = deque()
"""Dims of deleted parameters that no graph uses any more, for reuse by `for_parameter`. Finalizers append them without
`_dims_lock`, because their thread may hold it already."""
_reusable_dims: dict[tuple[Dim, int], list[tuple[int, Dim]]] = {}  # shared Dim, copy -> heap of (creation index, Dim)
_creation_indices: dict[Dim, int] = {}  # Dim made by `for_parameter` -> how many were made earlier


class Dim:
    """The shape of an expression: the sizes of its dimensions, and its batch size.

    A value of this shape is stored column-major, one batch element after another.

    `Dim.of` returns the same object for equal sizes. But each parameter has its own Dim, made by `for_parameter`. Nodes
    are computed in one batch only if their operands have the same Dim objects, so nodes that use different parameters
    are computed in different batches.

    Args:
        dims: the sizes of the dimensions.
        batch: the batch size.
        plain: for the Dim of a parameter, the Dim that `Dim.of` returns for the same sizes; otherwise the Dim itself.
        copy: for a parameter with a rounded copy, how many floats the copy is after the value; otherwise 0.
        size: the number of elements in one batch element.
        total: the number of elements in the whole batch.
    """

    __slots__ = ("batch", "copy", "dims", "plain", "size", "total")

    _cache: dict[tuple[tuple[int, ...], int], Dim] = {}

    def __init__(self, dims: tuple[int, ...], batch: int = 1, plain: Dim | None = None, copy: int = 0):
        self.dims: tuple[int, ...] = dims
        self.batch: int = batch
        self.size: int = math.prod(dims)
        self.total: int = self.size * batch
        self.plain: Dim = plain or self
        self.copy: int = copy

    @classmethod
    def of(cls, dims: tuple[int, ...], batch: int = 1) -> Dim:
        """Return the Dim with these sizes. Every call with the same sizes returns the same object.

        Raises:
            ShapeError: there are more than MAX_DIMS dimensions, or more than MAX_TOTAL numbers.
        """
        try:
            dim = cls._cache.get((dims, batch))
        except TypeError:
            if trace := trace_of((*dims, batch)):
                return trace.shape((*dims, batch), lambda: cls(dims, batch))
            raise
        if dim is None:
            if len(dims) > MAX_DIMS:
                raise ShapeError(f"{len(dims)} dimensions were asked for, at most {MAX_DIMS} are possible: {dims}")
            if math.prod(dims) * batch > MAX_TOTAL:
                raise ShapeError(f"an expression holds at most {MAX_TOTAL} numbers, not {dims} x {batch}")
            dim = cls._cache.setdefault((dims, batch), cls(dims, batch))
        return dim

    def for_parameter(self, copy: int = 0) -> Dim:
        """Return a Dim with the sizes of this one that no other parameter uses. For `copy`, see the class.

        The Dims of deleted parameters are reused, the oldest first. So a model that is deleted and made again gets its
        old Dims, for which the library has cached signatures and more.
        """
        with _dims_lock:
            while RETIRED_DIMS:
                dim = RETIRED_DIMS.popleft()
                heapq.heappush(_reusable_dims.setdefault((dim.plain, dim.copy), []), (_creation_indices[dim], dim))
            if free_dims := _reusable_dims.get((self.plain, copy)):
                return heapq.heappop(free_dims)[1]
            dim = Dim(self.dims, self.batch, self.plain, copy)
            _creation_indices[dim] = len(_creation_indices)
            return dim

    @property
    def rows(self) -> int:
        """The size of the first dimension; 1 if there are no dimensions."""
        return self.dims[0] if self.dims else 1

    @property
    def columns(self) -> int:
        """The product of the sizes of all dimensions after the first."""
        return math.prod(self.dims[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """The numpy shape of a value: the dimensions, followed by the batch size if it is larger than 1."""
        return (*self.dims, self.batch) if self.batch > 1 else self.dims

    def __repr__(self) -> str:
        return f"{self.dims}" + f" x {self.batch}" * (self.batch > 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return Dim.of, (self.dims, self.batch)


def checked_dims(name: str, dims: Dims, least: int = 1) -> tuple[int, ...]:
    """Check dimensions from the user, and return them as a tuple of ints, each at least `least`.

    Args:
        name: the public function that the user called, for error messages.
        dims: an int or a sequence of ints.
        least: the smallest size allowed.

    Raises:
        ArgumentTypeError: a size is not a number.
        ArgumentError: a size is not an integer or is less than `least`, or there are no sizes.
        ShapeError: there are more than MAX_DIMS dimensions, or more than MAX_TOTAL numbers.
    """
    is_single = not np.iterable(dims) or isinstance(dims, Refusals)
    given_sizes: Any = (dims,) if is_single else dims
    ints = []
    for size in given_sizes:
        ints.append(whole(name, "a dimension", size))
    sizes = tuple(ints)
    if not sizes:
        raise ArgumentError(f"{name}: there must be at least one dimension, got (); (1,) is a single number")
    if min(sizes) < least:
        raise ArgumentError(f"{name}: every dimension must be at least {least}, got {sizes}")
    if len(sizes) > MAX_DIMS:
        raise ShapeError(f"{name}: {len(sizes)} dimensions, at most {MAX_DIMS} are possible: {sizes}")
    if nonzero_product(sizes) > MAX_TOTAL:
        raise ShapeError(f"{name}: an expression holds at most {MAX_TOTAL} numbers, not {sizes}")
    return sizes


def nonzero_product(sizes: Sequence[int]) -> int:
    """Return the product of the sizes other than 0. MAX_TOTAL limits this product even if there are sizes of 0."""
    return math.prod([size or 1 for size in sizes])


def checked_batch(name: str, batch_size: Index) -> int:
    """Return a batch size, given to the function `name`, as an int. Raise ArgumentError if not in 1..MAX_TOTAL."""
    batch = whole(name, "batch_size", batch_size)
    if not 1 <= batch <= MAX_TOTAL:
        raise ArgumentError(f"{name}: batch_size must be in 1..{MAX_TOTAL}, got {batch}")
    return batch
