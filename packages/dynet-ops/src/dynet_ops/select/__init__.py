"""Operations that select some of the elements of an expression, by index, by range or by size."""

from .picking import *
