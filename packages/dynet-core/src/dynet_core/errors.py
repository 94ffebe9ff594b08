"""The exceptions, one type for each kind of error. Messages name the op, its operands and the values.

Each type also derives from the built-in exceptions that DyNet 2.1 raises instead, so that programs for DyNet catch it.
"""

from __future__ import annotations


class DynetError(Exception):
    """The base class of all errors of this library."""


class ShapeError(DynetError, ValueError):
    """The operands' dimensions or batch sizes do not fit the op."""


class ArgumentError(DynetError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(DynetError, TypeError):
    """An argument has the wrong type."""


class ParameterNameError(ArgumentError, RuntimeError):
    """A parameter or a collection cannot have this name."""


class OutOfRangeError(DynetError, IndexError, ValueError, OverflowError):
    """An index is outside its dimension, table or batch."""


class DeviceError(DynetError, RuntimeError):
    """A device cannot be used: something is missing, which the message names, or another device is in use."""


class OutOfMemoryError(DynetError, MemoryError):
    """There is not enough memory."""


class StaleExpressionError(DynetError, RuntimeError, ValueError):
    """An expression belongs to a graph that has been replaced, or to another thread's graph."""


class GradientError(DynetError, RuntimeError):
    """A gradient does not exist or is not finite."""


class NotFiniteError(DynetError, RuntimeError):
    """A value is infinite or NaN, in a graph with `check_validity=True`."""


class FileFormatError(DynetError, ValueError, RuntimeError):
    """A file is damaged or does not fit. Nothing has been read from it."""


class MissingFileError(DynetError, FileNotFoundError, RuntimeError):
    """A file of parameters does not exist."""


class ParallelError(DynetError, RuntimeError):
    """The processes of a parallel program do not agree, or cannot find each other."""


class DynetWarning(RuntimeWarning):
    """A warning about a likely mistake, with the way out. The program continues."""
