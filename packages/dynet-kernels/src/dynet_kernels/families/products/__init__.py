"""Products of a (rows, inner) matrix W with columns x[j] anywhere in memory, and their gradients.

The columns of W are `apart` floats apart: `rows`, or more if W is the first rows of a larger matrix. `group`
neighboring columns j share a matrix; 0 means that all do. A tile is a part of the result whose sums stay in registers,
a panel a part of a matrix that is copied to contiguous memory; `tuning.py` has their sizes.
"""

from .column_gradient import ColumnGradient
from .matrix_gradient import MatrixGradient
from .product import Product

__all__ = ["ColumnGradient", "MatrixGradient", "Product"]
