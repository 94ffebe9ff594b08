"""Hyperbolic functions of each element and their inverses."""

from __future__ import annotations

from ..declare import *


@elementwise(reference=np.sinh)
def sinh(x: Expression) -> Expression:
    """Hyperbolic sine of each element, y = (e^x - e^-x) / 2.

    >>> sinh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.1752])
    """
    return f.sinh(x)


@elementwise(reference=np.cosh)
def cosh(x: Expression) -> Expression:
    """Hyperbolic cosine of each element, y = (e^x + e^-x) / 2.

    >>> cosh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 1.5431])
    """
    return f.cosh(x)


@elementwise(reference=np.arcsinh)
def asinh(x: Expression) -> Expression:
    """Inverse hyperbolic sine of each element, y = log(x + sqrt(x^2 + 1)).

    >>> asinh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8814])
    """
    return f.asinh(x)


@elementwise(reference=np.arccosh, domain=(1.2, 4.0))
def acosh(x: Expression) -> Expression:
    """Inverse hyperbolic cosine of each element, y = log(x + sqrt(x^2 - 1)); NaN below 1.

    >>> acosh(inputVector([1.0, 2.0])).npvalue().round(4)
    array([0.   , 1.317])
    """
    return f.acosh(x)


@elementwise(reference=np.arctanh, domain=(-0.9, 0.9))
def atanh(x: Expression) -> Expression:
    """Inverse hyperbolic tangent of each element, y = log((1 + x) / (1 - x)) / 2; NaN outside [-1, 1].

    >>> atanh(inputVector([0.0, 0.5])).npvalue().round(4)
    array([0.    , 0.5493])
    """
    return f.atanh(x)


__all__ = ["acosh", "asinh", "atanh", "cosh", "sinh"]
