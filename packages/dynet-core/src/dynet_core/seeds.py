"""The seed of all random numbers."""

from __future__ import annotations

from . import noise, random_stream
from .checks import whole


def reset_random_seed(seed: int) -> None:
    """Restart all random numbers: those of initial values, and those of dropout and noise."""
    seed = whole("reset_random_seed", "the seed", seed)
    random_stream.reset_random_seed(seed)
    noise.reset(seed)
