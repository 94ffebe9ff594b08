"""Products of matrices with gathered columns, and their gradients.

Matrices are stored column by column. The kernels share their parameters: (rows, inner, list of the matrix, list of the
columns of `inner` numbers, list of the columns of `rows` numbers, group). `group` is how many neighbouring columns
share one matrix; 0: all of them.

The sizes of tiles, panels and blocks are in `tuning.py`.
"""

from .column_gradient import ColumnGradient
from .matrix_gradient import MatrixGradient
from .product import Product

__all__ = ["ColumnGradient", "MatrixGradient", "Product"]
