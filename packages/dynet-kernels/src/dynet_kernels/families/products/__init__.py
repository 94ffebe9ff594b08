"""Products of a matrix W with many columns x[j], which may be anywhere in memory, and their gradients.

    Product           y[j] = start[j] + W x[j]
    ColumnGradient    dx[j] += W' dy[j]
    MatrixGradient    dW += sum over j of dy[j] x[j]'

W has the shape (rows, inner). It is stored column by column, each `apart` floats after the one before: `rows`, or more
if W is the first rows of a larger matrix. ' means the transpose. x[j] has `inner` floats; y[j] and start[j] have `rows`
floats. j is the number of a column of an instruction. For each of these arrays, an address list says where it begins,
for every j.

All three kernels have the parameters `rows`, `inner` and `apart`, then the numbers of the address lists of W, x and y,
or of their gradients, and last `group`: how many neighbouring columns of the instruction share one matrix; 0 means all
of them. Product has one more parameter before `group`: the number of the address list of start.

A tile is a small part of the result whose sums stay in registers. A panel is a part of a matrix that is copied to
contiguous memory. `tuning.py` has the sizes of both. Terms such as instruction, column and address list: see
`families/__init__.py`.
"""

from .column_gradient import ColumnGradient
from .matrix_gradient import MatrixGradient
from .product import Product

__all__ = ["ColumnGradient", "MatrixGradient", "Product"]
