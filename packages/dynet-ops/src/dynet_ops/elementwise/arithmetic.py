"""Sums, differences, products and quotients, of expressions and of plain numbers."""

from __future__ import annotations

from dynet_core.recorder import operator

from ..declare import *
from ..matrix.products import matmul_signature
from ..operators import OPERATORS
from ..with_number import number_of, with_number

_plus = with_number("plus_number", "+", lambda x, c: x + c)
_times = with_number("times_number", "*", lambda x, c: x * c)
_from = with_number("from_number", "-", lambda x, c: c - x)
_over = with_number("over_number", "/", lambda x, c: x / c)
_into = with_number("into_number", "/", lambda x, c: c / x)


def _minus(x: Expression, number: Any) -> Expression:
    """Add a node for x + (-number)."""
    graph_of("-", (x,))
    return _plus(x, -number_of("-", number))


@elementwise(reference=np.add, scalars=True, with_number=_plus, operator="+")
def add(a: Expression, b: Expression) -> Expression:
    """The sum of two expressions, element by element; dimensions of size 1 are broadcast.

    >>> (inputVector([1, 2]) + inputVector([3, 4])).value()
    [4.0, 6.0]
    """
    return a + b


@elementwise(reference=np.subtract, scalars=True, with_number=_minus, operator="-")
def subtract(a: Expression, b: Expression) -> Expression:
    """The difference of two expressions, element by element; dimensions of size 1 are broadcast.

    >>> (inputVector([1, 2]) - inputVector([3, 5])).value()
    [-2.0, -3.0]
    """
    return a - b


@elementwise(reference=np.multiply, scalars=True, operator="*")
def cmult(x: Expression, y: Expression) -> Expression:
    """The product of two expressions, element by element; dimensions of size 1 are broadcast.

    >>> cmult(inputVector([1, 2]), inputVector([3, 4])).value()
    [3.0, 8.0]
    """
    return x * y


@elementwise(reference=np.divide, domain=(0.5, 2.0), scalars=True, with_number=_over, operator="/")
def cdiv(x: Expression, y: Expression) -> Expression:
    """The quotient of two expressions, element by element; dimensions of size 1 are broadcast.

    >>> cdiv(inputVector([1, 2]), inputVector([4, 4])).value()
    [0.25, 0.5]
    """
    return x / y


@recorded(
    reference=lambda x, y: x.reshape(len(y), -1) + y.reshape(-1, 1) if x.ndim > 1 else x + y,
    samples="3x5 3; 17x2*3 17; 1x4 1*2; 33x3*2 33*2; 5*2 5; 7*3 7*3",
)
def colwise_add(x: Expression, y: Expression) -> Expression:
    """Add a vector to each column of a matrix, z_ij = x_ij + y_i. Batch sizes must be equal, or one of them 1.

    x is a matrix of m rows, and y a vector of m elements.

    >>> colwise_add(inputTensor([[1, 2], [3, 4]]), inputVector([10, 20])).npvalue()
    array([[11., 12.],
           [23., 24.]])
    """
    graph_of("colwise_add", (x, y))
    common_batch("colwise_add", (x.type, y.type))
    rows = x.type.rows
    if len(x.type.dims) > 2 or y.type.dims not in ((rows,), (rows, 1)):
        raise ShapeError(
            f"colwise_add: x is {x.type!r}, y is {y.type!r}: a matrix and a vector as long as its columns are needed"
        )
    return add(x, y)


def _scales(a: Dim, b: Dim) -> bool:
    """Return whether `*` multiplies by a single number: one operand has one element, and no matrix product fits."""
    matrices = len(a.dims) <= 2 and len(b.dims) <= 2 and a.columns == b.rows
    return 1 in (a.size, b.size) and not matrices


def _product(a: Dim, b: Dim) -> Signature:
    return OPERATORS["*"].signature_of(a, b) if _scales(a, b) else matmul_signature(a, b)


def _repeated_product(a: Expression, b: Expression) -> Expression | None:
    return OPERATORS["*"].repeating(a, b) if _scales(a.type, b.type) else None


_multiply = two_operands("*", _product, _repeated_product, _times)


_add, _subtract, _divide = (OPERATORS[sign].record() for sign in "+-/")
operator("add", _add, _plus, _plus)
operator("subtract", _subtract, _plus, _from)
operator("multiply", _multiply, _times, _times)
operator("true_divide", _divide, _over, _into)

__all__ = ["add", "cdiv", "cmult", "colwise_add", "subtract"]
