"""Ops that choose some of the values."""

from . import indexing as indexing  # what x[...] means
from . import picking, selection
from .picking import *
from .selection import *

__all__: list[str] = []
__all__ += picking.__all__
__all__ += selection.__all__
