"""Ops that work on each element."""

from . import activations, arithmetic, extremes, functions, hyperbolic, powers, rounding, trigonometry
from .activations import *
from .arithmetic import *
from .extremes import *
from .functions import *
from .hyperbolic import *
from .powers import *
from .rounding import *
from .trigonometry import *

__all__: list[str] = []
__all__ += activations.__all__
__all__ += arithmetic.__all__
__all__ += extremes.__all__
__all__ += functions.__all__
__all__ += hyperbolic.__all__
__all__ += powers.__all__
__all__ += rounding.__all__
__all__ += trigonometry.__all__
