"""Arithmetic and elementary functions of float32 vectors, emitted as TIR. The other modules build on them.

A vector is a TIR expression with as many lanes as a vector register: 16 with AVX-512, one on a GPU, where each thread
has its own element. The polynomials have the coefficients of the Cephes library (S. Moshier).
"""

from __future__ import annotations

from ..formula import LARGEST, SMALLEST
from ..tir import Accumulator, let, vector_type, wide
from ..tvm_modules import T, tirx


def lanes_of(x):
    return x.ty.dtype.lanes


def number(value, like, dtype="float32"):
    return wide(tirx.const(value, dtype), lanes_of(like))


def as_type(dtype, x):
    return vector_type(dtype, lanes_of(x))


AVX512 = 16  # float32s in a vector register of AVX-512; no other target has as many


def register(value, dtype="float32"):
    """Store `value` and load it: TVM's simplifier takes minutes for long trees, but does not look behind a load."""
    return let(Accumulator(lanes_of(value), value, dtype).get())


def select(condition, x, y):
    """Return x where the condition holds, else y. All are in registers, so that nested selections compile fast."""
    return register(T.Select(condition, register(x), register(y)))


def lane(x, number):
    return tirx.Shuffle([x], [tirx.const(number, "int32")]) if lanes_of(x) > 1 else x


def bits_of(x):
    return T.reinterpret(as_type("int32", x), x)


def from_bits(bits):
    return T.reinterpret(as_type("float32", bits), bits)


def sign_bit(x):
    """Return the bits of x with all but the sign bit cleared, as an int32."""
    return T.bitwise_and(bits_of(x), number(-(1 << 31), x, "int32"))


def with_sign(magnitude, x):
    """Return `magnitude` with the sign of x, even if x is -0. It must be positive or have the sign of x."""
    return register(from_bits(T.bitwise_or(bits_of(magnitude), sign_bit(x))))


def add(x, y):
    return x + y


def subtract(x, y):
    return x - y


def multiply(x, y):
    return x * y


def divide(x, y):
    """Return x / y. TVM's simplifier refuses a division by a 0 that it finds, but does not look into a register."""
    return x / register(y)


def negative(x):
    """Return -x by flipping the sign bit, which also works for zero and NaN."""
    bits = T.reinterpret(as_type("int32", x), x)
    return T.reinterpret(as_type("float32", x), T.bitwise_xor(bits, number(-(1 << 31), x, "int32")))


def less(x, y):
    return x < y


def less_equal(x, y):
    return x <= y


def equal(x, y):
    return x == y


def where(condition, x, y):
    return let(T.Select(condition, x, y))


def minimum(x, y):
    """Return the smaller one, or NaN if either is NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(x < y, x, y))))
    return _both(T.min(x, y), T.min(y, x))


def maximum(x, y):
    """Return the larger one, or NaN if either is NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(y < x, x, y))))
    return _both(T.max(x, y), T.max(y, x))


def _both(one, other):
    """Merge min(x, y) with min(y, x), or two max, so that NaN in either makes the result NaN."""
    # Where either is NaN, T.min and T.max return the second one. The bitwise or keeps a NaN. For nested selections
    # instead, TVM's simplifier takes minutes.
    union = T.bitwise_or(T.reinterpret(as_type("int32", one), one), T.reinterpret(as_type("int32", other), other))
    return let(T.reinterpret(as_type("float32", one), union))


def absolute(x):
    bits = T.reinterpret(as_type("int32", x), x)
    return T.reinterpret(as_type("float32", x), T.bitwise_and(bits, number(0x7FFFFFFF, x, "int32")))


def sqrt(x):
    return T.sqrt(x)


