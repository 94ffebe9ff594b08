"""Keys for the counter-based random generator of dropout and noise. A key is a seed and a count."""

from __future__ import annotations

import hashlib
import os
import struct

from . import recorder

_forks = 0  # processes forked since `reset`; each gets a seed of its own


def reset(seed: int) -> None:
    """Start the sequence of keys of a seed."""
    set_state(seed, 0, 0)


def state() -> tuple[int, int, int]:
    """Return the seed, and the numbers of keys drawn and processes forked since it was set."""
    return *recorder.noise(), _forks


def set_state(seed: int, drawn: int, forks: int) -> None:
    """Restore a state that `state` returned."""
    global _forks
    recorder.set_noise(seed & 0xFFFFFFFF, drawn)
    _forks = forks


def next_key() -> bytes:
    """Draw a key that belongs to no node, as 8 bytes."""
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
