"""Products of a (rows, inner) matrix W with columns x[j] anywhere in memory, and their gradients.

The columns of W are `apart` floats apart: `rows`, or more in a larger matrix. `group` neighboring j share a matrix (0:
all). The sums of a tile stay in registers; a panel is a contiguous copy of a part of a matrix. See `tuning.py`.
"""

from .column_gradient import ColumnGradient
from .matrix_gradient import MatrixGradient
from .product import Product

__all__ = ["ColumnGradient", "MatrixGradient", "Product"]
