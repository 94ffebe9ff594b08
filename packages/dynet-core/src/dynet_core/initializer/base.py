"""The base class of initializers, and checks of their arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..annotations import Floats
from ..checks import real_array, single, whole
from ..errors import ArgumentTypeError, DynetError
from ..messages.wording import shown

FLOAT32_LIMIT = 2.0**128 - 2.0**103  # this number and all larger ones become infinity when rounded to float32


class InitializerError(DynetError, ValueError):
    """An argument of an initializer is not allowed, or the initializer does not fit the shape of the parameter."""


class PyInitializer:
    """The base class of initializers. A subclass overrides `draw`; users call `values`.

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

    __slots__ = ()

    def draw(self, dim: tuple[int, ...]) -> Floats:
        """Return the initial values of a parameter of dimensions `dim`, as a flat array in column-major order.

        Args:
            dim: the dimensions in memory order: for a lookup parameter, the number of rows is last.
        """
        raise NotImplementedError(f"{type(self).__name__} must override draw")

    def values(self, dim: Sequence[int], lookup: bool = False) -> Floats:
        """Return the initial values as a new float32 array of shape `dim`, in the memory order of the parameter.

        Args:
            dim: the parameter's shape as users write it: for a lookup parameter, the number of rows is first.
            lookup: whether this is a lookup parameter.

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
    return InitializerError(f"{type(initializer).__name__}: {reason}")


def checked_dim(initializer: PyInitializer, dim: Sequence[int]) -> tuple[int, ...]:
    """Check the dimensions of a parameter and return them as a tuple of ints."""
    dim = tuple([whole(type(initializer).__name__, "a dimension", size) for size in dim])
    if not dim or min(dim) < 0:
        raise error(initializer, f"dimensions must be 0 or more but the parameter is {dim}")
    return dim


def check_number(initializer: PyInitializer, field: str, least: float | None = None, infinite: bool = False) -> None:
    """Check that an attribute of an initializer is a number that float32 can hold, and at least `least`.

    If it is an array of one number, replace it by this number.
    """
    value = single(getattr(initializer, field))
    object.__setattr__(initializer, field, value)  # the initializer is frozen
    if not isinstance(value, (Real, np.bool_)):
        raise ArgumentTypeError(f"{type(initializer).__name__}: {field} must be a number but got {value!r}")
    if value != value or beyond_float32(value) or (not infinite and abs(value) == math.inf):
        raise error(initializer, f"{field} must be a {'' if infinite else 'finite '}float32, not {shown(value, 40)}")
    if least is not None and value < least:
        raise error(initializer, f"{field} must be {least} or more but got {value}")


def beyond_float32(number: Any) -> bool:
    """Return whether a number is finite, but would become infinite if it were rounded to float32."""
    try:
        return FLOAT32_LIMIT <= abs(float(number)) < math.inf
    except OverflowError:
        return True


def initial_array(data: object, name: str = "NumpyInitializer") -> Floats:
    """Return a copy of an array or nested lists as a float32 array. `name` is what the user called, for messages."""
    return real_array(name, data, uneven=InitializerError, refused=InitializerError, too_large=InitializerError)
