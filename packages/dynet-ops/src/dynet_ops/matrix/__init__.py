"""Operations on matrices: products, contractions, convolutions, pooling, inverses and determinants."""

from .convolution import *
from .linear_algebra import *
from .products import *
