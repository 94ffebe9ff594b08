"""Trigonometric functions and their inverses.

Angles are reduced by pi/2 in float64, precisely up to LIMIT. Larger float32s are further apart than a whole turn, so
they count as 0.
"""

from __future__ import annotations

from ..tir import let
from ..tvm_modules import T
from .vmath import (
    absolute,
    as_type,
    bits_of,
    fma,
    from_bits,
    number,
    polynomial,
    register,
    select,
    sqrt,
    with_sign,
)

HALF_PI = 1.57079632679489662
# pi/2 is the sum of these. The first two have 25 bits: float64 holds their products with whole numbers exactly.
HALF_PI_PARTS = (1.5707963109016418, 1.5893254712295857e-08, 6.123233995736766e-17)
LIMIT = 2.0**27


def _quadrant(x):
    """Return the int32 n for which n pi/2 is nearest to the angle x, and sine and cosine of x - n pi/2."""
    inside = select(absolute(x) <= number(LIMIT, x), x, number(0.0, x))
    exact = let(T.Cast(as_type("float64", x), inside))
    turns = let(T.floor(exact * number(1 / HALF_PI, x, "float64") + number(0.5, x, "float64")))
    for part in HALF_PI_PARTS:
        exact = register(exact - turns * number(part, x, "float64"), "float64")
    rest = register(T.Cast(as_type("float32", x), exact))
    # Sine and cosine of infinity and NaN are NaN. This must be set here, because `inside` is 0 for them.
    rest = select(absolute(x) < number(float("inf"), x), rest, number(float("nan"), x))
    square = register(rest * rest)
    sine = polynomial(square, (-1.9516654721e-4, 8.3321735332e-3, -1.6666654873e-1))
    cosine = polynomial(square, (2.4437728177e-5, -1.3887361431e-3, 4.1666646747e-2))
    sine = with_sign(fma(rest * square, sine, rest), rest)
    cosine = register(fma(square * square, cosine, fma(square, number(-0.5, x), number(1.0, x))))
    return T.Cast(as_type("int32", x), turns), sine, cosine


def _odd(quarter):
    one = number(1, quarter, "int32")
    return T.bitwise_and(quarter, one) == one


def _turned(value, quarter):
    """Return `value`, negated in the second half of a turn: where `quarter` modulo 4 is 2 or 3."""
    bit = T.shift_left(T.bitwise_and(quarter, number(2, quarter, "int32")), number(30, quarter, "int32"))
    return register(from_bits(T.bitwise_xor(bits_of(value), bit)))


def sin(x):
    quarter, sine, cosine = _quadrant(x)
    quarter = let(quarter)
    return _turned(select(_odd(quarter), cosine, sine), quarter)


def cos(x):
    quarter, sine, cosine = _quadrant(x)
    quarter = let(quarter + number(1, x, "int32"))
    return _turned(select(_odd(quarter), cosine, sine), quarter)


def tan(x):
    quarter, sine, cosine = _quadrant(x)
    quarter = let(quarter)
    minus = register(number(0.0, x) - cosine)
    return register(select(_odd(quarter), minus, sine) / select(_odd(quarter), sine, cosine))


def _arc(t, square):
    """Return asin(t) for |t| up to 1/2; `square` is t * t."""
    value = polynomial(square, (4.2218546136e-2, 2.4147611861e-2, 4.5477097115e-2, 7.4952417775e-2, 1.6666753928e-1))
    return register(fma(t * square, value, t))


def _of_half_angle(size):
    """Return asin(size) where size <= 1/2, else acos(size) / 2 = asin(sqrt((1 - size) / 2))."""
    large = number(0.5, size)
    square = select(size > large, (number(1.0, size) - size) * number(0.5, size), size * size)
    return _arc(select(size > large, sqrt(square), size), square)


def asin(x):
    size = register(absolute(x))
    arc = _of_half_angle(size)
    return with_sign(select(size > number(0.5, x), number(HALF_PI, x) - (arc + arc), arc), x)


def acos(x):
    size = register(absolute(x))
    arc = _of_half_angle(size)
    twice = register(arc + arc)
    middle = register(number(HALF_PI, x) - with_sign(arc, x))
    ends = select(x > number(0.0, x), twice, number(2 * HALF_PI, x) - twice)
    return select(size > number(0.5, x), ends, middle)


def atan(x):
    size = register(absolute(x))
    large = number(1.0, x)
    t = select(size > large, large / size, size)
    square = register(t * t)
    value = polynomial(
        square,
        (2.9745431165e-3, -1.6580997051e-2, 4.3553239853e-2, -7.5805532443e-2)
        + (1.0678928899e-1, -1.4214206339e-1, 1.9994136877e-1, -3.3333166953e-1),
    )
    arc = register(fma(t * square, value, t))
    return with_sign(select(size > large, number(HALF_PI, x) - arc, arc), x)
