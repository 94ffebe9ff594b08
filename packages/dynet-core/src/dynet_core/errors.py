"""What can go wrong, one type per kind. Messages name the op, its operands and the values.

Each type is also of the built-in types that DyNet 2.1 raises in its place: programs written for it catch these.
"""

from __future__ import annotations


class DynetError(Exception):
    """The base of every error that this library raises by itself."""


class ShapeError(DynetError, ValueError):
    """Dimensions or batch sizes that an op cannot take."""


class ArgumentError(DynetError, ValueError):
    """An argument whose value an op or object cannot take."""


class ArgumentTypeError(DynetError, TypeError):
    """An argument of the wrong type."""


class ParameterNameError(ArgumentError, RuntimeError):
    """A name that a parameter or a collection cannot have."""


class OutOfRangeError(DynetError, IndexError, ValueError, OverflowError):
    """An index outside its dimension, table or batch."""


class DeviceError(DynetError, RuntimeError):
    """A device that was asked for and cannot be used: something is missing, which the message names, or another is in
    use."""


class OutOfMemoryError(DynetError, MemoryError):
    """Numbers for which there is not enough memory."""


class StaleExpressionError(DynetError, RuntimeError, ValueError):
    """An expression of a graph that is gone, or of another thread's graph."""


class GradientError(DynetError, RuntimeError):
    """A gradient that does not exist or is not finite."""


class NotFiniteError(DynetError, RuntimeError):
    """A value that is infinite or NaN, in a graph that was asked to check for them."""


class FileFormatError(DynetError, ValueError, RuntimeError):
    """A file that is damaged or does not fit: nothing has been taken from it."""


class MissingFileError(DynetError, FileNotFoundError, RuntimeError):
    """A file of parameters that is not there."""


class DynetWarning(RuntimeWarning):
    """What a program most likely did not mean, and what may be done: it goes on."""
