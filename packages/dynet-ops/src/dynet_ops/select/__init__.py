"""Operations that select some of the numbers of an expression, by index, by range or by size."""

from . import indexing as _indexing  # its import gives expressions x[...] and iteration
from .picking import *
from .selection import *
