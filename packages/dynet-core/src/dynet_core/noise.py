"""Keys of the counter-based generator from which dropout and noise draw at run time."""

from __future__ import annotations

import hashlib
import os
import struct

from . import recorder

_forks = 0  # how many children this process has had since the sequence began: each has one of its own


def reset(seed: int) -> None:
    """Begin the sequence of keys that belongs to a seed."""
    set_state(seed, 0, 0)


def state() -> tuple[int, int, int]:
    """The seed, and how many keys have been drawn and processes forked since."""
    return *recorder.noise(), _forks


def set_state(seed: int, drawn: int, forks: int) -> None:
    """Go on where `state` was asked."""
    global _forks
    recorder.set_noise(seed & 0xFFFFFFFF, drawn)
    _forks = forks


def next_key() -> bytes:
    """A key that is no node's."""
    count, (seed, _) = recorder.draw(), recorder.noise()
    return struct.pack("<II", seed, count & 0xFFFFFFFF)


def _count_fork() -> None:
    global _forks
    _forks += 1


def _begin_in_child() -> None:
    told = struct.pack("<QQQ", *state())
    reset(int.from_bytes(hashlib.blake2b(told, digest_size=4).digest(), "little"))


reset(int.from_bytes(os.urandom(4), "little"))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork, after_in_child=_begin_in_child)
