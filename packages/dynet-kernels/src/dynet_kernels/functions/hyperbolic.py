"""Hyperbolic functions and their inverses."""

from __future__ import annotations

from ..tir import let
from ..tvm_modules import T
from .exponential import halved, log1p
from .vmath import (
    absolute,
    clamp,
    from_bits,
    number,
    polynomial,
    power_of_two,
    register,
    select,
    sign_bit,
    sqrt,
    with_sign,
)

LOG_OF_2 = 0.693147180559945309
LARGE = 1e8  # for x above this, x + 1 and x are the same float32


def tanh(x):
    """Return tanh(x): a rational function for |x| up to 9.01, beyond which the nearest float32 is 1 or -1."""
    near = let(clamp(x, -9.02, 9.02))
    square = let(near * near)
    above = polynomial(square, (1.3319102640e-8, 2.0583506977e-5, 3.4940363143e-3, 1.3379719685e-1, 1.0))
    below = polynomial(square, (7.7620330377e-7, 3.2830955558e-4, 2.5871080288e-2, 4.6713035626e-1, 1.0))
    inside = register(clamp(register(near * above / below), -1.0, 1.0))
    one = register(from_bits(T.bitwise_or(sign_bit(x), number(0x3F800000, x, "int32"))))
    return register(T.Select(absolute(x) > number(9.0109, x), one, inside))


def quarter_exp(x):
    """Return exp(|x|) / 4 and expm1(|x|) / 4: neither overflows if sinh(x) is finite."""
    n, p = halved(let(clamp(absolute(x), 0.0, 89.5)))
    scale = register(power_of_two(n - number(2, n, "int32")))
    product = register(scale * p)
    return register(product + scale), register(product + (scale - number(0.25, x)))


def sinh(x):
    _, e = quarter_exp(x)
    half_of_rest = number(0.5, x) * e / (number(0.25, x) + e)
    value = register(number(2.0, x) * e + half_of_rest)
    return with_sign(select(absolute(x) < number(1e-4, x), absolute(x), value), x)


def cosh(x):
    e, _ = quarter_exp(x)
    return register(number(2.0, x) * e + number(0.125, x) / e)


def asinh(x):
    size = register(absolute(x))
    inside = register(clamp(size, 0.0, LARGE))
    square = register(inside * inside)
    above = register(inside + square / (number(1.0, x) + sqrt(number(1.0, x) + square)))
    return with_sign(_log1p_unless_large(size, above), x)


def acosh(x):
    above = register(clamp(x, -1.0, LARGE) - number(1.0, x))
    root = register(sqrt(register(above * (number(2.0, x) + above))))
    value = _log1p_unless_large(x, register(above + root))
    return select(x < number(1.0, x), number(float("nan"), x), value)


def _log1p_unless_large(x, above):
    """Return log1p(above), or log(2 x) where x > LARGE: asinh or acosh, up to rounding."""
    # `above` contains x * x, and is computed from x limited to LARGE, so that it does not overflow.
    large = number(LARGE, x)
    value = register(log1p(select(x > large, x, above)))
    return register(value + select(x > large, number(LOG_OF_2, x), number(0.0, x)))


def atanh(x):
    size = register(absolute(x))
    return with_sign(number(0.5, x) * log1p(register((size + size) / (number(1.0, x) - size))), x)
