"""Sums, products, powers and extremes of expressions and plain numbers, element by element."""

from __future__ import annotations

from dynet_core.graph.templates import with_templates
from dynet_core.recorder import set_operator

from ..declare import *
from ..kinds import BINARY_OPERATORS, elementwise_signature, with_number
from ..layouts import Rank, longest
from ..matrix.products import matmul_signature
from ..operands import number_of
from .functions import cube, square

_plus_number = with_number("plus_number", "+", lambda x, c: x + c)
_times_number = with_number("times_number", "*", lambda x, c: x * c)
_number_minus = with_number("from_number", "-", lambda x, c: c - x)
_over_number = with_number("over_number", "/", lambda x, c: x / c)
_number_over = with_number("into_number", "/", lambda x, c: c / x)


def _minus_number(x: Expression, number: Any) -> Expression:
    graph_of("-", (x,))
    return _plus_number(x, -number_of("-", number))


@elementwise(reference=np.add, scalars=True, with_number=_plus_number, operator="+")
def add(a: Expression, b: Expression) -> Expression:
    """The sum of two expressions, element by element; dimensions of size 1 are broadcast.

    >>> (inputVector([1, 2]) + inputVector([3, 4])).value()
    [4.0, 6.0]
    """
    return a + b


@elementwise(reference=np.subtract, scalars=True, with_number=_minus_number, operator="-")
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


