"""Copies the values of parameters and the state of random generators between ranks, and compares values.

Ranks are the processes of a parallel program. `comm` is their MPI communicator. All ranks must call these functions
together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynet_core import noise, random_stream
from dynet_core.memory import Block


def spread(comm: Any, blocks: Sequence[Block]) -> None:
    """Copy the contents of blocks of memory from rank 0 to all ranks."""
    packed = np.concatenate([np.empty(0, np.float32), *(block.array for block in blocks)])
    comm.Bcast(packed)
    if comm.rank:
        for block in blocks:
            values, packed = np.split(packed, [block.floats])
            block.write(values)


def first_difference(comm: Any, parameters: Sequence[Any]) -> tuple[int, str] | None:
    """Compare the values of parameters between ranks, to the last bit.

    Returns:
        The number of the first rank whose values differ from those of rank 0, and the name of the first parameter in
        which they do; None if all values are the same. All ranks get the same result.
    """
    if not parameters:
        return None
    own = [
        hashlib.blake2b(np.ascontiguousarray(p._storage.values.array).data, digest_size=8).digest() for p in parameters
    ]
    different = [mine != theirs for mine, theirs in zip(own, comm.bcast(own))]
    for rank, place in enumerate(comm.allgather(different.index(True) if any(different) else None)):
        if place is not None:
            return rank, parameters[place].name()
    return None


def spread_randomness(comm: Any) -> None:
    """Copy the random generator for initial values from rank 0 to all ranks. Give each its own seed for dropout.

    So parameters that are made later have the same initial values on all ranks, but dropout differs, also after
    `reset_random_seed`.
    """
    stream, (seed, drawn, forks) = comm.bcast((random_stream.stream(), noise.state()))
    noise.set_rank(comm.rank)
    if comm.rank:
        random_stream.continue_with(stream)
        own = noise.seed_of_rank(seed, comm.rank)
        # If the seed is right already, an earlier DataParallel has set it. Setting it again could repeat numbers.
        if noise.state()[0] != own:
            noise.set_state(own, drawn, forks)
