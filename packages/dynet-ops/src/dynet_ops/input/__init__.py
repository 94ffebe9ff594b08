"""Inputs: numbers, arrays, constants and parameters as expressions."""

from . import constants, inputs, lookups, tensors
from . import graph_inputs as graph_inputs  # methods of dy.cg()
from .constants import *
from .inputs import *
from .lookups import *
from .tensors import *

__all__: list[str] = []
__all__ += constants.__all__
__all__ += inputs.__all__
__all__ += lookups.__all__
__all__ += tensors.__all__
