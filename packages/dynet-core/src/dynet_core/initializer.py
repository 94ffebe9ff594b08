"""Initial values of parameters: with the same seed, and created in the same order, equal to DyNet 2.1's.

DyNet stores a parameter column by column, a lookup parameter row after row: its lookup dimension, the first
that users see, is the last one stored. All draws follow that order. A new initializer overrides `draw` alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dynet_core.annotations import Array, Number, Numbers
from dynet_core.checks import whole
from dynet_core.errors import ArgumentTypeError, DynetError
from dynet_core.random_stream import stream

__all__ = [
    "ConstInitializer",
    "FromFileInitializer",
    "GlorotInitializer",
    "IdentityInitializer",
    "InitializerError",
    "NormalInitializer",
    "NumpyInitializer",
    "PyInitializer",
    "SaxeInitializer",
    "UniformInitializer",
    "initializer_from",
]

# From here on numbers round to infinity in float32.
FLOAT32_LIMIT = 2.0**128 - 2.0**103
NAMES = ("glorot", "he", "identity", "normal", "saxe", "uniform")


class InitializerError(DynetError, ValueError):
    """An initializer was given a value it cannot use, or does not fit the parameter."""


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
        """One value for each element, flat and in column-major order.

        Arguments: `dim`, the dimensions as stored, so the lookup dimension last.
        """
        raise NotImplementedError(f"{type(self).__name__} must override draw")

    def values(self, dim: Sequence[int], lookup: bool = False) -> Array:
        """The initial values as a new float32 array of shape `dim`.

        Arguments: `dim`, the parameter's shape as users write it; `lookup`, whether its first dimension
        counts the rows of a lookup parameter. The array's memory is in stored order: column-major, for
        lookups row after row.
        Errors: InitializerError when the initializer does not fit `dim`.
        """
        dim = _checked_dim(self, dim)
        if 0 in dim:  # there is nothing to draw
            return np.zeros(dim, np.float32)
        stored = dim[1:] + dim[:1] if lookup else dim
        flat = np.asarray(self.draw(stored), np.float32)
        if flat.shape != (math.prod(dim),):
            raise _error(self, f"draw gave shape {flat.shape}, the parameter has {math.prod(dim)} values")
        array = flat.reshape(stored, order="F")
        return np.moveaxis(array, -1, 0) if lookup else array


@dataclass(frozen=True)
class NormalInitializer(PyInitializer):
    """Normally distributed values.

    Arguments: `mean`; `var`, the variance, 0 or more.
    Errors: InitializerError for a negative variance and for values that are not finite, TypeError for
    non-numbers.

    >>> from dynet_core.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> NormalInitializer(mean=10, var=4).values((3,))
    array([10.612799, 10.312131,  9.151228], dtype=float32)
    """

    mean: Number = 0
    var: Number = 1

    def __post_init__(self) -> None:
        _check_number(self, "mean")
        _check_number(self, "var", least=0)

    def draw(self, dim: tuple[int, ...]) -> Array:
        return stream().normal(self.mean, np.sqrt(np.float32(self.var)), math.prod(dim))


@dataclass(frozen=True)
class UniformInitializer(PyInitializer):
    """Values spread evenly over [-scale, scale].

    Arguments: `scale`, above 0.
    Errors: InitializerError for a scale that is not above 0 or not finite, TypeError for non-numbers.

    >>> from dynet_core.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> UniformInitializer(0.1).values((3,))
    array([-0.0165956 ,  0.09943696,  0.04406491], dtype=float32)
    """

    scale: Number

    def __post_init__(self) -> None:
        _check_number(self, "scale", least=0)
        if self.scale == 0:
            raise _error(self, "scale must be above 0 but got 0")

    def draw(self, dim: tuple[int, ...]) -> Array:
        return _symmetric_uniform(self.scale, dim)


@dataclass(frozen=True)
class ConstInitializer(PyInitializer):
    """The same value everywhere.

    Arguments: `c`, the value; infinities are allowed, NaN is not.
    Errors: InitializerError for NaN and for numbers beyond float32, TypeError for non-numbers.

    >>> ConstInitializer(0.5).values((2, 2))
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """

    c: Number

    def __post_init__(self) -> None:
        _check_number(self, "c", infinite=True)

    def draw(self, dim: tuple[int, ...]) -> Array:
        return np.full(math.prod(dim), self.c, np.float32)


@dataclass(frozen=True)
class IdentityInitializer(PyInitializer):
    """The identity matrix.

    Errors: InitializerError when the parameter is not a square matrix.

    >>> IdentityInitializer().values((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    def draw(self, dim: tuple[int, ...]) -> Array:
        return np.eye(_side_of_square(self, dim), dtype=np.float32).reshape(-1)


@dataclass(frozen=True)
class GlorotInitializer(PyInitializer):
    """Values spread evenly over a range that keeps the variance of signals from layer to layer.

    The range is [-s, s] with s = gain * sqrt(3 n / (d1 + ... + dn)) for n dimensions, which for a matrix is
    gain * sqrt(6 / (d1 + d2)). Exactly four dimensions are taken as a filter:
    s = gain * sqrt(6 / ((d3 + d4) d1 d2)).

    Like DyNet's, this counts a lookup parameter's first dimension too, unless `is_lookup` is set: a (10, 5)
    lookup gets s = 0.6325, with `is_lookup=True` 0.7746. Dimensions are counted as stored, the lookup
    dimension last.

    Arguments: `is_lookup`, whether to leave out the last dimension stored; `gain`, 0 or more, which depends
    on the activation function: 1 for tanh, 0.5 for ReLU, 4 for the sigmoid, 1 / f'(0) for any smooth f.
    Errors: InitializerError for a gain that is negative or not finite, and where no dimension is left to
    count.
    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.

    >>> from dynet_core.random_stream import reset_random_seed
    >>> reset_random_seed(1)
    >>> GlorotInitializer().values((2, 2))
    array([[-0.20325379,  0.5396827 ],
           [ 1.2178491 ,  1.0595448 ]], dtype=float32)
    """

    is_lookup: bool = False
    gain: Number = 1.0

    def __post_init__(self) -> None:
        _check_number(self, "gain", least=0)

    def draw(self, dim: tuple[int, ...]) -> Array:
        counted = dim[:-1] if self.is_lookup else dim
        if not counted:
            raise _error(self, "is_lookup leaves no dimension to count, set it to False")
        if len(counted) == 4:
            numerator, denominator = 6, (counted[2] + counted[3]) * counted[0] * counted[1]
        else:
            numerator, denominator = 3 * len(counted), sum(counted)
        # The order of operations decides the last bit.
        scale = float(np.float32(self.gain)) * math.sqrt(numerator) / math.sqrt(denominator)
        return _symmetric_uniform(scale, dim)


@dataclass(frozen=True)
class SaxeInitializer(PyInitializer):
    """A random orthonormal matrix, times `scale`.

    The left singular vectors of a matrix whose elements are uniform over [-1, 1]. It reads from the stream
    what DyNet's reads and equals it to about 1e-5, up to the signs of the columns.

    Arguments: `scale`, 0 or more.
    Errors: InitializerError for a scale that is negative or not finite, and when the parameter is not square.
    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.

    >>> q = SaxeInitializer(2).values((3, 3))
    >>> bool(np.allclose(q.T @ q, 4 * np.eye(3), atol=1e-5))
    True
    """

    scale: Number = 1.0

    def __post_init__(self) -> None:
        _check_number(self, "scale", least=0)

    def draw(self, dim: tuple[int, ...]) -> Array:
        side = _side_of_square(self, dim)
        matrix = _symmetric_uniform(1, dim).reshape(dim, order="F").astype(np.float64)
        left, _, right = np.linalg.svd(matrix)
        # The decomposition leaves the sign of each pair of vectors open: the right one's largest element
        # fixes it, so that it does not depend on the library.
        largest = np.argmax(np.abs(right), axis=1)
        signs = np.sign(right[np.arange(side), largest])
        return (np.float32(self.scale) * (left * signs).astype(np.float32)).reshape(-1, order="F")


@dataclass(frozen=True)
class FromFileInitializer(PyInitializer):
    """Numbers read from a text file, in the order in which they are stored.

    The file holds one number per element, separated by white space: column by column, for a lookup parameter
    row after row. Where DyNet sets the rest to zero because a number is missing or unreadable, this is an
    error.

    Arguments: `fname`, the file's path.
    Errors: OSError when the file cannot be read; InitializerError for another count of numbers, for something
    that is not a number, and for numbers beyond float32.

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

    def draw(self, dim: tuple[int, ...]) -> Array:
        with open(self.fname, "rb") as file:
            words = file.read().split()
        if len(words) != math.prod(dim):
            raise _error(self, f"{self._path()} holds {len(words)} numbers but needs {math.prod(dim)}")
        return np.array([self._number(word) for word in words], np.float32)

    def _number(self, word: bytes) -> float:
        shown = word[:40].decode("ascii", "replace")
        try:
            # Python reads 1_000 as a number, other programs do not.
            number = float(word.replace(b"_", b"?"))
        except ValueError:
            raise _error(self, f"{self._path()} holds {shown!r}, which is not a number") from None
        if _beyond_float32(number):
            raise _error(self, f"{self._path()} holds {shown}, which float32 cannot hold")
        return number

    def _path(self) -> str:
        return os.fsdecode(self.fname)


@dataclass(frozen=True, eq=False)
class NumpyInitializer(PyInitializer):
    """A copy of an array, for a lookup parameter with one entry of the first dimension per row.

    Arguments: `array`, of the parameter's shape: real numbers, or what numpy turns into an array of them.
    Errors: InitializerError when `array` is no array of real numbers, when float32 cannot hold its values, or
    when its shape is not the parameter's.

    >>> NumpyInitializer([[1, 2], [3, 4]]).values((2, 2))
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """

    array: Array

    if TYPE_CHECKING:

        def __init__(self, array: Numbers) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", _real_array(self.array))

    def values(self, dim: Sequence[int], lookup: bool = False) -> Array:
        """As in the base class; nothing is drawn, the array has the shape that users see."""
        dim = _checked_dim(self, dim)
        if self.array.shape != dim:
            raise _error(self, f"array is {self.array.shape}, the parameter is {dim}")
        stored = np.array(np.moveaxis(self.array, 0, -1) if lookup else self.array, order="F")
        return np.moveaxis(stored, -1, 0) if lookup else stored


def initializer_from(
    init: object,
    dim: Sequence[int],
    lookup: bool = False,
    *,
    scale: Number = 1.0,
    mean: Number = 0.0,
    std: Number = 1.0,
) -> PyInitializer:
    """The initializer that a user's `init=` means.

    - None or "glorot": `GlorotInitializer()`
    - an initializer: itself
    - a number: `ConstInitializer`
    - an array, list or tuple: `NumpyInitializer`
    - "uniform", "saxe": of that `scale`; "normal": of that `mean` and `std`; "identity"
    - "he": normal with variance 0.5 / n, n the parameter's last dimension, as DyNet 2.1 has it

    As in DyNet, `scale`, `mean` and `std` are ignored by what does not use them.

    Arguments: `dim` and `lookup`, the parameter's shape as for `PyInitializer.values`.
    Errors: InitializerError for an unknown name and for values an initializer refuses, TypeError for other
    types.
    Source of "he": He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015, with variance 2 / n.

    >>> initializer_from(None, (3, 4))
    GlorotInitializer(is_lookup=False, gain=1.0)
    >>> initializer_from("he", (3, 4))
    NormalInitializer(mean=0, var=0.125)
    >>> initializer_from(2, (3, 4))
    ConstInitializer(c=2)
    """
    if init is None:
        return GlorotInitializer()
    if isinstance(init, PyInitializer):
        return init
    if isinstance(init, (np.ndarray, list, tuple)):
        return NumpyInitializer(_real_array(init))
    if isinstance(init, str):
        return _named(init, tuple(dim), lookup, scale, mean, std)
    if isinstance(init, (Real, np.bool_)):
        return ConstInitializer(cast(float, init))
    if isinstance(init, type) and issubclass(init, PyInitializer):
        raise ArgumentTypeError(f"init is the class {init.__name__}: pass an instance, {init.__name__}(...)")
    kinds = f"None, an initializer, a number, an array or one of {_names()}"
    raise ArgumentTypeError(f"init must be {kinds} but got {type(init).__name__}")


def _named(name: str, dim: tuple[int, ...], lookup: bool, scale: Number, mean: Number, std: Number) -> PyInitializer:
    if name == "glorot":
        return GlorotInitializer()
    if name == "uniform":
        return UniformInitializer(scale)
    if name == "saxe":
        return SaxeInitializer(scale)
    if name == "identity":
        return IdentityInitializer()
    if name == "normal":
        if not isinstance(std, Real):
            raise ArgumentTypeError(f"init='normal': std must be a number but got {std!r}")
        if std < 0:
            raise InitializerError(f"init='normal': std must be 0 or more but got {std}")
        return NormalInitializer(mean, float(std) * float(std))
    if name == "he":
        size = dim[1:] if lookup else dim
        if not size:
            raise InitializerError(f"init='he': the rows of a {dim} lookup parameter have no dimension")
        return NormalInitializer(var=0.5 / max(size[-1], 1))
    raise InitializerError(f"init is {name!r}, which is none of {_names()}")


def _names() -> str:
    return ", ".join(repr(name) for name in NAMES)


def _error(initializer: PyInitializer, reason: str) -> InitializerError:
    return InitializerError(f"{type(initializer).__name__}: {reason}")


def _symmetric_uniform(scale: Number, dim: tuple[int, ...]) -> Array:
    return stream().uniform(-scale, scale, math.prod(dim))


def _side_of_square(initializer: PyInitializer, dim: tuple[int, ...]) -> int:
    if len(dim) != 2 or dim[0] != dim[1]:
        raise _error(initializer, f"the parameter must be a square matrix but it is {dim}")
    return dim[0]


def _checked_dim(initializer: PyInitializer, dim: Sequence[int]) -> tuple[int, ...]:
    dim = tuple([whole(type(initializer).__name__, "a dimension", size) for size in dim])
    if not dim or min(dim) < 0:
        raise _error(initializer, f"dimensions must be 0 or more but the parameter is {dim}")
    return dim


def _check_number(initializer: PyInitializer, field: str, least: float | None = None, infinite: bool = False) -> None:
    value = getattr(initializer, field)
    if not isinstance(value, (Real, np.bool_)):
        raise ArgumentTypeError(f"{type(initializer).__name__}: {field} must be a number but got {value!r}")
    if value != value or _beyond_float32(value) or (not infinite and abs(value) == math.inf):
        raise _error(initializer, f"{field} must be a {'' if infinite else 'finite '}float32 but got {value}")
    if least is not None and value < least:
        raise _error(initializer, f"{field} must be {least} or more but got {value}")


def _beyond_float32(number: Any) -> bool:
    try:
        return FLOAT32_LIMIT <= abs(float(number)) < math.inf
    except OverflowError:
        return True


def _real_array(data: object) -> Array:
    """A float32 copy of `data`, refused where that would lose more than precision."""
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
