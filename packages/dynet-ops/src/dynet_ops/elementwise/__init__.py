"""Ops that work on each element."""

from .activations import *
from .arithmetic import *
from .extremes import *
from .functions import *
from .hyperbolic import *
from .powers import *
from .rounding import *
from .trigonometry import *
