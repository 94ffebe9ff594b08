"""Keys of the counter-based generator from which dropout and noise draw at run time."""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .annotations import Number
from .recorder import take

if TYPE_CHECKING:
    from .graph import Graph

KEY = 2  # floats whose bits are the seed and a count

_counter = itertools.count()
_seed = int.from_bytes(os.urandom(4), "little")
_forks = 0  # how many children this process has had since the sequence began: each has one of its own


def reset(seed: int) -> None:
    """Begin the sequence of keys that belongs to a seed."""
    set_state(seed, 0, 0)


def state() -> tuple[int, int, int]:
    """The seed, and how many keys have been drawn and processes forked since."""
    return _seed, _drawn(), _forks


def set_state(seed: int, drawn: int, forks: int) -> None:
    """Go on where `state` was asked."""
    global _counter, _seed, _forks
    _seed, _counter, _forks = seed & 0xFFFFFFFF, itertools.count(drawn), forks


def _drawn() -> int:
    global _counter
    drawn = next(_counter)
    _counter = itertools.count(drawn)
    return drawn


def next_key() -> bytes:
    """The key of the next random node."""
    return struct.pack("<II", _seed, _next_count())


def _next_count() -> int:
    return next(_counter) & 0xFFFFFFFF


def take_key(graph: Graph, numbers: Sequence[Number]) -> int:
    """Keep a key and numbers among the inputs of a graph, which has a new key there when it is recalculated.

    Returns:
        Where they begin.
    """
    start = take((_seed, _next_count()), tuple(numbers))
    graph.records.is_unusual()
    graph.engine.keys.append(start)
    return start


def renew_keys(graph: Graph) -> None:
    """Draw all random nodes of a graph anew."""
    for start in graph.engine.keys:
        graph.records.write(start, np.frombuffer(next_key(), np.float32))


def _count_fork() -> None:
    global _forks
    _forks += 1


def _begin_in_child() -> None:
    told = struct.pack("<QQQ", _seed, _drawn(), _forks)
    reset(int.from_bytes(hashlib.blake2b(told, digest_size=4).digest(), "little"))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork, after_in_child=_begin_in_child)
