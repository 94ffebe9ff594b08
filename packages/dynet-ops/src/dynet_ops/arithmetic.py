"""Sums, differences, products and quotients, of expressions and of plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from dynet_core.errors import ArgumentError, ArgumentTypeError, StaleExpressionError
from dynet_core.expression import Expression
from dynet_core.record import graph_of, two_operands
from dynet_core.signature import Signature, Step, View, constant
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SELF
from dynet_kernels.rule import Rule

from .elementwise import negative
from .kinds import elementwise
from .matrix import matmul_signature


def _with_number(name: str, operator: str, forward, gradient):
    """An op of an expression and a plain number, which is a value of the graph and not of the signature."""
    views = ("y", "x", "c")
    KERNELS.add(name, Rule(views, {"y": forward}, numbers=("c",)))
    KERNELS.add(f"{name}.dx", Rule(views, {"dx": gradient}, numbers=("c",)))
    known = {}

    def signature_of(dim):
        return Signature(
            dim.plain,
            operands=1,
            attributes=1,
            constants=1,
            views=[View(SELF), View(0), constant(0)],
            forward=[Step(name, (dim.total,))],
            backward=[Step(f"{name}.dx", (dim.total,), gradient_of=0)],
        )

    def record(x: Expression, c: float) -> Expression:
        try:
            signature = known[x.type]
            graph = x.graph
            nodes = graph.nodes  # type: ignore[union-attr]
            place = len(nodes)
        except (AttributeError, KeyError, StaleExpressionError):
            graph = graph_of(operator, (x,))
            signature = known.get(x.type)
            if signature is None:
                signature = known[x.type] = signature_of(x.type)
            nodes = graph.nodes
            place = len(nodes)
        inputs = graph.inputs
        node = Expression()
        node.graph = graph
        node.at = place
        node.type = signature.dim
        nodes += (signature.at, x.at, len(inputs))
        inputs.append(c)
        return node

    return record


_plus = _with_number("plus_number", "+", lambda x, c: x + c, lambda dy: dy)
_times = _with_number("times_number", "*", lambda x, c: x * c, lambda dy, c: dy * c)
_from = _with_number("from_number", "-", lambda x, c: c - x, lambda dy: -dy)
_over = _with_number("over_number", "/", lambda x, c: x / c, lambda dy, c: dy / c)
_into = _with_number("into_number", "/", lambda x, c: c / x, lambda x, y, dy: -dy * y / x)


def _number_on_the_right(name: str, record: Callable) -> Callable:
    """Records an expression and a number of any type; anything else is refused."""

    def checked(x: Expression, value) -> Expression:
        return record(x, value if value.__class__ is float else _number(name, value))

    return checked


def _number(name: str, value) -> float:
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiub":
        value = value.item()
    if isinstance(value, (Real, np.floating, np.integer, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            raise ArgumentError(f"{name}: the number {value!r:.40} is too large") from None
    raise ArgumentTypeError(f"{name}: expected an Expression or a number, got {type(value).__name__} {value!r:.60}")


@elementwise(
    forward=lambda a, b: a + b,
    gradients={"a": lambda dy: dy, "b": lambda dy: dy},
    reference=np.add,
    scalars=True,
    with_number=_number_on_the_right("+", _plus),
    with_float=_plus,
)
def add(a: Expression, b: Expression) -> Expression:
    """The sum of two expressions, element by element; sizes of 1 are broadcast.

    >>> (inputVector([1, 2]) + inputVector([3, 4])).value()
    [4.0, 6.0]
    """
    ...


@elementwise(
    forward=lambda a, b: a - b,
    gradients={"a": lambda dy: dy, "b": lambda dy: -dy},
    reference=np.subtract,
    scalars=True,
    with_number=_number_on_the_right("-", lambda x, c: _plus(x, -c)),
    with_float=lambda x, c: _plus(x, -c),
)
def subtract(a: Expression, b: Expression) -> Expression:
    """The difference of two expressions, element by element; sizes of 1 are broadcast.

    >>> (inputVector([1, 2]) - inputVector([3, 5])).value()
    [-2.0, -3.0]
    """
    ...


@elementwise(
    forward=lambda x, y: x * y,
    gradients={"x": lambda y, dz: dz * y, "y": lambda x, dz: dz * x},
    reference=np.multiply,
    scalars=True,
)
def cmult(x: Expression, y: Expression) -> Expression:
    """The product of two expressions, element by element; sizes of 1 are broadcast.

    >>> cmult(inputVector([1, 2]), inputVector([3, 4])).value()
    [3.0, 8.0]
    """
    ...


@elementwise(
    forward=lambda x, y: x / y,
    gradients={"x": lambda y, dz: dz / y, "y": lambda y, z, dz: -dz * z / y},
    reference=np.divide,
    domain=(0.5, 2.0),
    scalars=True,
    with_number=_number_on_the_right("/", _over),
    with_float=_over,
)
def cdiv(x: Expression, y: Expression) -> Expression:
    """The quotient of two expressions, element by element; sizes of 1 are broadcast.

    >>> cdiv(inputVector([1, 2]), inputVector([4, 4])).value()
    [0.25, 0.5]
    """
    ...


def _product(a: Expression, b: Expression) -> Expression | None:
    """`*` is the matrix product, except that a single number multiplies every element."""
    matrices = len(a.type.dims) <= 2 and len(b.type.dims) <= 2 and a.type.columns == b.type.rows
    return cmult(a, b) if not matrices and (a.type.size == 1 or b.type.size == 1) else None


_matmul = two_operands("*", matmul_signature, _product, _number_on_the_right("*", _times), _times)


def _install() -> None:
    """Give expressions their operators."""
    cls = Expression
    cls.__add__, cls.__radd__ = add, _number_on_the_right("+", _plus)  # type: ignore[method-assign]
    cls.__sub__, cls.__rsub__ = subtract, _number_on_the_right("-", _from)  # type: ignore[method-assign]
    cls.__mul__, cls.__rmul__ = _matmul, _number_on_the_right("*", _times)  # type: ignore[method-assign]
    cls.__truediv__, cls.__rtruediv__ = cdiv, _number_on_the_right("/", _into)  # type: ignore[method-assign]
    cls.__neg__ = negative  # type: ignore[method-assign]
    # numpy scalars on the left leave the operator to the expression instead of making an object array
    cls.__array_ufunc__ = None  # type: ignore[attr-defined]


_install()
