"""The random keys of dropout and noise, and `reset_random_seed`.

A key is the seed and the number of keys drawn before it. Nothing else is stored: each random number is computed
from a key and from the number's position in the array that is filled.
"""

from __future__ import annotations

import hashlib
import os
import struct

from .. import recorder
from ..checks import whole
from .random_stream import InitialStream, continue_with

_rank = 0  # this process's number among the processes that train one model together; 0 if it trains alone
_fork_count = 0  # how many child processes have been forked since `reset`; each child's seed depends on it


def reset(seed: int) -> None:
    """Set the seed that `seed_of_rank` derives from `seed` for this process's rank, and count keys from 0 again."""
    set_state(seed_of_rank(seed, _rank), 0, 0)


def set_rank(rank: int) -> None:
    """Set this process's rank for later calls of `reset`. The present seed does not change."""
    global _rank
    _rank = rank


def seed_of_rank(seed: int, rank: int) -> int:
    if rank == 0:
        return seed
    return int.from_bytes(hashlib.blake2b(f"{seed} {rank}".encode(), digest_size=4).digest(), "little")


def state() -> tuple[int, int, int]:
    """Return (the seed, how many keys were drawn since it was set, how many processes were forked since then)."""
    return *recorder.random_state(), _fork_count


def set_state(seed: int, drawn_count: int, fork_count: int) -> None:
    global _fork_count
    recorder.set_random_state(seed & 0xFFFFFFFF, drawn_count)
    _fork_count = fork_count


def next_key() -> bytes:
    """Draw a key of 8 bytes for random numbers that are not part of a graph."""
    count, (seed, _) = recorder.draw_key(), recorder.random_state()
    return struct.pack("<II", seed, count & 0xFFFFFFFF)


def _count_fork() -> None:
    global _fork_count
    _fork_count += 1


def _reseed_child() -> None:
    state_bytes = struct.pack("<QQQ", *state())
    reset(int.from_bytes(hashlib.blake2b(state_bytes, digest_size=4).digest(), "little"))


reset(int.from_bytes(os.urandom(4), "little"))  # a random seed, until the program sets one
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork, after_in_child=_reseed_child)


def reset_random_seed(seed: int) -> None:
    """Set the seed of all random numbers: initial values, dropout and noise.

    Processes that train one model together (`DataParallel`) must all use the same seed. They then draw the same initial
    values, but different numbers for dropout and noise. Here, as in DyNet, 0 is a seed like any other, but
    `--dynet-seed 0` on the command line means a random seed.
    """
    seed = whole("reset_random_seed", "the seed", seed)
    continue_with(InitialStream(seed))
    reset(seed)
