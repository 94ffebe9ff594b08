"""Keys of the counter-based generator from which dropout and noise draw at run time."""

from __future__ import annotations

import itertools
import os
import struct

_counter = itertools.count()
_seed = int.from_bytes(os.urandom(4), "little")


def reset(seed: int) -> None:
    """Begin the sequence of keys that belongs to a seed."""
    global _counter, _seed
    _seed, _counter = seed & 0xFFFFFFFF, itertools.count()


def state() -> tuple[int, int]:
    """The seed, and how many keys have been drawn since."""
    global _counter
    drawn = next(_counter)
    _counter = itertools.count(drawn)
    return _seed, drawn


def set_state(seed: int, drawn: int) -> None:
    """Go on where `state` was asked."""
    global _counter, _seed
    _seed, _counter = seed & 0xFFFFFFFF, itertools.count(drawn)


def next_key() -> bytes:
    """The key of the next random node: two numbers whose bits are the seed and a count."""
    return struct.pack("<II", _seed, next(_counter) & 0xFFFFFFFF)
