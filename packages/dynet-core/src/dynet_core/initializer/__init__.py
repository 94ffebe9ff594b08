"""Initializers, which make the initial values of parameters.

With the same seed, parameters made in the same order start with the same values as in DyNet 2.1. Random numbers are
drawn in memory order: a parameter column by column, a lookup parameter row after row. To write a new initializer,
derive from `PyInitializer` and override only `draw`.
"""

from ..messages.keyword_hints import explain_arguments
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
