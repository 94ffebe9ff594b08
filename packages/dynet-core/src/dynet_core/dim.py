"""Dimensions and batch size of an expression: interned, so that recording compares them by identity."""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from .annotations import Dims, Index
from .checks import whole
from .errors import ArgumentError, ShapeError
from .refusals import Refusals

MAX_DIMS = 7
MAX_TOTAL = 1 << 40  # numbers in one expression
_lock = threading.RLock()  # the collector of garbage may call what comes here again
GIVEN_BACK: deque[Dim] = deque()
"""Dims that `own` gave and that are used no more, not in any graph either. Finalizers, which may run while the lock is
held, put them here."""
_free: dict[Dim, list[tuple[int, Dim]]] = {}
_owned: dict[Dim, int] = {}


class Dim:
    """Sizes of the dimensions (column-major) and of the batch.

    `Dim.of` gives one object for equal dimensions. A parameter has a Dim of its own, whose `plain` is the
    interned one, so that a signature knows which parameter it means.
    """

    __slots__ = ("batch", "dims", "plain", "size", "total")

    batch: int
    dims: tuple[int, ...]
    plain: Dim
    size: int
    total: int
    _known: dict[tuple[tuple[int, ...], int], Dim] = {}

    def __init__(self, dims: tuple[int, ...], batch: int = 1, plain: Dim | None = None):
        self.dims, self.batch, self.size = dims, batch, math.prod(dims)
        self.total = self.size * batch
        self.plain = plain or self

    @classmethod
    def of(cls, dims: tuple[int, ...], batch: int = 1) -> Dim:
        """The interned Dim of these sizes."""
        known = cls._known.get((dims, batch))
        if known is None:
            if len(dims) > MAX_DIMS:
                raise ShapeError(f"{len(dims)} dimensions were asked for, at most {MAX_DIMS} are possible: {dims}")
            if math.prod(dims) * batch > MAX_TOTAL:
                raise ShapeError(f"an expression holds at most {MAX_TOTAL} numbers, not {dims} x {batch}")
            known = cls._known.setdefault((dims, batch), cls(dims, batch))
        return known

    def own(self) -> Dim:
        """A Dim equal to this one that is nobody else's: one that was given back, if there is such a one.

        The oldest comes first: so that models that are made alike, one after the other, get along with the same
        signatures.
        """
        with _lock:
            while GIVEN_BACK:
                dim = GIVEN_BACK.popleft()
                heapq.heappush(_free.setdefault(dim.plain, []), (_owned[dim], dim))
            free = _free.get(self.plain)
            if free:
                return heapq.heappop(free)[1]
            dim = Dim(self.dims, self.batch, plain=self.plain)
            _owned[dim] = len(_owned)
            return dim

    @property
    def rows(self) -> int:
        """The size of the first dimension."""
        return self.dims[0] if self.dims else 1

    @property
    def columns(self) -> int:
        """The product of all dimensions after the first."""
        return math.prod(self.dims[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """The numpy shape of a value: the batch, if there is one, comes last."""
        return (*self.dims, self.batch) if self.batch > 1 else self.dims

    def __repr__(self) -> str:
        return f"{self.dims}" + (f" x {self.batch}" if self.batch > 1 else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return Dim.of, (self.dims, self.batch)


def checked_dims(name: str, dims: Dims, least: int = 1) -> tuple[int, ...]:
    """Sizes that a user gave, as a tuple of ints; each is at least `least`."""
    single = (
        dims.__class__ is int or (dims.__class__ is not tuple and not np.iterable(dims)) or isinstance(dims, Refusals)
    )
    given: Sequence[Any] = (dims,) if single else dims  # type: ignore[assignment]
    found = []
    for size in given:
        found.append(whole(name, "a dimension", size))
    sizes = tuple(found)
    if not sizes:
        raise ArgumentError(f"{name}: there must be at least one dimension, got (); (1,) is a single number")
    if min(sizes) < least:
        raise ArgumentError(f"{name}: every dimension must be at least {least}, got {sizes}")
    if len(sizes) > MAX_DIMS:
        raise ShapeError(f"{name}: {len(sizes)} dimensions, at most {MAX_DIMS} are possible: {sizes}")
    if (math.prod(sizes) or extent(sizes)) > MAX_TOTAL:
        raise ShapeError(f"{name}: an expression holds at most {MAX_TOTAL} numbers, not {sizes}")
    return sizes


def extent(sizes: Sequence[int]) -> int:
    """The product of sizes, but for those of 0: what must not be too large, even if there are no numbers at all."""
    return math.prod([size or 1 for size in sizes])


def checked_batch(name: str, batch_size: Index) -> int:
    """A batch size that a user gave."""
    batch = whole(name, "batch_size", batch_size)
    if not 1 <= batch <= MAX_TOTAL:
        raise ArgumentError(f"{name}: batch_size must be in 1..{MAX_TOTAL}, got {batch}")
    return batch
