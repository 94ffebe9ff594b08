"""Elementary functions of float32 expressions of any width: 16 lanes on a CPU, one on a GPU thread.

Every function of `formula` has its namesake here. Polynomial coefficients are those of the Cephes library
(S. Moshier), and for tanh a rational minimax fit on +-7.9.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from .formula import Symbol, use_counts
from .tir import Accumulator, let, vector_type, wide

SMALLEST_NORMAL = 1.17549435e-38


def lanes_of(x):
    return x.ty.dtype.lanes


def number(value, like, dtype="float32"):
    return wide(tirx.const(value, dtype), lanes_of(like))


def _as(dtype, x):
    return vector_type(dtype, lanes_of(x))


def add(x, y):
    return x + y


def subtract(x, y):
    return x - y


def multiply(x, y):
    return x * y


def divide(x, y):
    return x / y


def negative(x):
    """-x, the sign of zero and of NaN included."""
    bits = T.reinterpret(_as("int32", x), x)
    return T.reinterpret(_as("float32", x), T.bitwise_xor(bits, number(-(1 << 31), x, "int32")))


def less(x, y):
    return x < y


def less_equal(x, y):
    return x <= y


def equal(x, y):
    return x == y


def where(condition, x, y):
    return let(T.Select(condition, x, y))


def minimum(x, y):
    """The smaller of two; NaN in either gives NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(x < y, x, y))))
    return _both(T.min(x, y), T.min(y, x))


def maximum(x, y):
    """The larger of two; NaN in either gives NaN."""
    if lanes_of(x) == 1:
        return let(T.Select(T.isnan(x), x, let(T.Select(y < x, x, y))))
    return _both(T.max(x, y), T.max(y, x))


def _both(one, other):
    """One answer from two that differ only where an operand is NaN: then one of them is, and so is the union of bits.

    Nested selections would do, but keep TVM's simplifier busy for minutes.
    """
    union = T.bitwise_or(T.reinterpret(_as("int32", one), one), T.reinterpret(_as("int32", other), other))
    return let(T.reinterpret(_as("float32", one), union))


def absolute(x):
    bits = T.reinterpret(_as("int32", x), x)
    return T.reinterpret(_as("float32", x), T.bitwise_and(bits, number(0x7FFFFFFF, x, "int32")))


def sqrt(x):
    return T.sqrt(x)


def floor(x):
    return T.floor(x)


def fma(a, b, c):
    """a * b + c in one step; CUDA has no such TIR intrinsic, but nvcc contracts the plain form."""
    return T.fma(a, b, c) if lanes_of(c) > 1 else a * b + c


def polynomial(x, coefficients):
    """Horner's rule, highest power first."""
    value = number(coefficients[0], x)
    for coefficient in coefficients[1:]:
        value = let(fma(value, x, number(coefficient, x)))
    return value


def clamp(x, low, high):
    """NaN passes through: constants come first on a CPU; CUDA's max and min would swallow it."""
    inside = T.max(number(low, x), T.min(number(high, x), x))
    return inside if lanes_of(x) > 1 else T.Select(T.isnan(x), x, inside)


def _power_of_two(n):
    shifted = T.shift_left(n + number(127, n, "int32"), number(23, n, "int32"))
    return T.reinterpret(_as("float32", n), shifted)


def exp(x):
    x = let(clamp(x, -105.0, 89.0))
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
    value = let(fma(rest * rest, value, rest) + number(1.0, x))
    exponent = let(T.Cast(_as("int32", whole), whole))
    half = let(T.shift_right(exponent, number(1, exponent, "int32")))
    return let(value * _power_of_two(half) * _power_of_two(exponent - half))  # in two: denormals, infinity


