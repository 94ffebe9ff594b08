"""Ops that draw random numbers."""

from .draws import *
from .dropouts import *
