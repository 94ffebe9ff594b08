"""Trigonometric functions of each element and their inverses."""

from __future__ import annotations

from ..declare import *

RANGE = {"limit": 2.0**27, "range_reason": "larger angles count as 0: neighboring float32s are more than a turn apart"}


@elementwise(reference=np.sin, **RANGE)
def sin(x: Expression) -> Expression:
    """Sine of each element, an angle in radians.

    Results are accurate to the last digits of a float32 up to |x| = 2^27. Larger angles are treated as 0: adjacent
    float32 numbers are then more than a full turn apart.

    >>> sin(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8415])
    """
    return f.sin(x)


@elementwise(reference=np.cos, **RANGE)
def cos(x: Expression) -> Expression:
    """Cosine of each element, an angle in radians. Angles beyond 2^27 are treated as 0, as in `sin`.

    >>> cos(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 0.5403])
    """
    return f.cos(x)


@elementwise(reference=np.tan, **RANGE, domain=(-1.2, 1.2))
def tan(x: Expression) -> Expression:
    """Tangent of each element, an angle in radians. Angles beyond 2^27 are treated as 0, as in `sin`.

    >>> tan(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.5574])
    """
    return f.tan(x)


@elementwise(reference=np.arcsin, domain=(-0.9, 0.9))
def asin(x: Expression) -> Expression:
    """Inverse sine of each element, between -pi/2 and pi/2; NaN outside [-1, 1].

    >>> asin(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.5708])
    """
    return f.asin(x)


@elementwise(reference=np.arccos, domain=(-0.9, 0.9))
def acos(x: Expression) -> Expression:
    """Inverse cosine of each element, between 0 and pi; NaN outside [-1, 1].

    >>> acos(inputVector([1.0, 0.0])).npvalue().round(4)
    array([0.    , 1.5708])
    """
    return f.acos(x)


@elementwise(reference=np.arctan)
def atan(x: Expression) -> Expression:
    """Inverse tangent of each element, between -pi/2 and pi/2.

    >>> atan(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.7854])
    """
    return f.atan(x)


__all__ = ["acos", "asin", "atan", "cos", "sin", "tan"]