def over_root(x, y, c):
    """Return x / (sqrt(y) + c)."""
    # AVX-512 has fast approximations of 1 / sqrt(y) and 1 / y. Each is improved by a step of Newton's method. Together
    # this takes 6 cycles instead of 40.
    if lanes_of(x) != AVX512:
        return x / (T.sqrt(y) + c)
    y = register(y)
    inside = register(clamp(y, SMALLEST, LARGEST))
    guess = register(_guessed("rsqrt14", inside))
    root = register(inside * guess)
    lacks = fma(-root, guess * number(0.5, x), number(0.5, x))
    root = register(fma(root, lacks, root))
    divisor = register(select(y == number(0.0, x), number(0.0, x), root) + c)
    divisor = register(T.max(number(SMALLEST, x), divisor))  # of less, the guess would be infinite
    guess = register(_guessed("rcp14", divisor))
    inverse = register(fma(guess, fma(-divisor, guess, number(1.0, x)), guess))
    return x * select(y > number(LARGEST, x), number(0.0, x), inverse)


def _guessed(function, x):
    """Emit AVX-512's `rsqrt14` or `rcp14`, which approximate 1 / sqrt(x) and 1 / x to 14 bits."""
    return T.call_llvm_pure_intrin("float32x16", f"llvm.x86.avx512.{function}.ps.512", x, x, tirx.const(-1, "int16"))


def floor(x):
    return T.floor(x)


def ceil(x):
    return T.ceil(x)


def round(x):  # noqa: A001
    """Return the whole number nearest to x, halves away from zero."""
    size = register(absolute(x))
    whole = register(T.floor(size))
    up = T.Select(size - whole < number(0.5, x), number(0.0, x), number(1.0, x))
    return with_sign(register(whole + let(up)), x)


def fma(a, b, c):
    """Return a * b + c in one operation. TIR has none for CUDA, but nvcc forms it."""
    return T.fma(a, b, c) if lanes_of(c) > 1 else a * b + c


def polynomial(x, coefficients):
    """Evaluate a polynomial by Horner's rule. The coefficient of the highest power comes first."""
    value = number(coefficients[0], x)
    for coefficient in coefficients[1:]:
        value = let(fma(value, x, number(coefficient, x)))
    return value


def clamp(x, low, high):
    """Limit x to the range [low, high]; NaN stays NaN."""
    # On a CPU, T.min and T.max return their second argument if either is NaN, so x comes second. On a GPU they return
    # the one that is not NaN, so NaN is selected afterwards.
    inside = T.max(number(low, x), T.min(number(high, x), x))
    return inside if lanes_of(x) > 1 else T.Select(T.isnan(x), x, inside)


def power_of_two(n):
    shifted = T.shift_left(n + number(127, n, "int32"), number(23, n, "int32"))
    return T.reinterpret(as_type("float32", n), shifted)


def scaled(value, whole):
    """Return value * 2^whole, even if denormal or infinite; `whole` is a whole number, as a float32."""
    if lanes_of(value) == AVX512:
        everywhere, as_usual = tirx.const(-1, "int16"), tirx.const(4, "int32")
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        return T.call_llvm_pure_intrin("float32x16", name, value, whole, value, everywhere, as_usual)
    exponent = let(T.Cast(as_type("int32", whole), whole))
    half = let(T.shift_right(exponent, number(1, exponent, "int32")))
    # In two steps, because 2^whole itself may be too large or too small for a float32.
    return value * power_of_two(half) * power_of_two(exponent - half)


def exp(x):
    x = register(clamp(register(x), -105.0, 89.0))
    whole = let(T.floor(fma(x, number(1.44269504088896341, x), number(0.5, x))))
    rest = fma(whole, number(-0.693359375, x), x)
    rest = let(fma(whole, number(2.12194440e-4, x), rest))
    value = polynomial(
        rest,
        (
            1.9875691500e-4,
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ),
    )
    return register(scaled(let(fma(rest * rest, value, rest) + number(1.0, x)), whole))


