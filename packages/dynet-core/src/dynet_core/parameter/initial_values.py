"""The initial values of new parameters in memory order, and a limit on their number while a file is loaded."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..annotations import Floats
from ..errors import FileFormatError, OutOfMemoryError
from ..initializer import PyInitializer

# `_loading.floats`: how many initial values may still be made while this thread loads a file; None at other times.
_loading = threading.local()


@contextmanager
def at_most(floats: int) -> Iterator[None]:
    """Limit how many initial values a `with` block that loads a file makes: a small file must not take much memory.

    Beyond the limit, `initial_values` raises FileFormatError.
    """
    _loading.floats = floats
    try:
        yield
    finally:
        _loading.floats = None


def initial_values(initializer: PyInitializer, dims: tuple[int, ...], lookup: bool) -> Floats:
    """Return the initial values as a flat array, in memory order: column-major; for a lookup table, row after row."""
    left = getattr(_loading, "floats", None)
    if left is not None:
        _loading.floats = left - math.prod(dims)
        if _loading.floats < 0:
            raise FileFormatError(
                f"more parameters than the file holds: {math.prod(dims)} of {dims}, where {left} are left"
            )
    try:
        values = initializer.values(dims, lookup=lookup)
        return (np.moveaxis(values, 0, -1) if lookup else values).ravel(order="F")
    except MemoryError:
        count = math.prod(dims)
        raise OutOfMemoryError(f"there is not enough memory for the initial values of {count} numbers") from None
