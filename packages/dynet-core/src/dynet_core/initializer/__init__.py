"""Initializers, which make the initial values of parameters.

With the same seed, parameters that are made in the same order have the same initial values as in DyNet 2.1. A parameter
is stored column by column, a lookup parameter (a table of rows) row after row. In the shape that users see, the number
of rows of a lookup parameter is the first dimension; in memory order, it is the last. Random numbers are drawn in
memory order. To write a new initializer, derive from `PyInitializer` and override only `draw`.
"""

from ..keyword_hints import explain_arguments
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

explain_arguments(*[kind for kind in PyInitializer.__subclasses__() if kind is not IdentityInitializer])