@elementwise(reference=np.divide, domain=(0.5, 2.0), scalars=True, with_number=_over_number, operator="/")
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
    """Add a vector to each column of a matrix, z_ij = x_ij + y_i. Batch sizes must be equal, or one must be 1.

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


def _is_scaling(a: Dim, b: Dim) -> bool:
    """Return whether a * b scales an operand: one of them has one element, and their shapes fit no matrix product."""
    is_product = len(a.dims) <= 2 and len(b.dims) <= 2 and a.columns == b.rows
    return 1 in (a.size, b.size) and not is_product


_cmult_signature, _cmult_with_copies, _ = BINARY_OPERATORS["*"]


def _multiply_signature(a: Dim, b: Dim) -> Signature:
    return _cmult_signature(a, b) if _is_scaling(a, b) else matmul_signature(a, b)


def _multiply_with_copies(a: Expression, b: Expression) -> Expression | None:
    return _cmult_with_copies(a, b) if _is_scaling(a.type, b.type) else None


_multiply = two_operands("*", _multiply_signature, _multiply_with_copies, _times_number)


_add, _subtract, _divide = (two_operands(sign, *BINARY_OPERATORS[sign]) for sign in "+-/")
set_operator("add", _add, _plus_number, _plus_number)  # for x + y, x + c and c + x
set_operator("subtract", _subtract, _plus_number, _number_minus)  # x - c is recorded as x + (-c)
set_operator("multiply", _multiply, _times_number, _times_number)
set_operator("true_divide", _divide, _over_number, _number_over)


_pow_number = with_number("pow_number", "pow", lambda x, c: f.power(x, c), rank=shortest)
_number_pow = with_number("number_pow", "**", lambda x, c: f.power(c, x))


def _pow_by_multiplication(op: Callable) -> Callable[[Expression], Expression]:
    """Return a function that adds a node of `pow` with the kernel of `op`, which is `square` or `cube`."""

    return one_operand(
        "pow", by_plain_dims(lambda dim: elementwise_signature("pow", "x", (dim,), shortest, op.__name__))
    )


_POW_BY_EXPONENT = {2.0: _pow_by_multiplication(square), 3.0: _pow_by_multiplication(cube)}


def _pow_with_number(name: str, x: Expression, exponent) -> Expression:
    graph_of(name, (x,))
    number = number_of(name, exponent)
    return _POW_BY_EXPONENT[number](x) if number in _POW_BY_EXPONENT else _pow_number(x, number)


def _pow_with_base(x: Expression, base) -> Expression:
    return _number_pow(x, number_of("**", base))


@elementwise(
    reference=np.power,
    domain=(0.2, 2.5),
    rank=shortest,
    scalars=True,
    with_number=functools.partial(_pow_with_number, "pow"),
    operator="**",
)
def pow(x: Expression, y: Expression) -> Expression:  # noqa: A001
    """x to the power of y, element by element; the same as x ** y. y may be an expression or a plain number.

    Dimensions of size 1 are broadcast. Trailing dimensions of size 1 are dropped from the result. Where x is negative
    and y is not a whole number, the result is NaN.

    >>> pow(inputVector([2, 3]), inputVector([3, 2])).value()
    [8.0, 9.0]
    >>> (inputVector([4, 9]) ** 0.5).value()
    [2.0, 3.0]
    """
    return f.power(x, y)


_pow_operator = two_operands("**", *BINARY_OPERATORS["**"][:2], functools.partial(_pow_with_number, "**"))
Expression.__pow__ = with_templates(_pow_operator)  # type: ignore[method-assign]
Expression.__rpow__ = _pow_with_base  # type: ignore[method-assign]


@elementwise(reference=np.minimum)
def bmin(x: Expression, y: Expression) -> Expression:
    """The smaller of two expressions, element by element; dimensions of size 1 are broadcast.

    Where both are equal, y gets the gradient. NaN in either gives NaN.

    >>> bmin(inputVector([1, 4]), inputVector([3, 2])).value()
    [1.0, 2.0]
    """
    return f.minimum(x, y)


@elementwise(reference=np.maximum)
def bmax(x: Expression, y: Expression) -> Expression:
    """The larger of two expressions, element by element; dimensions of size 1 are broadcast.

    Where both are equal, y gets the gradient. NaN in either gives NaN.

    >>> bmax(inputVector([1, 4]), inputVector([3, 2])).value()
    [3.0, 4.0]
    """
    return f.maximum(x, y)


@elementwise(reference=np.maximum)
def larger(x: Expression, y: Expression) -> Expression:
    """Like `bmax`, but x gets the gradient where both are equal."""
    return f.maximum(y, x)  # if both are equal, `f.maximum` gives the gradient to its second argument


@elementwise(reference=lambda mask, x, y: np.where(mask != 0, x, y))
def where(mask: Expression, x: Expression, y: Expression) -> Expression:
    """x where the mask is not 0, y where it is 0, element by element; dimensions of size 1 are broadcast.

    What is not chosen has no influence, even if it is infinite or NaN: neither its value nor its gradient reaches the
    other operand. It gets the gradient 0. The mask gets no gradient. NaN in the mask chooses x.

    >>> where(inputVector([1, 0, 1]), inputVector([1, 2, 3]), inputVector([np.nan, 20, np.inf])).value()
    [1.0, 20.0, 3.0]
    """
    return f.where(f.equal(mask, 0), y, x)


@elementwise(reference=lambda x, least, most: np.clip(x, least, most))
def clipped(x: Expression, least: Number, most: Number) -> Expression:
    """x within two limits. On a limit, x gets the gradient."""
    return f.minimum(most, f.maximum(least, x))  # type: ignore[return-value]  # in this order, x gets the gradient


@recorded(
    reference=lambda x, least, most: np.clip(x, least, most),
    samples="3 least=-0.5 most=0.5; 5x3*2 least=-10.0 most=0.1; 17*3 least=0.25 most=0.25; 2x3x4 least=-1.0 most=1.5",
)
def clip_by_value(x: Expression, least: Number, most: Number) -> Expression:
    """x limited to a range, y_i = min(max(x_i, least), most).

    Elements outside the range get no gradient, those on a limit do. NaN stays NaN.

    Args:
        x: any expression.
        least, most: the limits, plain numbers.

    Raises:
        ArgumentError: `least` is more than `most`, or one is infinite or NaN.

    >>> clip_by_value(inputVector([-3, 0.5, 9]), -1, 1).value()
    [-1.0, 0.5, 1.0]
    """
    graph_of("clip_by_value", (x,))
    least, most = finite("clip_by_value", "least", least), finite("clip_by_value", "most", most)
    if least > most:
        raise ArgumentError(f"clip_by_value: least is {least:g}, more than most, {most:g}: no number is in this range")
    return clipped(x, least, most)


def checked_operands(name: str, xs: Iterable[Expression], rank: Rank = longest) -> tuple[Sequence[Expression], Dim]:
    """Return the operands of an op that takes a list, and the shape to which they are broadcast, or raise an error."""
    operands = listed(name, xs)
    graph_of(name, operands)
    return operands, broadcast(name, list(dict.fromkeys(x.type.plain for x in operands)), rank)


LIST_SAMPLES = samples(
    "[3x2 3*2]; [3]; [17*2 17*2 17*2]; [5x3 5x3*4]; [1 1 1 1 1 1 1 1 1]; [4*3 4 1]; [37 37 37 37]; [1x4*2 3x1]; "
    "[5 5x1x1*2 5x1]; [5x1*2]"
)


@recorded(reference=broadcasting(lambda *xs: functools.reduce(np.maximum, xs), longest), samples=LIST_SAMPLES)
def emax(xs: Iterable[Expression]) -> Expression:
    """The largest of any number of expressions, element by element; shapes are broadcast.

    Where several expressions have the largest element, the first of them gets the gradient.

    >>> emax([inputVector([1, 4]), inputVector([3, 2]), inputVector([2, 3])]).value()
    [3.0, 4.0]
    """
    xs, _ = checked_operands("emax", xs)
    while len(xs) > 1:  # in pairs, so that the depth grows only with the logarithm of the number of operands
        maxima = [larger(x, y) for x, y in zip(xs[::2], xs[1::2])]
        xs = [*maxima, *xs[len(maxima) * 2 :]]
    return xs[0]


__all__ = [
    "add", "bmax", "bmin", "cdiv", "clip_by_value", "cmult", "colwise_add", "emax", "pow", "subtract", "where",
]  # fmt: skip
