"""Graph, expressions, execution, parameters and initializers."""

from .config import DynetParams, init, init_from_params
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DynetError,
    FileFormatError,
    GradientError,
    OutOfRangeError,
    ShapeError,
    StaleExpressionError,
)
from .expression import Expression
from .files.object_files import load, load_generator, save
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
    "ArgumentError", "ArgumentTypeError", "ConstInitializer", "DynetError", "DynetParams", "Expression",
    "FileFormatError", "FromFileInitializer", "GlorotInitializer", "GradientError", "IdentityInitializer",
    "InitializerError", "LookupParameters", "Model", "NormalInitializer", "NumpyInitializer",
    "OutOfRangeError", "ParameterCollection", "Parameters", "PyInitializer", "SaxeInitializer",
    "ShapeError", "StaleExpressionError", "UniformInitializer", "cg_version", "graph", "init",
    "init_from_params", "load", "load_generator", "renew_cg", "reset_random_seed", "save",
]  # fmt: skip
