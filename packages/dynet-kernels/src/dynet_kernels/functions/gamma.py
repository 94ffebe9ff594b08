"""The logarithm of the gamma function and its derivative. The coefficients are minimax fits in relative error."""

from __future__ import annotations

from ..tvm_modules import T
from .vmath import absolute, log, number, polynomial, register, select

HALF_LOG_2_PI = 0.918938533204672742
# digamma(x) is 0 for x = 1 + the sum of these. A single float32 would not be precise enough.
ROOT = (4.6163213253e-1, 1.2438149843e-8)


def _split(x):
    """Return z, which is 1 - x if x < 0, else x; and the fractional part of |x|, on which the reflection depends."""
    size = register(absolute(x))
    argument = select(x < number(0.0, x), number(1.0, x) - x, x)
    return argument, register(size - T.floor(size))


def _near(z, numerator, denominator):
    """Return t and a rational function of t, for 0 <= z < 3: t is z - 1 if z >= 1."""
    # For z < 1, t is z: the function is computed at z + 1, and a recurrence leads to z.
    t = select(z < number(1.0, z), z, z - number(1.0, z))
    return t, register(polynomial(t, numerator) / polynomial(t, denominator))


def lgamma(x):
    """Return log |gamma(x)|: a rational function times (x - 1) (x - 2) on [1, 3), and Stirling's series from 3 on."""
    # On [0, 1) it is lgamma(x + 1) - log(x), and below 0 it follows from lgamma(1 - x) by reflection.
    z, part = _split(x)
    one, three = number(1.0, x), number(3.0, x)
    logarithm = register(log(z))
    t, quotient = _near(
        z,
        (2.7127592285e-3, 2.0453748526e-1, 1.0058649196, 1.0),
        (8.2404940474e-2, 9.4105075628e-1, 2.4787092592, 1.7324547550),
    )
    near = register(t * (t - one) * quotient)
    near = register(near + select(z < one, number(0.0, x) - logarithm, number(0.0, x)))  # adding 0 turns -0 into 0
    inverse = register(one / z)
    series = polynomial(register(inverse * inverse), (6.7897693829e-4, -2.7698875539e-3, 8.3333162294e-2))
    far = register((z - number(0.5, x)) * (logarithm - one))
    far = register(far + (number(HALF_LOG_2_PI - 0.5, x) + inverse * series))
    value = select(z < three, near, far)
    to_whole = register(T.min(part, register(one - part)))
    sine = polynomial(
        register(to_whole * to_whole),
        (-2.2352240639e-3, 2.6116205326e-2, -1.9074762268e-1, 8.1174217077e-1, -1.6449340611, 1.0),
    )
    reflected = register(number(0.0, x) - log(register(to_whole * sine)) - value)
    infinity = number(float("inf"), x)
    # All float32s from -2^23 downwards are whole numbers, where the gamma function has poles.
    reflected = select(x <= number(-8388608.0, x), infinity, reflected)
    return select(x < number(0.0, x), reflected, value)


def digamma(x):
    """Return the derivative of `lgamma`, by the same ranges of x.

    It is precise near its root, because x minus the root is a factor.
    """
    z, part = _split(x)
    one, three = number(1.0, x), number(3.0, x)
    t, quotient = _near(
        z,
        (1.4601369511e-3, 1.4853298327e-1, 8.6887601667e-1, 1.0),
        (4.3305824323e-2, 4.8617815397e-1, 1.2415599144, 7.9975679546e-1),
    )
    inverse = register(one / z)
    near = register(((t - number(ROOT[0], x)) - number(ROOT[1], x)) * quotient)
    near = register(near - select(z < one, inverse, number(0.0, x)))
    square = register(inverse * inverse)
    series = polynomial(square, (3.2323224409e-3, -8.2863811678e-3, 8.3332408829e-2))
    far = register(log(z) - number(0.5, x) * inverse - square * series)
    value = select(z < three, near, far)
    # Below 0: digamma(1 - x) + pi * cot(pi * r), where r is |x| minus the nearest whole number. `rest` is a polynomial
    # with which pi * cot(pi * r) = 1 / r - r * rest.
    r = select(part > number(0.5, x), part - one, part)
    rest = polynomial(
        register(r * r),
        (6.1280123167, -5.4862326043e-2, 2.4832325908, 1.9414762790)
        + (2.0122003892, 2.0345545459, 2.1646480060, 3.2898681304),
    )
    reflected = register(value + (one / r - r * rest))
    return select(x < number(0.0, x), reflected, value)
