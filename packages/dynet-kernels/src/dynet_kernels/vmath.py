"""Arithmetic and elementary functions of float32 vectors, emitted as TIR. (TVM's own functions call the C library.)

A vector is a TIR expression with as many lanes as a vector register: 16 with AVX-512, 1 on a GPU, where each thread
has its own element. Python numbers are broadcast to all lanes. The coefficients of `exp` and `log` are from the Cephes
library (S. Moshier); other polynomials minimize the largest relative error.
"""

from __future__ import annotations

import math
import operator

from .formula import LARGEST_FLOAT, SMALLEST_NORMAL
from .tir import Accumulator, broadcast, let, vector_type
from .tvm_modules import T, tirx

AVX512_LANES = 16  # how many lanes AVX-512 vectors have; those of all other targets have fewer
SIGN_BIT = -(1 << 31)  # the sign bit, in an int32


def lanes_of(x):
    return (x.asobject() if hasattr(x, "asobject") else x).ty.dtype.lanes  # only this gives TVM's `a == b` a type


def broadcast_like(value, like, dtype="float32"):
    """Broadcast a Python number to the lanes of the vector `like`. Return any other value as it is."""
    return broadcast(tirx.const(value, dtype), lanes_of(like)) if isinstance(value, float | int) else value


def vector_type_like(dtype, x):
    return vector_type(dtype, lanes_of(x))


def cast(dtype, x):
    return T.Cast(vector_type_like(dtype, x), x)


def in_register(value, dtype="float32"):
    """Store `value` and load it, so that TVM's simplifier, which takes minutes for long trees, sees only the load."""
    return let(Accumulator(lanes_of(value), value, dtype).value)


def select(condition, x, y):
    """Return x where the condition is true, else y. Store x and y first: nested selections would compile slowly."""
    x, y = (in_register(broadcast_like(one, condition)) for one in (x, y))
    return in_register(T.Select(condition, x, y))


def select_unstored(condition, x, y):
    return T.Select(condition, broadcast_like(x, condition), broadcast_like(y, condition))


def shuffle(vectors, lanes):
    """Return a vector of the given lanes of one or two vectors. Those of a second vector count after the first's."""
    return tirx.Shuffle(vectors, [tirx.const(lane, "int32") for lane in lanes])


def lane(x, index):
    return shuffle([x], [index]) if lanes_of(x) > 1 else x


def bits_of(x):
    return T.reinterpret(vector_type_like("int32", x), x)


def from_bits(bits):
    return T.reinterpret(vector_type_like("float32", bits), bits)


def sign_bit(x):
    """Return the sign bit of x in an int32, whose other bits are 0."""
    return bits_of(x) & SIGN_BIT


def with_sign(magnitude, x):
    """Return `magnitude` with the sign of x, even if x is -0. `magnitude` must be positive or have the sign of x."""
    return in_register(from_bits(bits_of(magnitude) | sign_bit(x)))


add, subtract, multiply = operator.add, operator.sub, operator.mul
less, less_equal, equal = operator.lt, operator.le, operator.eq


def divide(x, y):
    """Return x / y. TVM's simplifier raises an error if it finds that y is 0, so hide y from it in a register."""
    return x / in_register(y)


def negative(x):
    """Return -x by flipping the sign bit, which is right for zero and NaN as well."""
    return from_bits(bits_of(x) ^ SIGN_BIT)


def where(condition, x, y):
    return let(select_unstored(condition, x, y))


def minimum(x, y):
    """Return the smaller of x and y, or NaN if either is NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(x < y, x, y))))
    return _keep_nan(T.min(x, y), T.min(y, x))


def maximum(x, y):
    """Return the larger of x and y, or NaN if either is NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(y < x, x, y))))
    return _keep_nan(T.max(x, y), T.max(y, x))


def _keep_nan(result, swapped_result):
    """Combine min(x, y) and min(y, x), or the two maxima, so that the result is NaN if x or y is NaN."""
    # If either argument is NaN, T.min and T.max return the second argument. So one of the two results is NaN, and their
    # bitwise or is NaN as well. Nested selections would also do, but TVM's simplifier would take minutes for them.
    return let(from_bits(bits_of(result) | bits_of(swapped_result)))


