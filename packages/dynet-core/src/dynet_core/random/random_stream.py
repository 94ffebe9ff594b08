"""The random numbers for the initial values of parameters, bit for bit the same as in DyNet 2.1.

DyNet draws from one 32-bit Mersenne twister through the distributions of the GNU C++ library, compiled with fused
multiply-adds. This module does the same computation on whole arrays.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from dynet_kernels.locks import new_lock

from ..annotations import Floats, Number
from ..checks import whole

NUMBERS_AT_ONCE = 1 << 16  # numbers that are drawn together, so that the intermediate arrays fit in the CPU's cache
LARGEST_SEED = 2**32 - 1
LARGEST_FLOAT32_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


class InitialStream:
    """A stream of random float32 numbers, in the order in which DyNet 2.1 draws them.

    Every draw continues where the last draw ended, even if their distributions differ. If threads share a stream, which
    thread gets which numbers depends on timing, but no number is returned twice. The seed is an integer from 0 to
    2**32 - 1; None means a seed from the operating system.

    Source: Matsumoto and Nishimura, "Mersenne twister: a 623-dimensionally equidistributed uniform pseudo-random number
    generator", 1998.

    >>> InitialStream(42).uniform(-1, 1, 3)
    array([-0.25091976,  0.593086  ,  0.9014286 ], dtype=float32)
    """

    def __init__(self, seed: int | None = None) -> None:
        chosen_seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
        self.seed = whole("InitialStream", "the seed", chosen_seed)
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"the random seed must be between 0 and {LARGEST_SEED} but got {seed}")
        self._generator = np.random.RandomState(self.seed)
        self._unused_words = np.empty(0, np.uint32)
        self._lock = new_lock()

    def __getstate__(self) -> tuple[int, dict[str, Any], np.ndarray]:
        """Return the state for `copy` and `pickle`: a copy continues where this stream is."""
        with self._lock:
            return self.seed, self._generator.get_state(legacy=False), self._unused_words

    def __setstate__(self, state: tuple[int, dict[str, Any], np.ndarray]) -> None:
        self.seed, generator_state, self._unused_words = state
        self._generator = np.random.RandomState()
        self._generator.set_state(generator_state)
        self._lock = new_lock()

    def uniform(self, low: Number, high: Number, count: int) -> Floats:
        """Return `count` numbers distributed uniformly over [low, high].

        Each number is computed from one 32-bit word of the generator.

        Raises:
            ValueError: high < low, or a bound or their difference is not a finite float32.

        >>> InitialStream(1).uniform(0, 10, 2)
        array([4.17022  , 9.9718485], dtype=float32)
        """
        low32, high32 = _float32("low", low), _float32("high", high)
        width = _float32("high - low", float(high32) - float(low32))
        if width < 0:
            raise ValueError(f"high must not be below low but got low {low}, high {high}")
        return self._draw_blocks(count, lambda size: _fused_multiply_add(_fractions(self._words(size)), width, low32))

    def normal(self, mean: Number, std: Number, count: int) -> Floats:
        """Return `count` normally distributed numbers: mean + std * z, with z from random points in a circle.

        A point (x, y) of the square [-1, 1]^2 is used if r = x^2 + y^2 is in (0, 1]. It gives two z: y * m, then x * m,
        where m = sqrt(-2 log(r) / r). If `count` is odd, the last x * m is dropped, not kept for the next draw.

        Source: Marsaglia and Bray, "A convenient method for generating normal variables", 1964.

        >>> InitialStream(1).normal(0, 1, 3)
        array([ 0.3063995 ,  0.1560656 , -0.42438623], dtype=float32)
        """
        mean32, std32 = _float32("mean", mean), _float32("std", std)
        if std32 < 0:
            raise ValueError(f"std must be 0 or more but got {std}")
        pairs = np.empty(((count + 1) // 2, 2), np.float32)
        with self._lock:
            unfilled = pairs
            while len(unfilled):
                new_pairs = self._normal_pairs(len(unfilled))
                unfilled[: len(new_pairs)] = new_pairs
                unfilled = unfilled[len(new_pairs) :]
        return _fused_multiply_add(pairs.reshape(-1)[:count], std32, mean32)

    def bernoulli(self, probability: float, count: int) -> np.ndarray:
        """Return `count` numbers that are 1 with the given probability, else 0. Each number uses two 32-bit words."""
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be between 0 and 1 but got {probability}")
        limit = float(np.float32(probability))  # DyNet rounds `probability` to float32 but compares in float64

        def draw(size: int) -> np.ndarray:
            words = self._words(2 * size).astype(np.float64).reshape(-1, 2)
            return (words[:, 0] + words[:, 1] * 2.0**32) * 2.0**-64 < limit

        return self._draw_blocks(count, draw)

    def _draw_blocks(self, count: int, draw: Callable[[int], np.ndarray]) -> Floats:
        """Return `count` numbers, which `draw` returns block by block."""
        values = np.empty(count, np.float32)
        with self._lock:
            for start in range(0, count, NUMBERS_AT_ONCE):
                block = values[start : start + NUMBERS_AT_ONCE]
                block[:] = draw(block.size)
        return values

    def _normal_pairs(self, pair_count: int) -> np.ndarray:
        """Return up to `pair_count` pairs of numbers for `normal`. Unused words are kept for the next draw."""
        # pi / 4 of all points are in the circle, so draw slightly more than 4 / pi = 1.273 times as many points.
        point_count = min(NUMBERS_AT_ONCE, int(pair_count * 1.28) + 8)
        words = self._words(2 * point_count)
        points = 2 * _fractions(words).reshape(-1, 2) - 1
        squared_radius = _fused_multiply_add(points[:, 1], points[:, 1], points[:, 0] * points[:, 0])
        used_points = np.flatnonzero((squared_radius <= 1) & (squared_radius != 0))[:pair_count]
        if used_points.size == pair_count:
            self._unused_words = np.concatenate([words[2 * (used_points[-1] + 1) :], self._unused_words])
        squared_radius = squared_radius[used_points]
        factor = np.sqrt(-2 * _log(squared_radius) / squared_radius)
        return points[used_points, ::-1] * factor[:, None]

    def _words(self, count: int) -> np.ndarray:
        kept_words, self._unused_words = self._unused_words[:count], self._unused_words[count:]
        if kept_words.size == count:
            return kept_words
        new_words = self._generator.randint(0, 2**32, size=count - kept_words.size, dtype=np.uint32)
        return np.concatenate([kept_words, new_words]) if kept_words.size else new_words


def continue_with(new_stream: InitialStream) -> None:
    """Replace the current stream with `new_stream`, for example a copy of another process's stream."""
    global _current_stream
    _current_stream = new_stream


