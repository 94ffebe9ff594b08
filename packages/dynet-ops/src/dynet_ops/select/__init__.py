"""Operations that select some of the numbers of an expression, by index, by range or by size."""

from . import indexing as _indexing  # importing it defines x[...] for expressions
from .picking import *
from .selection import *
