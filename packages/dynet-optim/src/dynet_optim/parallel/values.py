"""Copies the values of parameters and the state of random generators between ranks, and compares values.

Ranks are the processes of a parallel program. `comm` is their MPI communicator. All ranks must call these functions
together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_core import noise, random_stream
from dynet_core.errors import ParallelError
from dynet_core.memory import Block


def spread(comm: Any, blocks: Sequence[Block]) -> None:
    """Copy the contents of blocks of memory from rank 0 to all ranks."""
    packed = np.concatenate([np.empty(0, np.float32), *(block.array for block in blocks)])
    comm.Bcast(packed)
    if comm.rank:
        begin = 0
        for block in blocks:
            block.write(packed[begin : begin + block.floats])
            begin += block.floats


def first_difference(comm: Any, parameters: Sequence[Any]) -> tuple[int, Any] | None:
    """Compare the values of parameters between ranks, to the last bit.

    Returns:
        The number of the first rank whose values differ from those of rank 0, and the first parameter in which they
        do; None if all values are the same. All ranks get the same result.
    """
    if not parameters:
        return None
    own = _digests([parameter._storage.values.array for parameter in parameters])
    of_first = comm.bcast(own)
    for rank, place in enumerate(comm.allgather(int(np.argmax(own != of_first)) if (own != of_first).any() else -1)):
        if place >= 0:
            return rank, parameters[place]
    return None


def check_new(comm: Any, parameters: Sequence[Any]) -> None:
    """Check that parameters which were added since the last update have the same values on all ranks.

    Each rank has initialised them itself, and computed their gradients with its own values.

    Raises:
        ParallelError: they have not; the message names the first parameter that differs.
    """
    if different := first_difference(comm, parameters):
        rank, parameter = different
        raise ParallelError(
            f"DataParallel.update: {parameter.name()}, which was added later, has other initial values on rank {rank} "
            "than on rank 0. They are the same if all ranks draw the same random numbers: make the same parameters in "
            "the same order, also those of other models, or before it, call dy.reset_random_seed with the same seed on "
            "all ranks"
        )


def _digests(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Return a 64-bit hash of the contents of each array."""
    digests = [hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=8).digest() for array in arrays]
    return np.frombuffer(b"".join(digests), np.int64)


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
