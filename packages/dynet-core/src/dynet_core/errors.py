"""The exceptions of the library, one type for each kind of error.

Each type also derives from the built-in exceptions that DyNet 2.1 raises in the same case, so that programs written
for DyNet catch it.
"""

from __future__ import annotations


class DynetError(Exception):
    """The base class of all errors of this library."""


class ShapeError(DynetError, ValueError):
    """The dimensions or batch sizes of operands do not fit together, or do not fit the operation."""


class ArgumentError(DynetError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(DynetError, TypeError):
    """An argument has the wrong type."""


class ParameterNameError(ArgumentError, RuntimeError):
    """A parameter or a collection cannot have this name."""


class OutOfRangeError(DynetError, IndexError, ValueError, OverflowError):
    """An index is outside the dimension, lookup table or batch that it selects from."""


class DeviceError(DynetError, RuntimeError):
    """A device cannot be used, because another one is in use or something is missing. The message says which."""


class OutOfMemoryError(DynetError, MemoryError):
    """There is not enough memory."""


class StaleExpressionError(DynetError, RuntimeError, ValueError):
    """An expression cannot be used: `renew_cg` or `cg_revert` has removed its node, or it is another thread's."""


class GradientError(DynetError, RuntimeError):
    """A gradient does not exist or is not finite."""


class NotFiniteError(DynetError, RuntimeError):
    """A value is infinite or NaN, in a graph with `check_validity=True`."""


class FileFormatError(DynetError, ValueError, RuntimeError):
    """A file is damaged, or does not fit the model that reads it. The model has not been changed."""


class MissingFileError(DynetError, FileNotFoundError, RuntimeError):
    """A file that parameters were to be read from does not exist."""


class ParallelError(DynetError, RuntimeError):
    """The processes of a parallel training cannot connect, or do not agree with each other."""


class DynetWarning(RuntimeWarning):
    """A warning about a likely mistake. The message says what to do instead, and the program continues."""
