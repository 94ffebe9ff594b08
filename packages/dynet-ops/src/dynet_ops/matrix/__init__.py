"""Operations on matrices: products, contractions, convolutions, inverses and determinants."""

from .circular import *
from .contraction import *
from .convolution import *
from .linear_algebra import *
from .products import *
