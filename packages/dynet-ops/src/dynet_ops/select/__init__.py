"""Ops that choose some of the values."""

from . import indexing as _indexing  # what x[...] means
from .picking import *
from .selection import *
