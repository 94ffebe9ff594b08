"""Inputs: functions that make expressions of numbers, arrays, constants and parameters."""

from . import graph_inputs as _graph_inputs  # importing it adds methods to the graph that dy.cg() returns
from .constants import *
from .inputs import *
from .lookups import *
from .tensors import *