def log(x):
    tiny = x < number(SMALLEST_NORMAL, x)
    scaled = let(T.Select(tiny, x * number(8388608.0, x), x))  # denormals: times 2^23
    lift = let(T.Select(tiny, number(23.0, x), number(0.0, x)))
    bits = let(T.reinterpret(_as("int32", x), T.max(scaled, number(SMALLEST_NORMAL, x))))
    exponent = T.shift_right(bits, number(23, bits, "int32")) - number(126, bits, "int32")
    mantissa = T.bitwise_or(T.bitwise_and(bits, number(0x007FFFFF, bits, "int32")), number(0x3F000000, bits, "int32"))
    mantissa = let(T.reinterpret(_as("float32", x), mantissa))
    small = mantissa < number(0.707106781186547524, x)
    e = let(T.Cast(_as("float32", x), exponent) - lift - T.Select(small, number(1.0, x), number(0.0, x)))
    m = let(mantissa - number(1.0, x) + T.Select(small, mantissa, number(0.0, x)))
    z = let(m * m)
    value = polynomial(
        m,
        (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
        + (-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
    )
    value = fma(e, number(-2.12194440e-4, x), m * z * value) - number(0.5, x) * z
    value = let(fma(e, number(0.693359375, x), m + value))
    infinite = let(T.Select(x == number(float("inf"), x), x, value))
    outside = let(T.Select(x == number(0.0, x), number(float("-inf"), x), number(float("nan"), x)))
    return let(T.Select(x > number(0.0, x), infinite, outside))


def tanh(x):
    near = let(clamp(x, -7.90531110763549805, 7.90531110763549805))
    square = let(near * near)
    above = polynomial(
        square,
        (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08)
        + (1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
    )
    below = polynomial(square, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03))
    return let(T.Select(absolute(x) < number(0.0004, x), x, near * above / below))


def logistic(x):
    one = number(1.0, x)
    return let(one / (one + exp(number(0.0, x) - x)))


def uniform(key, other, position):
    """A number in [0, 1) from two keys (their bits) and a place: a counter-based generator, two rounds of mixing."""

    def unsigned(value):
        return T.reinterpret(_as("uint32", value), value)

    def const(value):
        return number(value, position, "uint32")

    def mixed(h):
        h = let(T.bitwise_xor(h, T.shift_right(h, const(16))) * const(0x85EBCA6B))
        h = let(T.bitwise_xor(h, T.shift_right(h, const(13))) * const(0xC2B2AE35))
        return let(T.bitwise_xor(h, T.shift_right(h, const(16))))

    h = mixed(unsigned(position) * const(0x9E3779B1) + unsigned(key))
    h = mixed(h + unsigned(other))
    top = T.Cast(_as("int32", position), T.shift_right(h, const(8)))
    return let(T.Cast(_as("float32", position), top) * number(2.0**-24, position))


def horizontal(combine, x):
    """Combine all lanes of a vector into one number."""
    lanes = lanes_of(x)
    while lanes > 1:
        lanes //= 2
        low = [tirx.const(k, "int32") for k in range(lanes)]
        high = [tirx.const(k + lanes, "int32") for k in range(lanes)]
        halves = combine(let(tirx.Shuffle([x], low)), let(tirx.Shuffle([x], high)))
        x = let(Accumulator(lanes, halves).get())  # through memory: the simplifier must not see the whole chain
    return x


def horizontal_sums(vectors) -> dict:
    """The sum over the lanes of each vector: vectors of as many sums as can be made together, by the first's place."""
    lanes, share = lanes_of(vectors[0]), lanes_of(vectors[0])
    if len(vectors) not in (2, 4, 8) or len(vectors) > lanes:
        return {place: horizontal(add, vector) for place, vector in enumerate(vectors)}
    while len(vectors) > 1:  # two vectors become one, in which each number has half as many lanes
        share //= 2
        vectors = [_folded(pair, share, 2 * lanes) for pair in zip(vectors[::2], vectors[1::2])]
    (whole,) = vectors
    while share > 1:
        share //= 2
        whole = _folded([whole], share, lanes_of(whole))
    return {0: whole}


def _folded(vectors, share, lanes):
    """Neighbouring stretches of `share` lanes, of `lanes` lanes in all, added up."""
    first = [place + k for place in range(0, lanes, 2 * share) for k in range(share)]
    halves = [tirx.Shuffle(list(vectors), [tirx.const(k + move, "int32") for k in first]) for move in (0, share)]
    return let(let(halves[0]) + let(halves[1]))


class Evaluation:
    """Turns the symbols of formulas into code of one width, each symbol once."""

    CONDITIONS = ("less", "less_equal", "equal")  # a vector of bools cannot be named

    def __init__(self, roots: list[Symbol], value_of: Callable, position_of: Callable, lanes: int):
        self.value_of, self.position_of, self.lanes = value_of, position_of, lanes
        self.uses, self.known = use_counts(roots), {}

    def __call__(self, symbol: Symbol):
        if id(symbol) not in self.known:
            self.known[id(symbol)] = self._emit(symbol)
        return self.known[id(symbol)]

    def _emit(self, symbol):
        if symbol.function == "input":
            return self.value_of(symbol.arguments[0])
        if symbol.function == "constant":
            return wide(tirx.const(symbol.arguments[0], "float32"), self.lanes)
        if symbol.function == "position":
            return self.position_of()
        if symbol.function == "place":
            return let(T.Cast(vector_type("float32", self.lanes), self.position_of()))
        value = globals()[symbol.function](*map(self, symbol.arguments))
        named = self.uses.get(id(symbol), 0) > 1 and symbol.function not in self.CONDITIONS
        if not named:
            return value
        return let(Accumulator(self.lanes, value).get())  # through memory: the simplifier must not see the whole tree