def absolute(x):
    return from_bits(bits_of(x) & ~SIGN_BIT)


def _magnitude(x):
    return in_register(absolute(x))


def sqrt(x):
    return T.sqrt(x)


def over_root(x, y, c):
    """Return x / (sqrt(y) + c)."""
    # Improve AVX-512's approximations of 1 / sqrt(y) and 1 / y by Newton's method: 6 cycles, while exact ones take 40.
    if lanes_of(x) != AVX512_LANES:
        return x / (T.sqrt(y) + c)
    y = in_register(y)
    inside = in_register(clamp(y, SMALLEST_NORMAL, LARGEST_FLOAT))
    guess = in_register(_approximation("rsqrt14", inside))
    root = in_register(inside * guess)
    correction = fma(-root, guess * 0.5, 0.5)
    root = in_register(fma(root, correction, root))
    divisor = in_register(select(y == 0.0, 0.0, root) + c)
    divisor = in_register(T.max(SMALLEST_NORMAL, divisor))  # for a smaller divisor, the guess would be infinite
    guess = in_register(_approximation("rcp14", divisor))
    inverse = in_register(fma(guess, fma(-divisor, guess, 1.0), guess))
    return x * select(y > LARGEST_FLOAT, 0.0, inverse)


def _approximation(function, x):
    """Emit AVX-512's `rsqrt14` or `rcp14`, which approximate 1 / sqrt(x) and 1 / x to 14 bits, for all lanes (-1)."""
    return T.call_llvm_pure_intrin("float32x16", f"llvm.x86.avx512.{function}.ps.512", x, x, tirx.const(-1, "int16"))


def floor(x):
    return T.floor(x)


def ceil(x):
    return T.ceil(x)


def round(x):  # noqa: A001
    """Round x to the nearest whole number, halves away from zero."""
    magnitude = _magnitude(x)
    whole = in_register(T.floor(magnitude))
    up = let(select_unstored(magnitude - whole < 0.5, 0.0, 1.0))
    return with_sign(in_register(whole + up), x)


def fma(a, b, c):
    """Return a * b + c in one operation. On a GPU, TIR has no such operation, but nvcc makes one of a * b + c."""
    return T.fma(a, broadcast_like(b, a), broadcast_like(c, a)) if lanes_of(a) > 1 else a * b + c


def polynomial(x, coefficients):
    """Evaluate a polynomial by Horner's method. The coefficient of the highest power comes first."""
    value = broadcast_like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        value = let(fma(value, x, coefficient))
    return value


def clamp(x, low, high):
    """Limit x to the range [low, high]; NaN stays NaN."""
    # On a CPU, T.min and T.max return their second argument if either is NaN, so x comes second. On a GPU, they return
    # the argument that is not NaN, so NaN is selected afterwards.
    inside = T.max(low, T.min(high, x))
    return inside if lanes_of(x) > 1 else T.Select(T.isnan(x), x, inside)


def power_of_two(n):
    return from_bits((n + 127) << 23)


def times_power_of_two(value, exponent):
    """Return value * 2^exponent, where the float32 `exponent` is whole. The result may be denormal or infinite."""
    if lanes_of(value) == AVX512_LANES:
        all_lanes, current_rounding = tirx.const(-1, "int16"), tirx.const(4, "int32")
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        return T.call_llvm_pure_intrin("float32x16", name, value, exponent, value, all_lanes, current_rounding)
    int_exponent = let(cast("int32", exponent))
    half = let(int_exponent >> 1)
    # Multiply in two steps, because 2^exponent itself may be too large or too small for a float32.
    return value * power_of_two(half) * power_of_two(int_exponent - half)


def exp(x):
    x = in_register(clamp(in_register(x), -105.0, 89.0))  # beyond these, exp(x) is 0 or infinite in float32
    whole = let(T.floor(fma(x, 1.44269504088896341, 0.5)))  # x / log(2), rounded
    rest = fma(whole, -0.693359375, x)  # x - whole * log(2), in two terms: see LOG_2_TERMS
    rest = let(fma(whole, 2.12194440e-4, rest))
    value = polynomial(
        rest, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
    )
    return in_register(times_power_of_two(let(fma(rest * rest, value, rest) + 1.0), whole))


