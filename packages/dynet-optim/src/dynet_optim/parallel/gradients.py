"""Exchanges gradients, values and states of random generators. All ranks must call these functions together.

Gradients are added up in one buffer. It has the whole gradients of ordinary parameters, called dense here, and of
lookup parameters the rows that any rank has used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dynet_core.compute.memory import Block
from dynet_core.compute.parameter_rows import PARAMETER_ROWS
from dynet_core.parameter.storage import Storage
from dynet_core.random import noise, random_stream

from ..rule import without_states
from ..table import Table
from .communicator import mpi

SCALE = without_states("scale", "factor", g=lambda g, factor: g * factor)  # does not change the parameters


class Gradients:
    """The gradients of the trained parameters in a trainer's `Table`.

    The rows of all lookup parameters are numbered one after the other. Each lookup parameter has one more number than
    rows, the last, which stands for all its rows. `Storage.touched` lists the rows with a gradient.
    """

    def __init__(self, table: Table, comm: Any):
        self.comm, self.in_place = comm, mpi().IN_PLACE
        self.version = PARAMETER_ROWS.version  # if the number is different later, this object is out of date
        trained = [p._storage for p in table.everything if PARAMETER_ROWS.needs(p._storage.row)]
        self.dense = [storage for storage in trained if storage.touched is None]
        self.tables = [(storage, storage.touched) for storage in trained if storage.touched is not None]
        # The number of the first row of each lookup parameter, and then how many numbers there are in all.
        self.firsts = np.cumsum([0, *(storage.rows + 1 for storage, _ in self.tables)])
        self.buffer = np.empty(0, np.float32)
        self.sent = 0  # the number of bytes that this rank has sent in the last exchange

    def touched(self) -> np.ndarray:
        """Return the numbers of the rows of lookup parameters for which this rank has gradients."""
        found = [np.empty(0, np.int64)]
        for first, (storage, touched) in zip(self.firsts, self.tables):
            rows = np.array([storage.rows]) if touched[-1] else touched[1 : 1 + touched[0]]
            found.append(rows + first)
        return np.concatenate(found)

    def add_up(self, own: np.ndarray, counts: np.ndarray) -> None:
        """Replace this rank's gradients by the sums over all ranks.

        `own` is what `touched` returned on this rank. `counts` has the number of such rows on each rank.
        """
        chosen = [*((storage, slice(None)) for storage in self.dense), *self._used_by_all(own, counts)]
        values = [storage.gradient.array.reshape(storage.rows or 1, -1)[rows].ravel() for storage, rows in chosen]
        ends = np.cumsum([0, *map(len, values)])
        if len(self.buffer) < ends[-1]:
            self.buffer = np.empty(ends[-1] * 5 // 4, np.float32)
        buffer = self.buffer[: ends[-1]]
        np.concatenate([buffer[:0], *values], out=buffer)
        self.comm.Allreduce(self.in_place, buffer)
        self.sent = buffer.nbytes + own.nbytes
        for (storage, rows), part in zip(chosen, np.split(buffer, ends[1:])):
            if storage.touched is None:
                storage.gradient.write(part)
            else:
                with storage.gradient.edit() as gradient:
                    gradient.reshape(storage.rows, -1)[rows] = part.reshape(len(rows), -1)

    def _used_by_all(self, own: np.ndarray, counts: np.ndarray) -> Iterator[tuple[Storage, np.ndarray]]:
        """Yield each lookup parameter of which any rank has used rows, with these rows, and mark them as used here."""
        if not counts.any():
            return
        together = np.empty(counts.sum(), np.int64)
        self.comm.Allgatherv(own, [together, counts])
        together = np.unique(together)
        for (storage, touched), first, end in zip(self.tables, self.firsts, self.firsts[1:]):
            begin, stop = np.searchsorted(together, [first, end])
            rows = together[begin:stop] - first
            if not len(rows):
                continue
            if rows[-1] == storage.rows:
                touched[-1] = 1
                rows = np.arange(storage.rows)
            touched[0] = len(rows)
            touched[1 : 1 + len(rows)] = rows
            touched[1 + storage.rows + rows] = 1
            yield storage, rows


def spread(comm: Any, blocks: Sequence[Block]) -> None:
    packed = np.concatenate([np.empty(0, np.float32), *(block.array for block in blocks)])
    comm.Bcast(packed)
    if comm.rank:
        for block in blocks:
            values, packed = np.split(packed, [block.floats])
            block.write(values)


def first_difference(comm: Any, parameters: Sequence[Any]) -> tuple[int, str] | None:
    """Return the first rank whose values differ from those of rank 0 in any bit, and the name of the parameter."""
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
    """Copy the random generator for initial values from rank 0 to all ranks. Give each its own seed for dropout."""
    stream, (seed, drawn, forks) = comm.bcast((random_stream.stream(), noise.state()))
    noise.set_rank(comm.rank)
    if comm.rank:
        random_stream.continue_with(stream)
        own = noise.seed_of_rank(seed, comm.rank)
        # A seed that is right already was set by an earlier DataParallel. Setting it again could repeat numbers.
        if noise.state()[0] != own:
            noise.set_state(own, drawn, forks)
