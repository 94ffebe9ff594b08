"""Powers of expressions: the function `pow` and the operator `**`."""

from __future__ import annotations

from dynet_core.graph.templates import with_templates

from ..declare import *
from ..kinds import elementwise_signature
from ..operators import OPERATORS
from ..with_number import number_of, with_number
from .functions import cube, square

_to_number = with_number("pow_number", "pow", lambda x, c: f.power(x, c), rank=shortest)
_of_number = with_number("number_pow", "**", lambda x, c: f.power(c, x))


def _by_multiplication(op: Callable) -> Callable[[Expression], Expression]:
    """Return a function that adds a node with the kernel of `square` or `cube`.

    Unlike these ops, it drops trailing dimensions of size 1, as `pow` does.
    """

    return one_operand("pow", by_plain_dims(lambda dim: elementwise_signature(op.__name__, "x", (dim,), rank=shortest)))


_BY_MULTIPLICATION = {2.0: _by_multiplication(square), 3.0: _by_multiplication(cube)}


def _with_number(name: str, x: Expression, exponent) -> Expression:
    graph_of(name, (x,))
    number = number_of(name, exponent)
    return _BY_MULTIPLICATION[number](x) if number in _BY_MULTIPLICATION else _to_number(x, number)


def _with_base(x: Expression, base) -> Expression:
    return _of_number(x, number_of("**", base))


@elementwise(
    reference=np.power,
    domain=(0.2, 2.5),
    rank=shortest,
    scalars=True,
    with_number=functools.partial(_with_number, "pow"),
    operator="**",
    operator_with_number=functools.partial(_with_number, "**"),
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


Expression.__pow__ = with_templates(OPERATORS["**"].record())  # type: ignore[method-assign]
Expression.__rpow__ = _with_base  # type: ignore[method-assign]

__all__ = ["pow"]