def log(x):
    x = register(x)
    tiny = x < number(SMALLEST, x)
    scaled = register(T.Select(tiny, x * number(8388608.0, x), x))  # denormals are multiplied by 2^23
    lift = register(T.Select(tiny, number(23.0, x), number(0.0, x)))
    bits = let(T.reinterpret(as_type("int32", x), T.max(scaled, number(SMALLEST, x))))
    exponent = T.shift_right(bits, number(23, bits, "int32")) - number(126, bits, "int32")
    mantissa = T.bitwise_or(T.bitwise_and(bits, number(0x007FFFFF, bits, "int32")), number(0x3F000000, bits, "int32"))
    mantissa = register(T.reinterpret(as_type("float32", x), mantissa))
    small = mantissa < number(0.707106781186547524, x)
    e = register(T.Cast(as_type("float32", x), exponent) - lift - T.Select(small, number(1.0, x), number(0.0, x)))
    m = register(mantissa - number(1.0, x) + T.Select(small, mantissa, number(0.0, x)))
    z = let(m * m)
    value = polynomial(
        m,
        (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
        + (-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
    )
    value = fma(e, number(-2.12194440e-4, x), m * z * value) - number(0.5, x) * z
    value = register(fma(e, number(0.693359375, x), m + value))
    infinite = register(T.Select(x == number(float("inf"), x), x, value))
    outside = register(T.Select(x == number(0.0, x), number(float("-inf"), x), number(float("nan"), x)))
    return register(T.Select(x > number(0.0, x), infinite, outside))


def horizontal(combine, x):
    """Combine all lanes of the vector x into one number, by combining its two halves again and again."""
    lanes = lanes_of(x)
    while lanes > 1:
        lanes //= 2
        low = [tirx.const(k, "int32") for k in range(lanes)]
        high = [tirx.const(k + lanes, "int32") for k in range(lanes)]
        halves = combine(let(tirx.Shuffle([x], low)), let(tirx.Shuffle([x], high)))
        x = let(Accumulator(lanes, halves).get())  # stored and loaded, so that TVM's simplifier sees no long expression
    return x


def horizontal_sums(vectors) -> dict:
    """Return the sum over the lanes of each vector in a list, as a dict.

    For 2, 4 or 8 vectors, if they have at least that many lanes, all sums are computed together. Then the dict has one
    vector, under the key 0, and its lane n is the sum of vector n of the list. Otherwise the dict has one number for
    each vector, under the vector's place in the list.
    """
    lanes, share = lanes_of(vectors[0]), lanes_of(vectors[0])
    if len(vectors) not in (2, 4, 8) or len(vectors) > lanes:
        return {place: horizontal(add, vector) for place, vector in enumerate(vectors)}
    # Make one vector of every two: half of its lanes are for the sums of the first, half for those of the second.
    while len(vectors) > 1:
        share //= 2
        vectors = [_folded(pair, share, 2 * lanes) for pair in zip(vectors[::2], vectors[1::2])]
    (whole,) = vectors
    while share > 1:
        share //= 2
        whole = _folded([whole], share, lanes_of(whole))
    return {0: whole}


def _folded(vectors, share, lanes):
    """Add groups 1, 3, ... of `share` lanes to groups 0, 2, ...; two vectors count as one of `lanes` lanes."""
    first = [place + k for place in range(0, lanes, 2 * share) for k in range(share)]
    halves = [tirx.Shuffle(list(vectors), [tirx.const(k + move, "int32") for k in first]) for move in (0, share)]
    return let(let(halves[0]) + let(halves[1]))


def transposed(vectors):
    """Transpose n vectors of n lanes: vector k of the result has lane k of each."""
    vectors, lanes = list(vectors), lanes_of(vectors[0]) if len(vectors) > 1 else 1
    move = lanes // 2
    while move:  # exchange the squares of move x move numbers on both sides of the diagonal
        for first in [place for place in range(lanes) if not place & move]:
            pair = [vectors[first], vectors[first + move]]
            upper = [lanes + k - move if k & move else k for k in range(lanes)]
            lower = [lanes + k if k & move else k + move for k in range(lanes)]
            for place, order in ((first, upper), (first + move, lower)):
                vectors[place] = let(tirx.Shuffle(pair, [tirx.const(k, "int32") for k in order]))
        move //= 2
    return vectors
