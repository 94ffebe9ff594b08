"""Operations on matrices: products, contractions, convolutions, pooling, inverses and determinants."""

from .circular import *
from .contraction import *
from .convolution import *
from .linear_algebra import *
from .pooling import *
from .products import *
