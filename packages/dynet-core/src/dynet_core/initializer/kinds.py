"""DyNet's initializers: random distributions, constants, the identity matrix, and values from files or arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..annotations import Floats, Number, Numbers
from ..errors import ArgumentTypeError
from ..random.random_stream import stream
from .base import PyInitializer, beyond_float32, check_number, checked_dim, error, initial_array


@dataclass(frozen=True)
class NormalInitializer(PyInitializer):
    """Draws values from a normal distribution.

    Args:
        mean: the mean.
        var: the variance, 0 or more.

    Raises:
        InitializerError: the variance is negative, or an argument is not finite.
        ArgumentTypeError: an argument is not a number.

    >>> from dynet_core.random.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> NormalInitializer(mean=10, var=4).values((3,))
    array([10.612799, 10.312131,  9.151228], dtype=float32)
    """

    mean: Number = 0
    var: Number = 1

    def __post_init__(self) -> None:
        check_number(self, "mean")
        check_number(self, "var", least=0)

    def draw(self, dim: tuple[int, ...]) -> Floats:
        return stream().normal(self.mean, np.sqrt(np.float32(self.var)), math.prod(dim))


@dataclass(frozen=True)
class UniformInitializer(PyInitializer):
    """Draws values that are distributed uniformly over [-scale, scale].

    Args:
        scale: the largest magnitude, above 0.

    Raises:
        InitializerError: the scale is not above 0, or not finite.
        ArgumentTypeError: the scale is not a number.

    >>> from dynet_core.random.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> UniformInitializer(0.1).values((3,))
    array([-0.0165956 ,  0.09943696,  0.04406491], dtype=float32)
    """

    scale: Number

    def __post_init__(self) -> None:
        check_number(self, "scale", least=0)
        if self.scale == 0:
            raise error(self, "scale must be above 0 but got 0")

    def draw(self, dim: tuple[int, ...]) -> Floats:
        return symmetric_uniform(self.scale, dim)


@dataclass(frozen=True)
class ConstInitializer(PyInitializer):
    """Gives all elements the same value.

    Args:
        c: the value. Infinities are allowed, NaN is not.

    Raises:
        InitializerError: the value is NaN, or too large for float32.
        ArgumentTypeError: the value is not a number.

    >>> ConstInitializer(0.5).values((2, 2))
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """

    c: Number

    def __post_init__(self) -> None:
        check_number(self, "c", infinite=True)

    def draw(self, dim: tuple[int, ...]) -> Floats:
        return np.full(math.prod(dim), self.c, np.float32)


@dataclass(frozen=True)
class IdentityInitializer(PyInitializer):
    """Gives a square matrix the values of the identity matrix.

    Raises:
        InitializerError: the parameter is not a square matrix.

    >>> IdentityInitializer().values((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    def draw(self, dim: tuple[int, ...]) -> Floats:
        return np.eye(side_of_square(self, dim), dtype=np.float32).reshape(-1)


@dataclass(frozen=True)
class GlorotInitializer(PyInitializer):
    """Draws values uniformly from a range that keeps the variance of signals the same from layer to layer.

    The range is [-s, s] with s = gain * sqrt(3 n / (d1 + ... + dn)) for n dimensions d1, ..., dn. For a matrix this is
    gain * sqrt(6 / (d1 + d2)). A parameter with four dimensions is taken as the filter of a convolution:
    s = gain * sqrt(6 / ((d3 + d4) d1 d2)).

    For a lookup parameter, the last of these dimensions is the number of rows. As in DyNet, it counts like the others
    unless `is_lookup` is True: a lookup parameter of 10 rows of size 5 gets s = 0.6325, or 0.7746 with
    `is_lookup=True`.

    Args:
        is_lookup: whether to leave the last dimension out of the formula. In a lookup parameter, it is the number of
            rows.
        gain: a factor, 0 or more. It depends on the activation function f: 1 for tanh, 0.5 for ReLU, 4 for the sigmoid,
            1 / f'(0) for any smooth f.

    Raises:
        InitializerError: the gain is negative or not finite, or `is_lookup` leaves out the only dimension.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.

    >>> from dynet_core.random.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> GlorotInitializer().values((2, 2))
    array([[-0.20325379,  0.5396827 ],
           [ 1.2178491 ,  1.0595448 ]], dtype=float32)
    """

    is_lookup: bool = False
    gain: Number = 1.0

    def __post_init__(self) -> None:
        check_number(self, "gain", least=0)

    def draw(self, dim: tuple[int, ...]) -> Floats:
        counted = dim[:-1] if self.is_lookup else dim
        if not counted:
            raise error(self, "is_lookup leaves no dimension to count, set it to False")
        if len(counted) == 4:
            numerator, denominator = 6, (counted[2] + counted[3]) * counted[0] * counted[1]
        else:
            numerator, denominator = 3 * len(counted), sum(counted)
        # In this order, even the last bit of the result is the same as in DyNet.
        scale = float(np.float32(self.gain)) * math.sqrt(numerator) / math.sqrt(denominator)
        return symmetric_uniform(scale, dim)


@dataclass(frozen=True)
class SaxeInitializer(PyInitializer):
    """Gives a square matrix the values of a random orthonormal matrix, times `scale`.

    The columns of the orthonormal matrix are the left singular vectors of a matrix whose elements are drawn uniformly
    from [-1, 1]. For the same seed, the values equal DyNet's to about 1e-5, except for the signs of columns.

    Args:
        scale: the factor, 0 or more.

    Raises:
        InitializerError: the scale is negative or not finite, or the parameter is not a square matrix.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.

    >>> q = SaxeInitializer(2).values((3, 3))
    >>> bool(np.allclose(q.T @ q, 4 * np.eye(3), atol=1e-5))
    True
    """

    scale: Number = 1.0

    def __post_init__(self) -> None:
        check_number(self, "scale", least=0)

    def draw(self, dim: tuple[int, ...]) -> Floats:
        side = side_of_square(self, dim)
        matrix = symmetric_uniform(1, dim).reshape(dim, order="F").astype(np.float64)
        left, _, right = np.linalg.svd(matrix)
        # Libraries choose the signs of singular vectors differently. So choose them here: those that make the element
        # of largest magnitude of each right vector positive.
        largest = np.argmax(np.abs(right), axis=1)
        signs = np.sign(right[np.arange(side), largest])
        return (np.float32(self.scale) * (left * signs).astype(np.float32)).reshape(-1, order="F")


@dataclass(frozen=True)
class FromFileInitializer(PyInitializer):
    """Reads the values from a text file.

    The file has one number for each element, separated by white space: column by column, or row after row for a lookup
    parameter. A missing or unreadable number is an error; DyNet would set it and all following ones to zero.

    Args:
        fname: the file's path.

    Raises:
        OSError: the file cannot be read.
        InitializerError: the file has more or fewer numbers than the parameter, or something in it is not a number, or
            a number is too large for float32.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("1 2 3\\n4 5 6\\n")
    ...     file.flush()
    ...     FromFileInitializer(file.name).values((2, 3))
    array([[1., 3., 5.],
           [2., 4., 6.]], dtype=float32)
    """

    fname: str | bytes | os.PathLike[str]

    def __post_init__(self) -> None:
        if not isinstance(self.fname, (str, bytes, os.PathLike)):
            raise ArgumentTypeError(f"FromFileInitializer: fname must be a path but got {self.fname!r:.40}")

    def draw(self, dim: tuple[int, ...]) -> Floats:
        with open(self.fname, "rb") as file:
            words = file.read().split()
        if len(words) != math.prod(dim):
            raise error(self, f"{self._path()} holds {len(words)} numbers but needs {math.prod(dim)}")
        return np.array([self._number(word) for word in words], np.float32)

    def _number(self, word: bytes) -> float:
        shown = word[:40].decode("ascii", "replace")
        try:
            # Python accepts 1_000 as a number; other programs do not.
            number = float(word.replace(b"_", b"?"))
        except ValueError:
            raise error(self, f"{self._path()} holds {shown!r}, which is not a number") from None
        if beyond_float32(number):
            raise error(self, f"{self._path()} holds {shown}, which float32 cannot hold")
        return number

    def _path(self) -> str:
        return os.fsdecode(self.fname)


@dataclass(frozen=True, eq=False)
class NumpyInitializer(PyInitializer):
    """Copies the values of an array. For a lookup parameter, the first dimension of the array counts the rows.

    Args:
        array: real numbers, in an array or in lists, with the parameter's shape. Dimensions of size 1 do not count,
            except the number of rows of a lookup parameter.

    Raises:
        InitializerError: `array` is not an array of real numbers, a value is too large for float32, or the parameter
            has a different shape.

    >>> NumpyInitializer([[1, 2], [3, 4]]).values((2, 2))
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """

    array: Floats

    if TYPE_CHECKING:

        def __init__(self, array: Numbers) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", initial_array(self.array))

    def values(self, dim: Sequence[int], lookup: bool = False) -> Floats:
        """Return a copy of the array, in the memory order of the parameter.

        Dimensions of size 1 of `dim` and of the array need not agree.
        """
        dim = checked_dim(self, dim)
        array = self.array
        if _without_ones(array.shape) != _without_ones(dim) or (lookup and array.shape[:1] != dim[:1]):
            raise error(self, f"array is {array.shape}, the parameter is {dim}")
        array = array.reshape(dim)
        stored = np.array(np.moveaxis(array, 0, -1) if lookup else array, order="F")
        return np.moveaxis(stored, -1, 0) if lookup else stored


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def symmetric_uniform(scale: Number, dim: tuple[int, ...]) -> Floats:
    """Draw a value uniformly from [-scale, scale] for each element of a parameter. Return them as a flat array."""
    return stream().uniform(-scale, scale, math.prod(dim))


def side_of_square(initializer: PyInitializer, dim: tuple[int, ...]) -> int:
    """Return the number of rows of a square matrix of shape `dim`. Refuse other shapes."""
    if len(dim) != 2 or dim[0] != dim[1]:
        raise error(initializer, f"the parameter must be a square matrix but it is {dim}")
    return dim[0]
