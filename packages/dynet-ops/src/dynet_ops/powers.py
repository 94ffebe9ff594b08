"""Powers, as a function and as the operator."""

from __future__ import annotations

import numpy as np

from dynet_core.expression import Expression
from dynet_kernels import formula as f

from .elementwise import cube, square
from .kinds import elementwise
from .operands import checked_expression
from .with_number import number_of, with_number

_to_number = with_number(
    "pow_number",
    "pow",
    lambda x, c: f.power(x, c),
    lambda x, c, dy: f.where(f.equal(c, 0), 0, dy * (c * f.power(x, c - 1))),
)
_of_number = with_number(
    "number_pow",
    "**",
    lambda x, c: f.power(c, x),
    lambda c, y, dy: f.where(f.equal(y, 0), 0, dy * (y * f.log(c))),
)
_EASY = {2.0: square, 3.0: cube}


def _with_number(x: Expression, exponent) -> Expression:
    checked_expression("pow", x)
    number = number_of("pow", exponent)
    return _EASY[number](x) if number in _EASY else _to_number(x, number)


def _with_base(x: Expression, base) -> Expression:
    return _of_number(x, number_of("**", base))


@elementwise(
    forward=lambda x, y: f.power(x, y),
    gradients={
        "x": lambda x, y, dz: f.where(f.equal(y, 0), 0, dz * (y * f.power(x, y - 1))),
        "y": lambda x, z, dz: f.where(f.equal(z, 0), 0, dz * (z * f.log(x))),
    },
    reference=np.power,
    domain=(0.2, 2.5),
    scalars=True,
    with_number=_with_number,
)
def pow(x: Expression, y: Expression) -> Expression:  # noqa: A001
    """x to the power of y, element by element; sizes of 1 are broadcast, and y may be a number. As x ** y.

    A negative number to the power of one that is not whole is NaN.

    >>> pow(inputVector([2, 3]), inputVector([3, 2])).value()
    [8.0, 9.0]
    >>> (inputVector([4, 9]) ** 0.5).value()
    [2.0, 3.0]
    """
    ...


Expression.__pow__, Expression.__rpow__ = pow, _with_base  # type: ignore[method-assign]

__all__ = ["pow"]
