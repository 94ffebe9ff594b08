"""Initial values of parameters. With the same seed and the same order of creation they equal those of DyNet 2.1.

DyNet stores a parameter column by column, and a lookup parameter row after row: the lookup dimension, which users see
first, is the last dimension in memory. All draws follow this order. A new initializer overrides only `draw`.
"""

from .base import InitializerError, PyInitializer
from .kinds import (
    ConstInitializer,
    FromFileInitializer,
    GlorotInitializer,
    IdentityInitializer,
    NormalInitializer,
    NumpyInitializer,
    SaxeInitializer,
    UniformInitializer,
)
from .names import initializer_from

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
