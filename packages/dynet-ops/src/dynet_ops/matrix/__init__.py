"""Products and other ops of matrices."""

from . import circular, contraction, convolution, linear_algebra, products
from .circular import *
from .contraction import *
from .convolution import *
from .linear_algebra import *
from .products import *

__all__: list[str] = []
__all__ += circular.__all__
__all__ += contraction.__all__
__all__ += convolution.__all__
__all__ += linear_algebra.__all__
__all__ += products.__all__
