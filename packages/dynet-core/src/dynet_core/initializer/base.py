"""The base class of initializers, and checks of their arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..annotations import Array
from ..checks import whole
from ..errors import ArgumentTypeError, DynetError

FLOAT32_LIMIT = 2.0**128 - 2.0**103  # numbers from here on round to infinity in float32


class InitializerError(DynetError, ValueError):
    """An initializer has an argument that is not allowed, or does not fit the parameter."""


class PyInitializer:
    """Base class of initializers: a subclass overrides `draw`.

    >>> class Ramp(PyInitializer):
    ...     def draw(self, dim):
    ...         return np.arange(np.prod(dim))
    >>> Ramp().values((2, 3))
    array([[0., 2., 4.],
           [1., 3., 5.]], dtype=float32)
    >>> Ramp().values((2, 3), lookup=True)
    array([[0., 1., 2.],
           [3., 4., 5.]], dtype=float32)
    """

    def draw(self, dim: tuple[int, ...]) -> Array:
        """Return one value for each element, as a flat array in column-major order.

        Args:
            dim: the dimensions as stored: of a lookup parameter, the lookup dimension is last.
        """
        raise NotImplementedError(f"{type(self).__name__} must override draw")

    def values(self, dim: Sequence[int], lookup: bool = False) -> Array:
        """Return the initial values as a new float32 array of shape `dim`, in the memory order of the parameter.

        Args:
            dim: the parameter's shape as users write it.
            lookup: whether this is a lookup parameter, whose first dimension counts rows.

        Raises:
            InitializerError: the initializer does not fit `dim`.
        """
        dim = checked_dim(self, dim)
        if 0 in dim:  # there is nothing to draw
            return np.zeros(dim, np.float32)
        stored = dim[1:] + dim[:1] if lookup else dim
        flat = np.asarray(self.draw(stored), np.float32)
        if flat.shape != (math.prod(dim),):
            raise error(self, f"draw gave shape {flat.shape}, the parameter has {math.prod(dim)} values")
        array = flat.reshape(stored, order="F")
        return np.moveaxis(array, -1, 0) if lookup else array


def error(initializer: PyInitializer, reason: str) -> InitializerError:
    """Return an error that names the class of the initializer."""
    return InitializerError(f"{type(initializer).__name__}: {reason}")


def checked_dim(initializer: PyInitializer, dim: Sequence[int]) -> tuple[int, ...]:
    """Return the dimensions as a tuple of ints; raise unless there is one and none is negative."""
    dim = tuple([whole(type(initializer).__name__, "a dimension", size) for size in dim])
    if not dim or min(dim) < 0:
        raise error(initializer, f"dimensions must be 0 or more but the parameter is {dim}")
    return dim


def check_number(initializer: PyInitializer, field: str, least: float | None = None, infinite: bool = False) -> None:
    """Raise unless a field is a number that float32 holds, at least `least`, and finite unless `infinite`."""
    value = getattr(initializer, field)
    if not isinstance(value, (Real, np.bool_)):
        raise ArgumentTypeError(f"{type(initializer).__name__}: {field} must be a number but got {value!r}")
    if value != value or beyond_float32(value) or (not infinite and abs(value) == math.inf):
        raise error(initializer, f"{field} must be a {'' if infinite else 'finite '}float32 but got {value}")
    if least is not None and value < least:
        raise error(initializer, f"{field} must be {least} or more but got {value}")


def beyond_float32(number: Any) -> bool:
    """Whether a finite number is too large for float32."""
    try:
        return FLOAT32_LIMIT <= abs(float(number)) < math.inf
    except OverflowError:
        return True


def real_array(data: object) -> Array:
    """Return a float32 copy of `data`.

    Raises:
        InitializerError: the data are not real numbers, or too large for float32.
    """
    try:
        array = np.asarray(data)
    except ValueError:
        raise InitializerError("NumpyInitializer: the rows of array differ in length") from None
    if array.dtype.kind not in "biuf":
        raise InitializerError(f"NumpyInitializer: array must hold real numbers but holds {array.dtype}")
    with np.errstate(over="ignore"):
        copy = array.astype(np.float32)
    if np.any(np.isinf(copy) & np.isfinite(array)):
        raise InitializerError("NumpyInitializer: array holds values that float32 cannot hold")
    return copy
