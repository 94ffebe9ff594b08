"""`reset_random_seed`, which sets the seed of all random numbers of the library."""

from __future__ import annotations

from ..checks import whole
from . import noise, random_stream


def reset_random_seed(seed: int) -> None:
    """Set the seed of all random numbers: initial values, dropout and noise.

    Processes that train one model together (`DataParallel`) all give the same seed. They then draw the same initial
    values, but each draws its own numbers for dropout and noise.
    """
    seed = whole("reset_random_seed", "the seed", seed)
    random_stream.reset_random_seed(seed)
    noise.reset(seed)
