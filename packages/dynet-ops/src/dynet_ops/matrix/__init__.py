"""Products and other ops of matrices."""

from .circular import *
from .contraction import *
from .convolution import *
from .linear_algebra import *
from .products import *
