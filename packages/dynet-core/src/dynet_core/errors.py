"""The exceptions. Each also derives from the built-in ones that DyNet 2.1 raises, so that its programs still work."""

from __future__ import annotations


class DynetError(Exception):
    """The base class of all errors of this library."""


class ShapeError(DynetError, ValueError):
    """The dimensions or batch sizes of operands do not match, or the operation does not allow them."""


class ArgumentError(DynetError, ValueError):
    """An argument has the right type, but a value that is not allowed."""


class ArgumentTypeError(DynetError, TypeError):
    """An argument has the wrong type."""


class TooLargeError(ArgumentError, ArgumentTypeError, OverflowError):
    """A number, such as 10**400, is too large for a float."""


class ParameterNameError(ArgumentError, RuntimeError):
    """The name given to a parameter or a collection contains "/" or "_", or is not a string."""


class OutOfRangeError(DynetError, IndexError, ValueError, OverflowError):
    """An index or a number is out of range, for example an index into a dimension, a lookup table or a batch."""


class DeviceError(DynetError, RuntimeError):
    """A device cannot be used: another device is in use, or something is missing, such as a driver."""


class OutOfMemoryError(DynetError, MemoryError):
    """Memory could not be allocated, on the host or a GPU. The message says for how many numbers."""


class StaleExpressionError(DynetError, RuntimeError, ValueError):
    """An expression cannot be used: `renew_cg` or `cg_revert` has removed its node, or another thread recorded it."""


class FunctionError(DynetError, RuntimeError):
    """The decorator `function` cannot be used: the function does more than record nodes, or reads what may change."""


class GradientError(DynetError, RuntimeError):
    """A gradient does not exist, for example because `backward` was not called, or it is infinite or NaN."""


class NotFiniteError(DynetError, RuntimeError):
    """A value is infinite or NaN. Most functions check this only after `renew_cg(check_validity=True)`."""


class FileFormatError(DynetError, ValueError, RuntimeError):
    """A file is damaged or does not fit the model or trainer, which is left unchanged (except by `load_generator`)."""


class MissingFileError(DynetError, FileNotFoundError, RuntimeError):
    """A file from which parameters should be read does not exist."""


class ParallelError(DynetError, RuntimeError):
    """The processes that train a model together cannot connect, or differ, for example in their models or updates."""


class DynetWarning(RuntimeWarning):
    """A warning about a likely mistake. The message says what to do instead, and the program continues."""