def stream() -> InitialStream:
    """Return the current stream, seeded by the operating system until `reset_random_seed` is called."""
    return _current_stream


_current_stream = InitialStream()


def _float32(name: str, value: Number) -> np.float32:
    """Return `value` as a float32. If this is not finite, raise an error that calls it `name`."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    if not np.isfinite(rounded):
        raise ValueError(f"{name} must be a finite float32 but got {value}")
    return rounded


def _fractions(words: np.ndarray) -> np.ndarray:
    """Convert 32-bit words to float32 values in [0, 1); none is rounded to 1."""
    return np.minimum(words.astype(np.float32) * 2.0**-32, LARGEST_FLOAT32_BELOW_ONE)


def _fused_multiply_add(a: np.ndarray, b: np.ndarray | np.float32, c: np.ndarray | np.float32) -> np.ndarray:
    """Return float32(a * b + c) with a single rounding, like the processor's fused multiply-add.

    The product of two float32s is exact in float64, but the sum may be rounded. This matters only if the rounded sum is
    the midpoint of two float32s: its last 29 bits, which float32 lacks, are a 1 and then zeros. In this case, the
    rounded sum is moved to the next float64 in the direction of the exact sum.
    """
    product = np.multiply(a, b, dtype=np.float64)
    addend = np.asarray(c, np.float64)
    rounded_sum = product + addend
    midpoints = np.flatnonzero((rounded_sum.view(np.int64) & 0x1FFFFFFF) == 0x10000000)
    if midpoints.size:
        p, s, t = product[midpoints], np.broadcast_to(addend, rounded_sum.shape)[midpoints], rounded_sum[midpoints]
        lost = (p - (t - (t - p))) + (s - (t - p))  # the rounding error of the sum t = p + s
        rounded_sum[midpoints] = np.where(lost == 0, t, np.nextafter(t, np.copysign(np.inf, lost)))
    return rounded_sum.astype(np.float32)


def _log(x: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of float32 values in (0, 1], rounded like the C library's logf.

    A test of all arguments showed that glibc's logf returns the nearest float32, unless the exact result is within 0.05
    (for x near 1: 0.3) units in the last place of the midpoint of two float32s. So logf is called only near midpoints.
    """
    exact = np.log(x.astype(np.float64))
    nearest = exact.astype(np.float32)
    logf = _c_logf()
    if logf is not None:
        distance = np.abs((exact.view(np.int64) & 0x1FFFFFFF) - 0x10000000)  # from the midpoint, in the 29 lost bits
        is_doubtful = distance < np.where(x > 0.93, 0.3 * 2**29, 0.05 * 2**29)
        nearest[is_doubtful] = [logf(value) for value in x[is_doubtful].tolist()]
    return nearest


@functools.cache
def _c_logf() -> Callable[[float], float] | None:
    """Return the C library's function logf, or None if it cannot be found in this process."""
    try:
        logf = ctypes.CDLL(None).logf
    except (AttributeError, OSError, TypeError):
        return None
    logf.argtypes, logf.restype = [ctypes.c_float], ctypes.c_float
    return logf
