"""Operations that select some of the numbers of an expression, by index, by range or by size."""

from . import indexing as _indexing  # importing it is what makes x[...] and iteration over x work
from .picking import *
from .selection import *
