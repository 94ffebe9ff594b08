"""Before ranks exchange anything, they compare what each is about to do."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_core.errors import ParallelError

from .communicator import abort_on_exceptions, world

ACTIONS = ("start", "update", "total", "compare", "save", "populate", "end")
ACTION, UPDATES, MODEL, OPTIONS, EXAMPLES, TOUCHED = range(6)
FIELDS = 6


class Meeting:
    """Headers that all ranks exchange: the action, the number of updates, and digests of model and options."""

    def __init__(self, comm: Any):
        self.comm = comm
        self.headers = np.zeros((comm.size, FIELDS), np.int64)
        self.updates = 0
        atexit.register(self._end)

    def _end(self) -> None:
        """Tell the other ranks that this one ends. Those that go on then raise an error instead of waiting for it."""
        sys.stdout.flush()
        with contextlib.suppress(ParallelError):
            self.meet("end", self.updates)

    def meet(
        self, action: str, updates: int, model: int = 0, options: int = 0, examples: int = 0, touched: int = 0
    ) -> npt.NDArray[np.int64]:
        """Wait for all ranks, and return their headers, one row each.

        Raises:
            ParallelError: the ranks do not do the same, or one has ended.
        """
        self.updates = updates
        own = np.array([ACTIONS.index(action), updates, model, options, examples, touched], np.int64)
        self.comm.Allgather(own, self.headers)
        headers = self.headers
        if (headers[:, :EXAMPLES] != own[:EXAMPLES]).any():
            self._refuse(action, own)
        return headers

    def _refuse(self, action: str, own: npt.NDArray[np.int64]) -> None:
        who = f"DataParallel.{action}: rank {self.comm.rank}"
        for rank, header in enumerate(self.headers):
            other, updates = ACTIONS[header[ACTION]], int(header[UPDATES])
            if other == "end" != action:
                raise ParallelError(
                    f"{who} has done {own[UPDATES]} updates and goes on, but rank {rank} has ended after {updates}. "
                    "All ranks must call update equally often; one without examples calls it without backward"
                )
            if other != action and action != "end":
                raise ParallelError(f"{who} is in {action}, but rank {rank} is in {other}")
            if updates != own[UPDATES] and action != "end":
                raise ParallelError(
                    f"{who} has done {own[UPDATES]} updates, but rank {rank} has done {updates}: "
                    "all ranks must call update equally often"
                )
        for rank, header in enumerate(self.headers):
            if header[MODEL] != own[MODEL] and action != "end":
                raise ParallelError(
                    f"{who} has another model than rank {rank}: names, dimensions or order of the parameters differ, "
                    "or which of them are trained, or the kind of trainer"
                )
            if header[OPTIONS] != own[OPTIONS] and action != "end":
                raise ParallelError(
                    f"{who} has other options than rank {rank}: learning rate, clipping threshold, sparse updates, "
                    "weight decay and s must be the same on all ranks"
                )


@functools.cache
def meeting() -> Meeting | None:
    """Return the meeting of this process; None if it is alone."""
    comm = world()
    if comm is None:
        return None
    abort_on_exceptions(comm)
    return Meeting(comm)


def digest(*facts: object) -> int:
    """Return a number of 63 bits that says whether facts are the same, in all processes."""
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=8).digest(), "little") >> 1


def digests_of(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Return a number for the contents of each array."""
    digests = [hashlib.blake2b(np.ascontiguousarray(array), digest_size=8).digest() for array in arrays]
    return np.frombuffer(b"".join(digests), np.int64)
