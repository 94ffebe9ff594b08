"""Before ranks exchange anything, they compare what each is about to do."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_core.errors import ParallelError

from .communicator import end_all, end_all_on_exceptions, world

ACTIONS = ("start", "update", "total", "compare", "save", "populate", "end")
ACTION, UPDATES, MODEL, OPTIONS, EXAMPLES, TOUCHED = range(6)
FIELDS = 6
Facts = Sequence[tuple[str, object]]
"""Names and values that must be the same on all ranks."""


class Meeting:
    """Headers that all ranks exchange: the action, the number of updates, and digests of model and options."""

    def __init__(self, comm: Any):
        self.comm = comm
        self.headers = np.zeros((comm.size, FIELDS), np.int64)
        self.updates = 0
        self.over = ""
        """Why the ranks cannot meet any more: one has ended."""
        self.process = os.getpid()
        atexit.register(self._end)

    def _end(self) -> None:
        """Tell the other ranks that this one ends. Those that go on then raise an error instead of waiting for it."""
        if self.over or os.getpid() != self.process:
            return
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(ParallelError):
            self.meet("end", self.updates)

    @contextlib.contextmanager
    def exchange(self) -> Iterator[None]:
        """Return a context manager for an exchange. An exception in it ends all ranks, because the others wait for it.

        ParallelErrors are raised on all ranks, so that none waits.
        """
        try:
            yield
        except ParallelError:
            raise
        except BaseException:
            traceback.print_exc()
            end_all("this exception in the middle of an exchange")

    def meet(
        self,
        action: str,
        updates: int,
        model: Facts = (),
        options: Facts = (),
        examples: int = 0,
        touched: int = 0,
        model_digest: int = 0,
    ) -> npt.NDArray[np.int64]:
        """Wait for all ranks, and return their headers, one row each.

        Raises:
            ParallelError: the ranks do not do the same, or one has ended.
        """
        if self.over:
            raise ParallelError(self.over)
        self.updates = updates
        own = np.array(
            [ACTIONS.index(action), updates, model_digest, digest(options) if options else 0, examples, touched],
            np.int64,
        )
        self.comm.Allgather(own, self.headers)
        if (self.headers[:, :EXAMPLES] != own[:EXAMPLES]).any():
            self._refuse(action, own, model, options)
        return self.headers

    def _refuse(self, action: str, own: npt.NDArray[np.int64], model: Facts, options: Facts) -> None:
        """Raise the error for headers that differ. All ranks come here, and see the same headers."""
        if action == "end":
            return
        headers, rank = self.headers, self.comm.rank
        who = f"DataParallel.{action}: rank {rank}" if action != "start" else f"DataParallel: rank {rank}"
        ended = np.flatnonzero(headers[:, ACTION] == ACTIONS.index("end"))
        if len(ended):
            self.over = (
                f"{who} has done {_updates(own[UPDATES])} and goes on, but rank {ended[0]} has ended after "
                f"{headers[ended[0], UPDATES]}. All ranks must call update equally often; one without examples "
                "calls it without backward"
            )
            raise ParallelError(self.over)
        for other, header in enumerate(headers):
            if header[ACTION] != own[ACTION]:
                raise ParallelError(f"{who} is in {action}, but rank {other} is in {ACTIONS[header[ACTION]]}")
        for other, header in enumerate(headers):
            if header[UPDATES] != own[UPDATES]:
                raise ParallelError(
                    f"{who} has done {_updates(own[UPDATES])}, but rank {other} has done {header[UPDATES]}: "
                    "all ranks must call update equally often"
                )
        for field, facts, what in ((MODEL, model, "another model"), (OPTIONS, options, "other options")):
            different = np.flatnonzero(headers[:, field] != own[field])
            if (headers[:, field] != headers[0, field]).any():
                everyone = self.comm.allgather(list(facts))
                # A rank that agrees with some compares itself with the first that it differs from.
                other = int(different[0])
                raise ParallelError(f"{who} has {what} than rank {other}: {difference(facts, everyone[other], other)}")


def _updates(number: int) -> str:
    return f"{number} update" if number == 1 else f"{number} updates"


def difference(own: Facts, others: Facts, rank: int) -> str:
    """Say the first difference between two lists of facts."""
    for (name, value), (others_name, others_value) in zip(own, others):
        if name != others_name:
            return f"where this has {name}, rank {rank} has {others_name}"
        if value != others_value:
            return f"{name} is {value} here, and {others_value} there"
    longer, where = (own, "here") if len(own) > len(others) else (others, "there")
    more = longer[min(len(own), len(others))][0] if len(own) != len(others) else "something"
    return f"{more} is only {where}"


@functools.cache
def meeting() -> Meeting | None:
    """Return the meeting of this process; None if it is alone."""
    comm = world()
    if comm is None:
        return None
    end_all_on_exceptions()
    return Meeting(comm)


def digest(*facts: object) -> int:
    """Return a number of 63 bits that says whether facts are the same, in all processes."""
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=8).digest(), "little") >> 1


def digests_of(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Return a number for the contents of each array."""
    digests = [hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=8).digest() for array in arrays]
    return np.frombuffer(b"".join(digests), np.int64)
