"""Graph, expressions, execution, parameters and initializers."""

from contextlib import suppress

from dynet_kernels import cache

from .config import DynetParams, init, init_from_params
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DynetError,
    FileFormatError,
    GradientError,
    NotFiniteError,
    OutOfMemoryError,
    OutOfRangeError,
    ShapeError,
    StaleExpressionError,
)
from .expression import Expression
from .files.object_files import load, load_generator, save
from .globals import (
    cg,
    cg_checkpoint,
    cg_revert,
    cg_version,
    print_graphviz,
    print_text_graphviz,
    renew_cg,
    reset_random_seed,
)
from .graph import Graph as ComputationGraph
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
from .profiling import profile
from .tensor import Tensor

with suppress(ImportError):  # raised again where something is computed
    cache.linker()  # a part of the library like its modules, though it comes with another package

__all__ = [
    "ArgumentError", "ArgumentTypeError", "ComputationGraph", "ConstInitializer", "DeviceError",
    "DynetError", "DynetParams", "Expression", "FileFormatError", "FromFileInitializer", "GlorotInitializer",
    "GradientError", "IdentityInitializer", "InitializerError", "LookupParameters", "Model",
    "NormalInitializer", "NotFiniteError", "NumpyInitializer", "OutOfMemoryError", "OutOfRangeError",
    "ParameterCollection",    "Parameters", "PyInitializer", "SaxeInitializer", "ShapeError", "StaleExpressionError",
    "Tensor", "UniformInitializer", "cg", "cg_checkpoint", "cg_revert", "cg_version", "graph", "init",
    "init_from_params", "load", "load_generator", "print_graphviz", "print_text_graphviz", "profile", "renew_cg",
    "reset_random_seed", "save",
]  # fmt: skip
