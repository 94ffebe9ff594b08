"""Inputs: numbers, arrays, constants and parameters as expressions."""

from . import graph_inputs as _graph_inputs  # methods of dy.cg()
from .constants import *
from .inputs import *
from .lookups import *
from .tensors import *
