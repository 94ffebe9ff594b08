"""Numbers that look random and follow from two keys and a place: a counter-based generator."""

from __future__ import annotations

import math

from ..lazy import T
from ..tir import let
from .trigonometry import cos
from .vmath import as_type, log, number, register, select, sqrt

GOLDEN = 0x9E3779B9


def _const(value, like):
    return number(value, like, "uint64")


def _low(h):
    """The lower 32 bits. TVM takes it that unsigned numbers never overflow, so arithmetic modulo 2^32 needs 64 bits."""
    return register(T.bitwise_and(h, _const(0xFFFFFFFF, h)), "uint64")


def _mixed(h):
    """32 bits, each of which depends on every bit of h."""
    h = _low(T.bitwise_xor(h, T.shift_right(h, _const(16, h))) * _const(0x85EBCA6B, h))
    h = _low(T.bitwise_xor(h, T.shift_right(h, _const(13, h))) * _const(0xC2B2AE35, h))
    return register(T.bitwise_xor(h, T.shift_right(h, _const(16, h))), "uint64")


def _hash(key, other, position):
    """32 bits from the bits of two keys and a place: two rounds of mixing."""

    def unsigned(value):
        return T.Cast(as_type("uint64", value), T.reinterpret(as_type("uint32", value), value))

    place = T.Cast(as_type("uint64", position), position)
    h = _mixed(_low(place * _const(0x9E3779B1, position) + unsigned(key)))
    return _mixed(_low(h + unsigned(other) + _const(GOLDEN, h)))  # mixing alone leaves 0 as it is


def _unit(h):
    """The upper 24 bits as a number in [0, 1)."""
    top = T.Cast(as_type("int32", h), T.shift_right(h, _const(8, h)))
    return let(T.Cast(as_type("float32", h), top) * number(2.0**-24, h))


def uniform(key, other, position):
    """A number in [0, 1)."""
    return _unit(_hash(key, other, position))


def normal(key, other, position):
    """A number of the standard normal distribution, by the method of Box and Muller; a third round gives the angle."""
    h = _hash(key, other, position)
    u = register(_unit(h))
    u = select(u > number(0.0, u), u, number(2.0**-25, u))
    angle = register(_unit(_mixed(_low(h + _const(GOLDEN, h)))) * number(2 * math.pi, u))
    return register(sqrt(register(log(u) * number(-2.0, u))) * cos(angle))
