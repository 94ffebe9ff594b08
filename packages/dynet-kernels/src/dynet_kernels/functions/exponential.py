"""Exponentials and logarithms that stay precise near 0, powers, the logistic function and erf.

The coefficients of polynomials are minimax fits in relative error.
"""

from __future__ import annotations

from ..tir import let
from ..tvm_modules import T
from .vmath import (
    absolute,
    as_type,
    bits_of,
    clamp,
    exp,
    fma,
    from_bits,
    log,
    number,
    polynomial,
    power_of_two,
    register,
    select,
    with_sign,
)

LOG2_E = 1.44269504088896341
# log(2) is the sum of these. The first has only 9 bits, so float32 holds its product with each n of `halved` exactly.
LOG_2 = (0.693359375, -2.12194440e-4)


def halved(x):
    """Return (n, p) with exp(x) = 2^n * (1 + p): n is an int32, and p is expm1(rest) for |rest| <= log(2) / 2."""
    n = let(T.floor(fma(x, number(LOG2_E, x), number(0.5, x))))
    rest = fma(n, number(-LOG_2[0], x), x)
    rest = let(fma(n, number(-LOG_2[1], x), rest))
    value = polynomial(rest, (1.3946551887e-3, 8.3666440808e-3, 4.1666280664e-2, 1.6666542544e-1, 5.0000000623e-1))
    return T.Cast(as_type("int32", n), n), register(fma(rest * rest, value, rest))


def expm1(x):
    n, p = halved(let(clamp(x, -30.0, 89.0)))
    half = register(power_of_two(n - number(1, n, "int32")))  # 2^(n - 1), since n may be 128, and 2^128 overflows
    value = register(fma(half, p, half - number(0.5, x)) * number(2.0, x))
    # For a small |x|, n is 0. Return p itself, because p / 2 loses bits if it is denormal.
    size = register(absolute(x))
    return with_sign(select(size < number(0.25, x), absolute(p), absolute(value)), x)


def log1p(x):
    """Return log(1 + x), precise near 0: log(s) + e / s, where s is 1 + x in float32, and e the rounding error."""
    above = register(number(1.0, x) + x)
    lost = register(x - register(above - number(1.0, x)))
    lost = select(x < number(1e9, x), lost, number(0.0, x))
    value = register(log(above) + lost / clamp(above, 1e-30, 1e30))
    return with_sign(value, x)


def logistic(x):
    """Return 1 / (1 + exp(-x)), from exp(-|x|), so nothing overflows and small results are precise."""
    one = number(1.0, x)
    e = register(exp(register(negative_size(x))))
    return register(select(x < number(0.0, x), e, one) / (one + e))


def negative_size(x):
    """Return -|x|."""
    return from_bits(T.bitwise_or(bits_of(x), number(-(1 << 31), x, "int32")))


def erf(x):
    """Return erf(x): an odd polynomial for |x| < 0.9; for larger |x|, |erf(x)| is 1 - exp(a polynomial of |x|)."""
    # This rounds to 1 from |x| = 4 on.
    size = register(clamp(absolute(x), 0.0, 4.0))
    square = register(size * size)
    near = polynomial(
        square,
        (-6.0903579960e-4, 5.0119624112e-3, -2.6778908621e-2) + (1.1282140803e-1, -3.7612523275e-1, 1.1283791538),
    )
    far = polynomial(
        size,
        (1.9822070778e-4, -3.0654998278e-3, 2.2315248062e-2)
        + (-1.0411374558e-1, -6.3697601312e-1, -1.1277972809, -1.6643907026e-4),
    )
    far = register(number(1.0, x) - exp(far))
    return with_sign(select(size < number(0.9, x), size * near, far), x)


def power(x, y):
    """Return x to the power of y, as 2 to the power of y * log2(|x|).

    This exponent is a float64, because it needs more digits than a float32 has. Special cases are as in C: 1 to any
    power is 1, and so is anything to the power of 0; a negative number to a power that is not whole is NaN.
    """
    size = register(absolute(x))
    exact = let(T.Cast(as_type("float64", x), y) * _log2(size))
    exact = T.max(number(-160.0, x, "float64"), T.min(number(130.0, x, "float64"), exact))
    whole = let(T.floor(exact + number(0.5, x, "float64")))
    rest = register(T.Cast(as_type("float32", x), exact - whole))
    value = polynomial(
        rest,
        (1.5475896706e-4, 1.3400283159e-3, 9.6180054153e-3, 5.5503277424e-2, 2.4022651332e-1, 6.9314720629e-1),
    )
    value = register(fma(rest, value, number(1.0, x)))
    n = T.Cast(as_type("int32", whole), whole)
    half = let(T.shift_right(n, number(1, n, "int32")))
    # Multiply by 2^n in two steps: if the result is denormal or infinite, 2^n may not be a normal float32.
    value = register(value * power_of_two(half) * power_of_two(n - half))
    value = _of_limits(value, x, size, y)
    halved_y = register(y * number(0.5, x))
    odd = select(halved_y == T.floor(halved_y), number(0.0, x), number(1.0, x))
    whole_y = register(T.floor(y))
    odd = select(y == whole_y, odd, number(0.0, x))
    value = select(odd == number(1.0, x), with_sign(value, x), value)
    imaginary = select(y == whole_y, value, number(float("nan"), x))
    imaginary = select(x > number(float("-inf"), x), imaginary, value)
    value = select(x < number(0.0, x), imaginary, value)
    value = select(y == number(0.0, x), number(1.0, x), value)
    return select(x == number(1.0, x), number(1.0, x), value)


def _of_limits(value, x, size, y):
    """Correct `value`, |x| to the power of y, where it is meaningless: |x| is 0, 1 or infinite, or x or y is NaN."""
    zero, one, infinity = number(0.0, y), number(1.0, y), number(float("inf"), y)
    value = select(size == zero, select(y > zero, zero, infinity), value)
    value = select(size == infinity, select(y > zero, infinity, zero), value)
    value = select(size == one, one, value)
    value = select(size <= infinity, value, x)
    return select(absolute(y) <= infinity, value, y)


def _log2(x):
    """Return the binary logarithm of x >= 0 as a float64."""
    tiny = x < number(1.17549435e-38, x)
    scaled = register(T.Select(tiny, x * number(8388608.0, x), x))  # denormals are multiplied by 2^23
    lift = register(T.Select(x < number(1.17549435e-38, x), number(23.0, x), number(0.0, x)))
    bits = let(bits_of(scaled))
    # Split into exponent and mantissa so that the mantissa is in [sqrt(1/2), sqrt(2)), close to 1.
    shifted = let(bits - number(0x3F3504F3, bits, "int32"))
    exponent = let(T.shift_right(shifted, number(23, bits, "int32")))
    mantissa = register(from_bits(bits - T.shift_left(exponent, number(23, bits, "int32"))))
    wide = as_type("float64", x)
    m = let(T.Cast(wide, mantissa))
    one = number(1.0, x, "float64")
    s = let((m - one) / (m + one))
    square = let(s * s)
    value = number(3.4074008711e-1, x, "float64")
    for coefficient in (4.1167212840e-1, 5.7708359589e-1, 9.6179667328e-1, 2.8853900818):
        value = let(value * square + number(coefficient, x, "float64"))
    whole = let(T.Cast(as_type("float32", x), exponent) - lift)
    return let(T.Cast(wide, whole) + s * value)
