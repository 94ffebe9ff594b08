"""Initializers, which make the initial values of parameters.

With the same seed, parameters made in the same order start with the same values as in DyNet 2.1. Random numbers are
drawn in memory order: column by column for a parameter, row by row for a lookup parameter. To write an initializer,
derive from `PyInitializer` and override only `draw`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .annotations import Floats, Number, Numbers
from .checks import real_array, unpacked, whole
from .errors import ArgumentTypeError, DynetError
from .messages.hints import add_argument_hints
from .messages.wording import shown
from .random.random_stream import stream

FLOAT32_LIMIT = 2.0**128 - 2.0**103  # numbers of at least this become infinity when rounded to float32


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
        if 0 in dim:
            return np.zeros(dim, np.float32)
        stored_dims = dim[1:] + dim[:1] if lookup else dim
        flat = np.asarray(self.draw(stored_dims), np.float32)
        if flat.shape != (math.prod(dim),):
            raise error(self, f"draw gave shape {flat.shape}, the parameter has {math.prod(dim)} values")
        array = flat.reshape(stored_dims, order="F")
        return np.moveaxis(array, -1, 0) if lookup else array


def error(initializer: PyInitializer, reason: str) -> InitializerError:
    return InitializerError(f"{type(initializer).__name__}: {reason}")


def checked_dim(initializer: PyInitializer, dim: Sequence[int]) -> tuple[int, ...]:
    """Check the dimensions of a parameter and return them as a tuple of ints."""
    dim = tuple([whole(type(initializer).__name__, "a dimension", size) for size in dim])
    if not dim or min(dim) < 0:
        raise error(initializer, f"dimensions must be 0 or more but the parameter is {dim}")
    return dim


def check_number(initializer: PyInitializer, field: str, least: float | None = None, may_be_inf: bool = False) -> None:
    """Check that an attribute is a float32 of at least `least`. Replace an array of size 1 by the number in it."""
    value = unpacked(getattr(initializer, field))
    object.__setattr__(initializer, field, value)  # because the dataclass is frozen
    if not isinstance(value, Real | np.bool_):
        raise ArgumentTypeError(f"{type(initializer).__name__}: {field} must be a number but got {value!r}")
    if value != value or is_beyond_float32(value) or not may_be_inf and abs(value) == math.inf:
        raise error(initializer, f"{field} must be a {'' if may_be_inf else 'finite '}float32, not {shown(value, 40)}")
    if least is not None and value < least:
        raise error(initializer, f"{field} must be {least} or more but got {value}")


def is_beyond_float32(number: Any) -> bool:
    """Return whether a number is finite, but becomes infinite when rounded to float32."""
    try:
        return FLOAT32_LIMIT <= abs(float(number)) < math.inf
    except OverflowError:
        return True


def initial_array(data: object, caller: str = "NumpyInitializer") -> Floats:
    """Copy an array or nested lists to a float32 array. `caller` is what the user called, for error messages."""
    return real_array(caller, data, uneven=InitializerError, strict=InitializerError)


@dataclass(frozen=True)
class NormalInitializer(PyInitializer):
    """Draws values from a normal distribution.

    Args:
        mean: the mean.
        var: the variance, 0 or more.

    Raises:
        InitializerError: the variance is negative, or an argument is not finite.
        ArgumentTypeError: an argument is not a number.

    >>> from dynet_core import reset_random_seed
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
    """Draws values uniformly from [-scale, scale].

    Args:
        scale: the largest magnitude, above 0.

    Raises:
        InitializerError: the scale is not above 0, or not finite.
        ArgumentTypeError: the scale is not a number.

    >>> from dynet_core import reset_random_seed
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
        check_number(self, "c", may_be_inf=True)

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

    The range is [-s, s] with s = gain * sqrt(3 n / (d1 + ... + dn)) for n dimensions d1, ..., dn. For a matrix, s is
    gain * sqrt(6 / (d1 + d2)). A parameter with four dimensions is treated as the filter of a convolution:
    s = gain * sqrt(6 / ((d3 + d4) d1 d2)).

    For a lookup parameter, the last dimension is the number of rows. As in DyNet, the formula includes it unless
    `is_lookup` is True: for 10 rows of size 5, s is 0.6325, or 0.7746 with `is_lookup=True`.

    Args:
        is_lookup: whether to leave the last dimension, a lookup parameter's number of rows, out of the formula.
        gain: a factor, 0 or more. It depends on the activation function f: 1 for tanh, 0.5 for ReLU, 4 for the sigmoid,
            1 / f'(0) for any smooth f.

    Raises:
        InitializerError: the gain is negative or not finite, or `is_lookup` leaves out the only dimension.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.

    >>> from dynet_core import reset_random_seed
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
        counted_dims = dim[:-1] if self.is_lookup else dim
        if not counted_dims:
            raise error(self, "is_lookup leaves no dimension to count, set it to False")
        if len(counted_dims) == 4:
            d1, d2, d3, d4 = counted_dims
            numerator, denominator = 6, (d3 + d4) * d1 * d2
        else:
            numerator, denominator = 3 * len(counted_dims), sum(counted_dims)
        # The order of these operations makes even the last bit of the result the same as in DyNet.
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
        # Libraries choose the signs of singular vectors differently. So choose them here: in each right vector, the
        # element of largest magnitude becomes positive.
        largest_indices = np.argmax(np.abs(right), axis=1)
        signs = np.sign(right[np.arange(side), largest_indices])
        return (np.float32(self.scale) * (left * signs).astype(np.float32)).reshape(-1, order="F")


@dataclass(frozen=True)
class FromFileInitializer(PyInitializer):
    """Reads the values from a text file.

    The file has one number for each element, separated by white space: column by column, or row by row for a lookup
    parameter. A missing or unreadable number is an error. (DyNet instead sets all elements from there on to zero.)

    Args:
        fname: the file's path.

    Raises:
        OSError: the file cannot be read.
        InitializerError: the file has more or fewer numbers than the parameter, text that is not a number, or a number
            that is too large for float32.

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
        if not isinstance(self.fname, str | bytes | os.PathLike):
            raise ArgumentTypeError(f"FromFileInitializer: fname must be a path but got {self.fname!r:.40}")

    def draw(self, dim: tuple[int, ...]) -> Floats:
        with open(self.fname, "rb") as file:
            words = file.read().split()
        if len(words) != math.prod(dim):
            raise error(self, f"{os.fsdecode(self.fname)} holds {len(words)} numbers but needs {math.prod(dim)}")
        return np.array([self._parse_number(word) for word in words], np.float32)

    def _parse_number(self, word: bytes) -> float:
        text = word[:40].decode("ascii", "replace")
        try:
            number = float(word.replace(b"_", b"?"))  # refuse 1_000, which Python would accept
        except ValueError:
            raise error(self, f"{os.fsdecode(self.fname)} holds {text!r}, which is not a number") from None
        if is_beyond_float32(number):
            raise error(self, f"{os.fsdecode(self.fname)} holds {text}, which float32 cannot hold")
        return number


