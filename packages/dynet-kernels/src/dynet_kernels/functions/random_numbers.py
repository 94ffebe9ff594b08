"""Pseudo-random numbers, each of which is a hash of two keys and the position of an element.

Such a generator has no state: numbers can be drawn in any order, on any thread, and again with the same result. Keys
are float32s whose bits are hashed, so any numbers will do. Positions are int32s.
"""

from __future__ import annotations

import math

from ..tir import let
from ..tvm_modules import T
from .trigonometry import cos
from .vmath import as_type, log, number, register, select, sqrt

GOLDEN = 0x9E3779B9


def _const(value, like):
    return number(value, like, "uint64")


def _low(h):
    """Return the lower 32 bits of uint64s. TVM assumes that unsigned integers never overflow, so 64 bits are used."""
    return register(T.bitwise_and(h, _const(0xFFFFFFFF, h)), "uint64")


def _mixed(h):
    """Return a 32-bit hash of 32 bits, each of which depends on every bit of h."""
    h = _low(T.bitwise_xor(h, T.shift_right(h, _const(16, h))) * _const(0x85EBCA6B, h))
    h = _low(T.bitwise_xor(h, T.shift_right(h, _const(13, h))) * _const(0xC2B2AE35, h))
    return register(T.bitwise_xor(h, T.shift_right(h, _const(16, h))), "uint64")


def _hash(key, other, position):
    """Hash two keys and a position to 32 bits, by two rounds of mixing."""

    def unsigned(value):
        return T.Cast(as_type("uint64", value), T.reinterpret(as_type("uint32", value), value))

    place = T.Cast(as_type("uint64", position), position)
    h = _mixed(_low(place * _const(0x9E3779B1, position) + unsigned(key)))
    return _mixed(_low(h + unsigned(other) + _const(GOLDEN, h)))  # add GOLDEN, because mixing maps 0 to 0


def _unit(h):
    """Return a float32 in [0, 1) made of the upper 24 of the 32 bits in h."""
    top = T.Cast(as_type("int32", h), T.shift_right(h, _const(8, h)))
    return let(T.Cast(as_type("float32", h), top) * number(2.0**-24, h))


def uniform(key, other, position):
    """Return a number of the uniform distribution on [0, 1)."""
    return _unit(_hash(key, other, position))


def normal(key, other, position):
    """Return a number of the standard normal distribution, by the method of Box and Muller."""
    h = _hash(key, other, position)
    u = register(_unit(h))
    u = select(u > number(0.0, u), u, number(2.0**-25, u))
    angle = register(_unit(_mixed(_low(h + _const(GOLDEN, h)))) * number(2 * math.pi, u))
    return register(sqrt(register(log(u) * number(-2.0, u))) * cos(angle))
