"""Initial values of parameters: with the same seed, and created in the same order, equal to DyNet 2.1's.

DyNet stores a parameter column by column, a lookup parameter row after row: its lookup dimension, the first
that users see, is the last one stored. All draws follow that order. A new initializer overrides `draw` alone.
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