@dataclass(frozen=True, eq=False)
class NumpyInitializer(PyInitializer):
    """Copies the values of an array. For a lookup parameter, the first dimension of the array is the number of rows.

    Args:
        array: real numbers, in an array or in lists, with the parameter's shape. Dimensions of size 1 are ignored,
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
        """Return a copy of the array, in the memory order of the parameter. Dimensions of size 1 need not match."""
        dim = checked_dim(self, dim)
        array = self.array
        if _without_ones(array.shape) != _without_ones(dim) or lookup and array.shape[:1] != dim[:1]:
            raise error(self, f"array is {array.shape}, the parameter is {dim}")
        array = array.reshape(dim)
        if not lookup:
            return np.array(array, order="F")
        return np.moveaxis(np.array(np.moveaxis(array, 0, -1), order="F"), -1, 0)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def symmetric_uniform(scale: Number, dim: tuple[int, ...]) -> Floats:
    """Draw values uniformly from [-scale, scale] for a parameter of dimensions `dim`. Return them as a flat array."""
    return stream().uniform(-scale, scale, math.prod(dim))


def side_of_square(initializer: PyInitializer, dim: tuple[int, ...]) -> int:
    """Return the number of rows of a square matrix. Raise InitializerError for any other shape `dim`."""
    if len(dim) != 2 or dim[0] != dim[1]:
        raise error(initializer, f"the parameter must be a square matrix but it is {dim}")
    return dim[0]


NAME_HINTS = {"xavier": "'glorot'", "xavier_uniform": "'glorot'", "orthogonal": "'saxe'", "zeros": "0", "ones": "1"}
NAME_HINTS |= {"kaiming": "'he'", "kaiming_normal": "'he'"}  # name in another library -> `init` to use here
INITIALIZER_NAMES = ("glorot", "he", "identity", "normal", "saxe", "uniform")
NAMES_TEXT = ", ".join(map(repr, INITIALIZER_NAMES))


def initializer_from(
    init: object,
    dim: Sequence[int],
    lookup: bool = False,
    *,
    scale: Number = 1.0,
    mean: Number = 0.0,
    std: Number = 1.0,
) -> PyInitializer:
    """Return the initializer for a user's argument `init=`.

    - None or "glorot": `GlorotInitializer()`; "identity": `IdentityInitializer()`
    - an initializer: itself; a number: `ConstInitializer`; an array, list or tuple: `NumpyInitializer`
    - "uniform": `UniformInitializer(scale)`; "saxe": `SaxeInitializer(scale)`
    - "normal": `NormalInitializer` with the mean `mean` and the standard deviation `std`
    - "he": as in DyNet 2.1, `NormalInitializer` with variance 0.5 / n, where n is the last dimension of the parameter,
      or of one row if it is a lookup parameter. In the source (He, Zhang, Ren and Sun, "Delving deep into rectifiers",
      2015), the variance is 2 / n.

    As in DyNet, `scale`, `mean` and `std` are ignored if the initializer does not use them. For a lookup parameter,
    `dim` has the number of rows first.

    >>> initializer_from(None, (3, 4))
    GlorotInitializer(is_lookup=False, gain=1.0)
    >>> initializer_from("he", (3, 4))
    NormalInitializer(mean=0, var=0.125)
    """
    init = "glorot" if init is None else init
    if isinstance(init, PyInitializer):
        return init
    if isinstance(init, np.ndarray | list | tuple) or hasattr(type(init), "__dlpack__"):
        return NumpyInitializer(initial_array(init, "init"))
    if isinstance(init, str):
        return _by_name(init, tuple(dim), lookup, scale, mean, std)
    if isinstance(init, Real | np.bool_):
        return ConstInitializer(cast(float, init))
    if isinstance(init, type) and issubclass(init, PyInitializer):
        raise ArgumentTypeError(f"init is the class {init.__name__}: pass an instance, {init.__name__}(...)")
    expected = f"None, an initializer, a number, an array or one of {NAMES_TEXT}"
    raise ArgumentTypeError(f"init must be {expected} but got {type(init).__name__}: {init!r:.100}")


def _by_name(name: str, dim: tuple[int, ...], lookup: bool, scale: Number, mean: Number, std: Number) -> PyInitializer:
    if name in ("glorot", "identity"):
        return GlorotInitializer() if name == "glorot" else IdentityInitializer()
    if name in ("uniform", "saxe"):
        return UniformInitializer(scale) if name == "uniform" else SaxeInitializer(scale)
    if name == "normal":
        std = unpacked(std)
        if not isinstance(std, Real | np.bool_):
            raise ArgumentTypeError(f"init='normal': std must be a number but got {std!r}")
        if std < 0:
            raise InitializerError(f"init='normal': std must be 0 or more but got {std}")
        return NormalInitializer(mean, float(std) * float(std))
    if name == "he":
        dims = dim[1:] if lookup else dim
        if not dims:
            raise InitializerError(f"init='he': the rows of a {dim} lookup parameter have no dimension")
        return NormalInitializer(var=0.5 / max(dims[-1], 1))
    hint = NAME_HINTS.get(name) or ", ".join(map(repr, get_close_matches(name, INITIALIZER_NAMES, 1)))
    raise InitializerError(f"init is {name!r:.40}, which is none of {NAMES_TEXT}{': use ' * bool(hint)}{hint}")


# Let errors about wrong arguments of initializers say what to use. IdentityInitializer has no arguments.
add_argument_hints(*[cls for cls in PyInitializer.__subclasses__() if cls is not IdentityInitializer])
