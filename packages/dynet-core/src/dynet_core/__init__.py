"""The core of the library: computation graphs, expressions and their values, parameters, initializers and files."""

from contextlib import suppress

from dynet_kernels.cache import store

from .api import (
    ComputationGraph,
    FloatValue,
    FloatVectorValue,
    UnsignedValue,
    UnsignedVectorValue,
    cg,
    cg_checkpoint,
    cg_revert,
    cg_version,
    forward,
    graph,
    npvalues,
    print_graphviz,
    print_text_graphviz,
    renew_cg,
    values,
)
from .batches import batches_by_length
from .compute.device import DeviceInfo, available_devices, get_device_info
from .compute.profiling import profile
from .compute.tensor import Tensor
from .config import DynetParams, init, init_from_params
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DynetError,
    DynetWarning,
    FileFormatError,
    FunctionError,
    GradientError,
    MissingFileError,
    NotFiniteError,
    OutOfMemoryError,
    OutOfRangeError,
    ParallelError,
    ParameterNameError,
    ShapeError,
    StaleExpressionError,
    TooLargeError,
)
from .files.vectors import read_vectors
from .files.vocabulary import Vocabulary
from .graph.expression import Expression
from .graph.functions import function
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
from .moved import also_named
from .parameter import LookupParameters, Model, ParameterCollection, Parameters
from .parameter.object_files import load, load_generator, save
from .pictures import dump_cg, show_plan
from .random.noise import reset_random_seed

# Pickles of earlier versions refer to modules by earlier names: module -> its earlier names, separated by spaces.
also_named(__name__, {
    "api": "mutable_values several", "compute.device": "device", "compute.profiling": "profiling",
    "compute.tensor": "tensor", "graph.expression": "expression", "initializer": "initializer.base initializer.kinds",
    "parameter.base": "parameter.dense", "parameter.object_files": "files.object_files", "pictures": "dump plan_text",
    "random.noise": "seeds",
})  # fmt: skip

# Public names that DyNet 2.1 lacks: `dy.x`, but no part of `from dynet import *`.
_EXTRA_NAMES = ["Vocabulary", "batches_by_length", "function", "read_vectors"]

# Load the linker of compiled code now, so that the first computation does not wait for it. If this fails, the first
# computation raises the error again.
with suppress(ImportError):
    store.linker()

__all__ = [
    "ArgumentError", "ArgumentTypeError", "ComputationGraph", "ConstInitializer", "DeviceError", "DeviceInfo",
    "DynetError", "DynetParams", "DynetWarning", "Expression", "FileFormatError", "FloatValue", "FloatVectorValue",
    "FromFileInitializer", "FunctionError", "GlorotInitializer", "GradientError", "IdentityInitializer",
    "InitializerError", "LookupParameters", "MissingFileError", "Model", "NormalInitializer", "NotFiniteError",
    "NumpyInitializer", "OutOfMemoryError", "OutOfRangeError", "ParallelError", "ParameterCollection",
    "ParameterNameError", "Parameters", "PyInitializer", "SaxeInitializer", "ShapeError", "StaleExpressionError",
    "Tensor", "TooLargeError", "UniformInitializer", "UnsignedValue", "UnsignedVectorValue", "Vocabulary",
    "available_devices", "batches_by_length", "cg", "cg_checkpoint", "cg_revert", "cg_version", "dump_cg", "forward",
    "function", "get_device_info", "graph", "init", "init_from_params", "load", "load_generator", "npvalues",
    "print_graphviz", "print_text_graphviz", "profile", "read_vectors", "renew_cg", "reset_random_seed", "save",
    "show_plan", "values",
]  # fmt: skip
