"""Ops that draw random numbers."""

from . import draws, dropouts
from .draws import *
from .dropouts import *

__all__: list[str] = []
__all__ += draws.__all__
__all__ += dropouts.__all__