def log(x):
    x = in_register(x)
    tiny = x < SMALLEST_NORMAL
    scaled = in_register(T.Select(tiny, x * 8388608.0, x))  # denormals are multiplied by 2^23
    lift = in_register(select_unstored(tiny, 23.0, 0.0))
    bits = let(bits_of(T.max(scaled, SMALLEST_NORMAL)))
    exponent = (bits >> 23) - 126
    mantissa = in_register(from_bits((bits & 0x007FFFFF) | 0x3F000000))  # in [1/2, 1)
    small = mantissa < 0.707106781186547524  # a mantissa less than sqrt(1/2) is doubled, so that m is near 0
    e = in_register(cast("float32", exponent) - lift - select_unstored(small, 1.0, 0.0))
    m = in_register(mantissa - 1.0 + select_unstored(small, mantissa, 0.0))
    z = let(m * m)
    value = polynomial(
        m,
        (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
        + (-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
    )
    value = fma(e, -2.12194440e-4, m * z * value) - 0.5 * z  # adds e * log(2) in two terms: see LOG_2_TERMS
    value = in_register(fma(e, 0.693359375, m + value))
    infinite = in_register(T.Select(x == math.inf, x, value))
    outside = in_register(select_unstored(x == 0.0, -math.inf, math.nan))
    return in_register(T.Select(x > 0.0, infinite, outside))


def combine_lanes(combine, x):
    """Combine all lanes of the vector x into one value, by repeatedly combining the two halves of a vector."""
    lanes = lanes_of(x)
    while lanes > 1:
        lanes //= 2
        halves = [let(shuffle([x], range(start, start + lanes))) for start in (0, lanes)]
        x = let(Accumulator(lanes, combine(*halves)).value)  # see `in_register`
    return x


def horizontal_sums(vectors) -> dict:
    """Return the sum over the lanes of each vector in a list, as a dict.

    For 2, 4 or 8 vectors with at least as many lanes, all sums are computed together. The dict then is {0: a vector
    whose lane n is the sum of vector n}. Otherwise, it has a scalar for each vector: index -> sum.
    """
    lanes = share = lanes_of(vectors[0])
    if len(vectors) not in (2, 4, 8) or len(vectors) > lanes:
        return {index: combine_lanes(add, vector) for index, vector in enumerate(vectors)}
    # Combine pairs of vectors into one: half of its lanes are for sums of the first vector, half for the second.
    while len(vectors) > 1:
        share //= 2
        vectors = [_folded(pair, share, 2 * lanes) for pair in zip(vectors[::2], vectors[1::2])]
    (whole,) = vectors
    while share > 1:
        share //= 2
        whole = _folded([whole], share, lanes_of(whole))
    return {0: whole}


def _folded(vectors, share, lanes):
    """Add runs 1, 3, ... of `share` lanes to runs 0, 2, ...; two vectors count as one vector of `lanes` lanes."""
    first = [start + k for start in range(0, lanes, 2 * share) for k in range(share)]
    halves = [shuffle(list(vectors), [k + move for k in first]) for move in (0, share)]
    return let(let(halves[0]) + let(halves[1]))


def transposed(vectors):
    """Transpose n vectors of n lanes: vector k of the result has lane k of each vector."""
    vectors, lanes = list(vectors), lanes_of(vectors[0]) if len(vectors) > 1 else 1
    move = lanes // 2
    while move:  # exchange the squares of move x move elements on both sides of the diagonal
        for first in [index for index in range(lanes) if not index & move]:
            pair = [vectors[first], vectors[first + move]]
            upper = [lanes + k - move if k & move else k for k in range(lanes)]
            lower = [lanes + k if k & move else k + move for k in range(lanes)]
            for index, order in ((first, upper), (first + move, lower)):
                vectors[index] = let(shuffle(pair, order))
        move //= 2
    return vectors


# Exponentials and logarithms that stay precise near 0, powers, the logistic function and erf

LOG2_E = 1.44269504088896341
# log(2) is the sum of these numbers. The first has only 9 bits, so products of it and n in `split_exp` are exact.
LOG_2_TERMS = (0.693359375, -2.12194440e-4)


def split_exp(x):
    """Return (n, p) with exp(x) = 2^n * (1 + p): n is an int32, and p is expm1(rest) for |rest| <= log(2) / 2."""
    n = let(T.floor(fma(x, LOG2_E, 0.5)))
    rest = fma(n, -LOG_2_TERMS[0], x)
    rest = let(fma(n, -LOG_2_TERMS[1], rest))
    value = polynomial(rest, (1.3946551887e-3, 8.3666440808e-3, 4.1666280664e-2, 1.6666542544e-1, 5.0000000623e-1))
    return cast("int32", n), in_register(fma(rest * rest, value, rest))


def expm1(x):
    n, p = split_exp(let(clamp(x, -30.0, 89.0)))  # beyond these, the result is -1 or infinite in float32
    half = in_register(power_of_two(n - 1))  # 2^(n - 1), since n may be 128, and 2^128 overflows
    value = in_register(fma(half, p, half - 0.5) * 2.0)
    # For a small |x|, n is 0. Then return p itself, because `value` uses p / 2, which loses bits if it is denormal.
    magnitude = _magnitude(x)
    return with_sign(select(magnitude < 0.25, absolute(p), absolute(value)), x)


def log1p(x):
    """Return log(1 + x), precise near 0, as log(s) + e / s, where s is 1 + x in float32, and e its rounding error."""
    above = in_register(1.0 + x)
    lost = in_register(x - in_register(above - 1.0))
    lost = select(x < 1e9, lost, 0.0)  # `lost` is NaN for an infinite x
    value = in_register(log(above) + lost / clamp(above, 1e-30, 1e30))  # if `above` is 0, so is `lost`
    return with_sign(value, x)


def logistic(x):
    """Return 1 / (1 + exp(-x)), using exp(-|x|), so that nothing overflows and small results are precise."""
    e = in_register(exp(in_register(negative_magnitude(x))))
    return in_register(select(x < 0.0, e, 1.0) / (1.0 + e))


def negative_magnitude(x):
    """Return -|x|."""
    return from_bits(bits_of(x) | SIGN_BIT)


def erf(x):
    """Return erf(x): an odd polynomial for |x| < 0.9; for larger |x|, |erf(x)| is 1 - exp(a polynomial in |x|)."""
    # For |x| >= 4, |erf(x)| rounds to 1, so |x| is limited to 4.
    magnitude = in_register(clamp(absolute(x), 0.0, 4.0))
    square = in_register(magnitude * magnitude)
    near = polynomial(
        square,
        (-6.0903579960e-4, 5.0119624112e-3, -2.6778908621e-2) + (1.1282140803e-1, -3.7612523275e-1, 1.1283791538),
    )
    far = polynomial(
        magnitude,
        (1.9822070778e-4, -3.0654998278e-3, 2.2315248062e-2)
        + (-1.0411374558e-1, -6.3697601312e-1, -1.1277972809, -1.6643907026e-4),
    )
    far = in_register(1.0 - exp(far))
    return with_sign(select(magnitude < 0.9, magnitude * near, far), x)


def power(x, y):
    """Return x to the power of y, as 2 to the power of y * log2(|x|).

    The exponent is a float64, because it needs more digits than a float32 has. Special cases are as in C: 1 to any
    power, and anything to the power of 0, is 1; a negative number to a fractional power is NaN.
    """
    magnitude = _magnitude(x)
    exact = let(cast("float64", y) * _log2(magnitude))
    exact = T.max(-160.0, T.min(130.0, exact))  # beyond these, the power is 0 or infinite in float32
    whole = let(T.floor(exact + 0.5))
    rest = in_register(cast("float32", exact - whole))
    value = polynomial(
        rest, (1.5475896706e-4, 1.3400283159e-3, 9.6180054153e-3, 5.5503277424e-2, 2.4022651332e-1, 6.9314720629e-1)
    )
    value = in_register(fma(rest, value, 1.0))
    n = cast("int32", whole)
    half = let(n >> 1)
    # Multiply by 2^n in two steps: if the result is denormal or infinite, 2^n may not be a normal float32.
    value = in_register(value * power_of_two(half) * power_of_two(n - half))
    value = _special_powers(value, x, magnitude, y)
    halved_y = in_register(y * 0.5)
    odd = select(halved_y == T.floor(halved_y), 0.0, 1.0)
    whole_y = in_register(T.floor(y))
    odd = select(y == whole_y, odd, 0.0)  # 1 if y is an odd whole number
    value = select(odd == 1.0, with_sign(value, x), value)
    imaginary = select(y == whole_y, value, math.nan)
    imaginary = select(x > -math.inf, imaginary, value)
    value = select(x < 0.0, imaginary, value)
    value = select(y == 0.0, 1.0, value)
    return select(x == 1.0, 1.0, value)


def _special_powers(value, x, magnitude, y):
    """Correct `value`, |x| to the power of y, if |x| (`magnitude`) is 0, 1 or infinite, or if x or y is NaN."""
    value = select(magnitude == 0.0, select(y > 0.0, 0.0, math.inf), value)
    value = select(magnitude == math.inf, select(y > 0.0, math.inf, 0.0), value)
    value = select(magnitude == 1.0, 1.0, value)
    value = select(magnitude <= math.inf, value, x)
    return select(absolute(y) <= math.inf, value, y)


def _log2(x):
    """Return the binary logarithm of x >= 0 as a float64."""
    tiny = x < 1.17549435e-38
    scaled = in_register(T.Select(tiny, x * 8388608.0, x))  # denormals are multiplied by 2^23
    lift = in_register(select_unstored(tiny, 23.0, 0.0))
    bits = let(bits_of(scaled))
    # Split x into exponent and mantissa so that the mantissa is in [sqrt(1/2), sqrt(2)), close to 1.
    shifted = let(bits - 0x3F3504F3)  # the bits of sqrt(1/2)
    exponent = let(shifted >> 23)
    mantissa = in_register(from_bits(bits - (exponent << 23)))
    m = let(cast("float64", mantissa))
    s = let((m - 1.0) / (m + 1.0))
    square = let(s * s)
    value = broadcast_like(3.4074008711e-1, x, "float64")  # log2(m) is s times a polynomial in s * s
    for coefficient in (4.1167212840e-1, 5.7708359589e-1, 9.6179667328e-1, 2.8853900818):
        value = let(value * square + coefficient)
    whole = let(cast("float32", exponent) - lift)
    return let(cast("float64", whole) + s * value)


# Hyperbolic functions and their inverses

LOG_2 = 0.693147180559945309
ONE_IS_LOST_ABOVE = 1e8  # for x above this, x + 1 and x are the same float32


def tanh(x):
    """Return tanh(x): a rational function for |x| <= 9.01, beyond which the nearest float32 is 1 or -1."""
    near = let(clamp(x, -9.02, 9.02))
    square = let(near * near)
    numerator = polynomial(square, (1.3319102640e-8, 2.0583506977e-5, 3.4940363143e-3, 1.3379719685e-1, 1.0))
    denominator = polynomial(square, (7.7620330377e-7, 3.2830955558e-4, 2.5871080288e-2, 4.6713035626e-1, 1.0))
    inside = in_register(clamp(in_register(near * numerator / denominator), -1.0, 1.0))
    one = in_register(from_bits(sign_bit(x) | 0x3F800000))
    return in_register(T.Select(absolute(x) > 9.0109, one, inside))


def quarter_exp(x):
    """Return exp(|x|) / 4 and expm1(|x|) / 4: neither overflows if sinh(x) is finite."""
    n, p = split_exp(let(clamp(absolute(x), 0.0, 89.5)))
    scale = in_register(power_of_two(n - 2))
    product = in_register(scale * p)
    return in_register(product + scale), in_register(product + (scale - 0.25))


def sinh(x):
    _, e = quarter_exp(x)
    half_of_rest = 0.5 * e / (0.25 + e)  # sinh(|x|) is (E + E / (1 + E)) / 2 with E = expm1(|x|) = 4 e
    value = in_register(2.0 * e + half_of_rest)
    return with_sign(select(absolute(x) < 1e-4, absolute(x), value), x)


def cosh(x):
    e, _ = quarter_exp(x)
    return in_register(2.0 * e + 0.125 / e)  # (E + 1 / E) / 2 with E = exp(|x|) = 4 e


def asinh(x):
    magnitude = _magnitude(x)
    inside = in_register(clamp(magnitude, 0.0, ONE_IS_LOST_ABOVE))
    square = in_register(inside * inside)
    above = in_register(inside + square / (1.0 + sqrt(1.0 + square)))  # |x| + sqrt(1 + x * x) - 1
    return with_sign(_log1p_unless_large(magnitude, above), x)


def acosh(x):
    above = in_register(clamp(x, -1.0, ONE_IS_LOST_ABOVE) - 1.0)
    root = in_register(sqrt(in_register(above * (2.0 + above))))
    value = _log1p_unless_large(x, in_register(above + root))
    return select(x < 1.0, math.nan, value)


def _log1p_unless_large(x, argument):
    """Return log1p(argument), or log(2 x) if x > ONE_IS_LOST_ABOVE: asinh or acosh, up to rounding."""
    # The callers compute `argument` from x limited to ONE_IS_LOST_ABOVE, because otherwise x * x could overflow.
    value = in_register(log1p(select(x > ONE_IS_LOST_ABOVE, x, argument)))
    return in_register(value + select(x > ONE_IS_LOST_ABOVE, LOG_2, 0.0))


def atanh(x):
    magnitude = _magnitude(x)
    return with_sign(0.5 * log1p(in_register((magnitude + magnitude) / (1.0 - magnitude))), x)


# The logarithm of the gamma function and its derivative

HALF_LOG_2_PI = 0.918938533204672742
# digamma(x) is 0 if x is 1 plus the sum of these numbers. A single float32 would not be precise enough.
DIGAMMA_ROOT = (4.6163213253e-1, 1.2438149843e-8)


def _reflect(x):
    """Return 1 - x if x < 0, else x; and |x| minus its whole part, on which the reflection formula depends."""
    magnitude = _magnitude(x)
    argument = select(x < 0.0, 1.0 - x, x)
    return argument, in_register(magnitude - T.floor(magnitude))


def _rational_below_3(z, numerator, denominator):
    """Return t and a rational function of t, for 0 <= z < 3: t is z - 1 if z >= 1."""
    # For z < 1, t is z: the value is that of the caller's function at z + 1, from which the caller computes it at z.
    t = select(z < 1.0, z, z - 1.0)
    return t, in_register(polynomial(t, numerator) / polynomial(t, denominator))


def lgamma(x):
    """Return log |gamma(x)|: a rational function times (x - 1) (x - 2) on [1, 3), Stirling's series for x >= 3."""
    # On [0, 1), lgamma(x) is lgamma(x + 1) - log(x). Below 0, it follows from lgamma(1 - x) by reflection.
    z, part = _reflect(x)
    logarithm = in_register(log(z))
    t, quotient = _rational_below_3(
        z,
        (2.7127592285e-3, 2.0453748526e-1, 1.0058649196, 1.0),
        (8.2404940474e-2, 9.4105075628e-1, 2.4787092592, 1.7324547550),
    )
    near = in_register(t * (t - 1.0) * quotient)
    near = in_register(near + select(z < 1.0, 0.0 - logarithm, 0.0))  # adding 0 turns -0 into 0
    inverse = in_register(1.0 / z)
    series = polynomial(in_register(inverse * inverse), (6.7897693829e-4, -2.7698875539e-3, 8.3333162294e-2))
    far = in_register((z - 0.5) * (logarithm - 1.0))
    far = in_register(far + ((HALF_LOG_2_PI - 0.5) + inverse * series))
    value = select(z < 3.0, near, far)
    to_whole = in_register(T.min(part, in_register(1.0 - part)))
    sine = polynomial(
        in_register(to_whole * to_whole),
        (-2.2352240639e-3, 2.6116205326e-2, -1.9074762268e-1, 8.1174217077e-1, -1.6449340611, 1.0),
    )
    reflected = in_register(0.0 - log(in_register(to_whole * sine)) - value)
    # All float32s <= -2^23 are whole numbers, where the gamma function has poles.
    reflected = select(x <= -8388608.0, math.inf, reflected)
    return select(x < 0.0, reflected, value)


def digamma(x):
    """Return lgamma's derivative, by the same ranges. A factor makes it precise near its root: see DIGAMMA_ROOT."""
    z, part = _reflect(x)
    t, quotient = _rational_below_3(
        z,
        (1.4601369511e-3, 1.4853298327e-1, 8.6887601667e-1, 1.0),
        (4.3305824323e-2, 4.8617815397e-1, 1.2415599144, 7.9975679546e-1),
    )
    inverse = in_register(1.0 / z)
    near = in_register(((t - DIGAMMA_ROOT[0]) - DIGAMMA_ROOT[1]) * quotient)
    near = in_register(near - select(z < 1.0, inverse, 0.0))
    square = in_register(inverse * inverse)
    series = polynomial(square, (3.2323224409e-3, -8.2863811678e-3, 8.3332408829e-2))
    far = in_register(log(z) - 0.5 * inverse - square * series)
    value = select(z < 3.0, near, far)
    # Below 0, return digamma(1 - x) + pi * cot(pi * r), where r is |x| minus the nearest whole number. The polynomial
    # `rest` satisfies pi * cot(pi * r) = 1 / r - r * rest.
    r = select(part > 0.5, part - 1.0, part)
    rest = polynomial(
        in_register(r * r),
        (6.1280123167, -5.4862326043e-2, 2.4832325908, 1.9414762790)
        + (2.0122003892, 2.0345545459, 2.1646480060, 3.2898681304),
    )
    reflected = in_register(value + (1.0 / r - r * rest))
    return select(x < 0.0, reflected, value)


# Trigonometric functions and their inverses. Angles up to LARGEST_ANGLE are reduced precisely, by multiples of pi/2 in
# float64. Larger float32s are further apart than a full turn, so they are treated as 0.

HALF_PI = 1.57079632679489662
# pi/2 is the sum of these numbers. The first two have 25 bits, so their products with integers are exact in float64.
HALF_PI_TERMS = (1.5707963109016418, 1.5893254712295857e-08, 6.123233995736766e-17)
LARGEST_ANGLE = 2.0**27


def _quadrant(x):
    """Return the int32 n for which n pi/2 is nearest to the angle x, and the sine and cosine of x - n pi/2."""
    inside = select(absolute(x) <= LARGEST_ANGLE, x, 0.0)
    exact = let(cast("float64", inside))
    turns = let(T.floor(exact * (1 / HALF_PI) + 0.5))
    for part in HALF_PI_TERMS:
        exact = in_register(exact - turns * part, "float64")
    rest = in_register(cast("float32", exact))
    # The sine and cosine of infinity and NaN are NaN. Set `rest` to NaN for this, because `inside` is 0 for both.
    rest = select(absolute(x) < math.inf, rest, math.nan)
    square = in_register(rest * rest)
    sine = polynomial(square, (-1.9516654721e-4, 8.3321735332e-3, -1.6666654873e-1))
    cosine = polynomial(square, (2.4437728177e-5, -1.3887361431e-3, 4.1666646747e-2))
    sine = with_sign(fma(rest * square, sine, rest), rest)
    cosine = in_register(fma(square * square, cosine, fma(square, -0.5, 1.0)))
    return cast("int32", turns), sine, cosine


def _is_odd(quarter_turns):
    return (quarter_turns & 1) == 1


def _sine_of_sum(quarter_turns, sine, cosine):
    """Return sin(quarter_turns * pi/2 + x), given sin(x) and cos(x). Negate the value if turns modulo 4 are 2 or 3."""
    quarter_turns = let(quarter_turns)
    value = select(_is_odd(quarter_turns), cosine, sine)
    return in_register(from_bits(bits_of(value) ^ ((quarter_turns & 2) << 30)))


def sin(x):
    return _sine_of_sum(*_quadrant(x))


def cos(x):
    quarter_turns, sine, cosine = _quadrant(x)
    return _sine_of_sum(quarter_turns + 1, sine, cosine)


def tan(x):
    quarter_turns, sine, cosine = _quadrant(x)
    quarter_turns = let(quarter_turns)
    minus = in_register(0.0 - cosine)
    return in_register(select(_is_odd(quarter_turns), minus, sine) / select(_is_odd(quarter_turns), sine, cosine))


def _small_asin(t, square):
    """Return asin(t) for |t| up to 1/2; `square` is t * t."""
    value = polynomial(square, (4.2218546136e-2, 2.4147611861e-2, 4.5477097115e-2, 7.4952417775e-2, 1.6666753928e-1))
    return in_register(fma(t * square, value, t))


def _asin_or_half_acos(magnitude):
    """Return asin(magnitude) if magnitude <= 1/2, else acos(magnitude) / 2 = asin(sqrt((1 - magnitude) / 2))."""
    square = select(magnitude > 0.5, (1.0 - magnitude) * 0.5, magnitude * magnitude)
    return _small_asin(select(magnitude > 0.5, sqrt(square), magnitude), square)


def asin(x):
    magnitude = _magnitude(x)
    arc = _asin_or_half_acos(magnitude)
    return with_sign(select(magnitude > 0.5, HALF_PI - (arc + arc), arc), x)


def acos(x):
    magnitude = _magnitude(x)
    arc = _asin_or_half_acos(magnitude)
    twice = in_register(arc + arc)
    middle = in_register(HALF_PI - with_sign(arc, x))
    ends = select(x > 0.0, twice, 2 * HALF_PI - twice)
    return select(magnitude > 0.5, ends, middle)


def atan(x):
    magnitude = _magnitude(x)
    t = select(magnitude > 1.0, 1.0 / magnitude, magnitude)
    square = in_register(t * t)
    value = polynomial(
        square,
        (2.9745431165e-3, -1.6580997051e-2, 4.3553239853e-2, -7.5805532443e-2)
        + (1.0678928899e-1, -1.4214206339e-1, 1.9994136877e-1, -3.3333166953e-1),
    )
    arc = in_register(fma(t * square, value, t))
    return with_sign(select(magnitude > 1.0, HALF_PI - arc, arc), x)


# Pseudorandom numbers, each of which is a hash of two keys and the position of an element in its column. This generator
# has no state: numbers can be drawn in any order, on any thread, and repeatedly with equal results. Keys are arbitrary
# float32s, whose bits are hashed. Positions are int32s.

HASH_INCREMENT = 0x9E3779B9  # 2^32 divided by the golden ratio, which is added to a hash to get another hash


def _uint64(value, like):
    return broadcast_like(value, like, "uint64")


def _low_32_bits(h):
    """Return the lower 32 bits of uint64s. (uint32s would overflow, and TVM assumes that unsigned ints never do.)"""
    return in_register(h & _uint64(0xFFFFFFFF, h), "uint64")


def _mix(h):
    """Return a 32-bit hash of the 32 bits of h, the last step of MurmurHash3: each bit depends on every bit of h."""
    h = _low_32_bits((h ^ (h >> _uint64(16, h))) * _uint64(0x85EBCA6B, h))
    h = _low_32_bits((h ^ (h >> _uint64(13, h))) * _uint64(0xC2B2AE35, h))
    return in_register(h ^ (h >> _uint64(16, h)), "uint64")


def _hash(key, second_key, position):
    """Return a 32-bit hash of two keys and a position, by two rounds of mixing."""

    def unsigned(value):
        return cast("uint64", T.reinterpret(vector_type_like("uint32", value), value))

    h = _mix(_low_32_bits(cast("uint64", position) * _uint64(0x9E3779B1, position) + unsigned(key)))
    return _mix(_low_32_bits(h + unsigned(second_key) + _uint64(HASH_INCREMENT, h)))  # if h is 0, so is _mix(h)


def _unit_float(h):
    """Return a float32 in [0, 1), made from the upper 24 of the 32 random bits h."""
    top = cast("int32", h >> _uint64(8, h))
    return let(cast("float32", top) * 2.0**-24)


def uniform(key, second_key, position):
    """Draw from the uniform distribution on [0, 1)."""
    return _unit_float(_hash(key, second_key, position))


def normal(key, second_key, position):
    """Draw from the standard normal distribution, by the Box-Muller transform."""
    h = _hash(key, second_key, position)
    u = in_register(_unit_float(h))
    u = select(u > 0.0, u, 2.0**-25)  # log(0) is infinite
    angle = in_register(_unit_float(_mix(_low_32_bits(h + _uint64(HASH_INCREMENT, h)))) * (2 * math.pi))
    return in_register(sqrt(in_register(log(u) * -2.0)) * cos(angle))
