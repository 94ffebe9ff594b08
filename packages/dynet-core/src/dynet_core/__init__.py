"""The core of the library: computation graphs, expressions and their values, parameters, initializers and files."""

import sys
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
from .graph.expression import Expression
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
from .parameter.object_files import load, load_generator, save
from .pictures import dump_cg, show_plan
from .random.noise import reset_random_seed

# Pickles of older versions name these modules.
for _before, _now in {
    "device": "compute.device", "dump": "pictures", "expression": "graph.expression",
    "files.object_files": "parameter.object_files", "initializer.base": "initializer",
    "initializer.kinds": "initializer", "mutable_values": "api", "parameter.dense": "parameter.base",
    "plan_text": "pictures", "profiling": "compute.profiling", "seeds": "random.noise", "several": "api",
    "tensor": "compute.tensor",
}.items():  # fmt: skip
    sys.modules[f"{__name__}.{_before}"] = sys.modules[f"{__name__}.{_now}"]

# Load the linker of compiled code now, so that the first computation does not wait for it. If this fails, the first
# computation raises the error again.
with suppress(ImportError):
    store.linker()

__all__ = [
    "ArgumentError", "ArgumentTypeError", "ComputationGraph", "ConstInitializer", "DeviceError", "DeviceInfo",
    "DynetError", "DynetParams", "DynetWarning", "Expression", "FileFormatError", "FloatValue", "FloatVectorValue",
    "FromFileInitializer", "GlorotInitializer", "GradientError", "IdentityInitializer", "InitializerError",
    "LookupParameters", "MissingFileError", "Model", "NormalInitializer", "NotFiniteError", "NumpyInitializer",
    "OutOfMemoryError", "OutOfRangeError", "ParallelError", "ParameterCollection", "ParameterNameError", "Parameters",
    "PyInitializer", "SaxeInitializer", "ShapeError", "StaleExpressionError", "Tensor", "TooLargeError",
    "UniformInitializer", "UnsignedValue", "UnsignedVectorValue", "available_devices", "cg", "cg_checkpoint",
    "cg_revert", "cg_version", "dump_cg", "forward", "get_device_info", "graph", "init", "init_from_params", "load",
    "load_generator", "npvalues", "print_graphviz", "print_text_graphviz", "profile", "renew_cg", "reset_random_seed",
    "save", "show_plan", "values",
]  # fmt: skip
