"""Products of a (rows, inner) matrix W with columns x[j], which may be anywhere in memory, and their gradients.

    Product           y[j] = start[j] + W x[j]
    ColumnGradient    dx[j] += W' dy[j]
    MatrixGradient    dW += sum over j of dy[j] x[j]'
    QuantizedProduct  like Product, for a W of int8s

x[j] has `inner` floats, y[j] has `rows`; j is the number of a column of an instruction, and ' means the transpose. W is
column-major with a stride of `apart` floats between columns: `rows`, or more if W is the first rows of a larger matrix.
`group` adjacent columns j share a matrix; 0 means that all do.

A tile is a small part of the result whose sums stay in registers. A panel is a part of a matrix that is copied to
contiguous memory. `tuning.py` has the sizes of both.
"""

from .product import ColumnGradient, MatrixGradient, Product
from .quantized import QuantizedProduct

__all__ = ["ColumnGradient", "MatrixGradient", "Product", "QuantizedProduct"]
