"""Graph, expressions, execution, parameters and initializers."""

from .config import DynetParams, init, init_from_params
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DynetError,
    GradientError,
    OutOfRangeError,
    ShapeError,
    StaleExpressionError,
)
from .expression import Expression
from .globals import cg_version, renew_cg, reset_random_seed
from .graph import graph
from .initializer import (
    ConstInitializer,
    FromFileInitializer,
    GlorotInitializer,
    IdentityInitializer,
    InitializerError,
    NormalInitializer,
    NumpyInitializer,
    PyInitializer,
    SaxeInitializer,
    UniformInitializer,
)
from .parameter import LookupParameters, Model, ParameterCollection, Parameters

__all__ = [
    "ArgumentError", "ArgumentTypeError", "ConstInitializer", "DynetError", "DynetParams", "Expression", "FromFileInitializer",
    "GlorotInitializer", "GradientError", "IdentityInitializer", "InitializerError", "LookupParameters", "Model",
    "NormalInitializer", "NumpyInitializer", "OutOfRangeError", "ParameterCollection", "Parameters", "PyInitializer",
    "SaxeInitializer", "ShapeError", "StaleExpressionError", "UniformInitializer", "cg_version", "graph", "init",
    "init_from_params",
    "renew_cg", "reset_random_seed",
]  # fmt: skip
