"""Checks that all ranks (the processes of a parallel program) are about to do the same, before they exchange data.

Each rank sends a *header* to all others: integers that say what it is about to do and how many updates it has done, and
hashes of its model and options. If these differ, all ranks raise an error. Without this check, ranks might wait for
others forever. *Facts* are the pairs (name, value) from which the hashes are computed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_core.errors import ParallelError

from .communicator import PROCESS, end_all, end_all_on_exceptions, is_finalized, world

ACTIONS = ("start", "update", "total", "compare", "save", "populate", "end")
ACTION, UPDATES, MODEL, OPTIONS, EXAMPLES, TOUCHED, BACKWARD = range(7)  # the indices of the integers in a header
FIELDS = 7  # how many integers a header has
Facts = Sequence[tuple[str, object]]
"""Pairs (name, value) that describe a model or options, and must be the same on all ranks."""
LAST_WAIT = 5
"""How many seconds a process that ends waits for a thread that is in the middle of an exchange."""


class Meeting:
    """The connection of this rank with the others, by which all ranks exchange headers and compare them.

    A header has seven integers, which `meet` makes from its arguments. Their indices are ACTION (an index in ACTIONS),
    UPDATES, MODEL (a hash), OPTIONS (a hash), EXAMPLES, TOUCHED and BACKWARD. The first four must be the same on all
    ranks.
    """

    def __init__(self, comm: Any):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size  # MPI says the last two only until it is finalized
        self.headers = np.zeros((comm.size, FIELDS), np.int64)  # the headers of all ranks at the last call of `meet`
        self.updates = 0  # how many updates this rank has done, by the trainer that was used last
        self.over = ""
        """An error message, if a rank has ended and so the others can exchange nothing any more; else ""."""
        self.process = os.getpid()  # a forked child, which has another id, is no rank
        self._exchanging = threading.Lock()  # locked while a thread is in an exchange
        self._refused: ParallelError | None = None  # the last error of a thread that found it locked
        atexit.register(self._end)

    def _end(self) -> None:
        """Tell the other ranks that this one ends. Those that go on then raise an error instead of waiting for it."""
        if self.over or os.getpid() != self.process or is_finalized():
            return
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        if not self._exchanging.acquire(timeout=LAST_WAIT):
            return
        try:
            with contextlib.suppress(ParallelError):
                self.meet("end", self.updates)
            self.over = self.over or f"DataParallel: rank {self.rank} has ended"
        finally:
            self._exchanging.release()

    @contextlib.contextmanager
    def exchange(self) -> Iterator[None]:
        """Return a context manager for a block in which ranks exchange data.

        An exception in the block ends the processes of all ranks, because the other ranks would wait for this one
        forever. Only a ParallelError is passed on: all ranks raise it, so none of them waits.

        Raises:
            ParallelError: this process or thread must not exchange anything now.
        """
        self._check_process()
        if not self._exchanging.acquire(blocking=False):
            self._refused = ParallelError(
                f"DataParallel: rank {self.rank} is in the middle of an exchange, in another thread or before a "
                "signal handler was called. Only one thread at a time may exchange, and all ranks in the same order"
            )
            raise self._refused
        try:
            yield
        except BaseException as problem:
            # A signal handler that has interrupted this exchange may raise `_refused`: only this rank has that error.
            if isinstance(problem, ParallelError) and problem is not self._refused:
                raise
            traceback.print_exc()
            end_all("this exception in the middle of an exchange")
        finally:
            self._exchanging.release()

    def _check_process(self) -> None:
        """Raise a ParallelError if this process is a forked child of the rank, or MPI is finalized."""
        if os.getpid() != self.process:
            raise ParallelError(
                f"DataParallel: this process was forked from rank {self.rank} and is no rank, so it cannot "
                "exchange anything with others. Return its results to the rank, as multiprocessing.Pool does; to train "
                "alone, use the trainer itself"
            )
        if is_finalized():
            raise ParallelError("DataParallel: MPI.Finalize() was called; call it after all uses of DataParallel")

    def meet(
        self,
        action: str,
        updates: int,
        model: Facts = (),
        options: Facts = (),
        examples: int = 0,
        touched: int = 0,
        model_digest: int = 0,
        backward: bool = False,
    ) -> npt.NDArray[np.int64]:
        """Wait for all ranks, compare what they are about to do, and return their headers, one row for each rank.

        Args:
            action: what this rank is about to do, one of ACTIONS.
            updates: how many updates this rank has done.
            model: facts about its model. Only error messages use them; what is compared is `model_digest`.
            options: facts about its options. Their hash is compared.
            examples: how many examples it has. Ranks may differ in this.
            touched: how many rows of lookup parameters it has used. Ranks may differ in this.
            model_digest: the hash of `model`. The caller computes it, and keeps it as long as the model is the same.
            backward: whether it has had a backward pass since its last update. Ranks may differ in this.

        Raises:
            ParallelError: the ranks are not about to do the same, or one has ended.
        """
        if self.over:
            raise ParallelError(self.over)
        self.updates = updates
        own = np.array(
            [
                ACTIONS.index(action),
                updates,
                model_digest,
                digest(options) if options else 0,
                examples,
                touched,
                backward,
            ],
            np.int64,
        )
        self.comm.Allgather(own, self.headers)
        if (self.headers[:, :EXAMPLES] != own[:EXAMPLES]).any():
            self._refuse(action, own, model, options)
        return self.headers

    def _refuse(self, action: str, own: npt.NDArray[np.int64], model: Facts, options: Facts) -> None:
        """Raise a ParallelError that says how the headers differ. All ranks call this, with the same headers.

        If this rank is about to end, do nothing: the error is for the ranks that go on.
        """
        if action == "end":
            return
        headers, rank = self.headers, self.rank
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
                # The message compares this rank with the first rank whose facts differ.
                other = int(different[0])
                raise ParallelError(f"{who} has {what} than rank {other}: {difference(facts, everyone[other], other)}")


def _updates(number: int) -> str:
    return f"{number} update" if number == 1 else f"{number} updates"


def difference(own: Facts, others: Facts, rank: int) -> str:
    """Return words for the first difference between `own`, the facts of this rank, and `others`, those of `rank`."""
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
    """Return the `Meeting` of this process, always the same one; None if the program has only one process."""
    comm = world()
    if comm is None:
        return None
    end_all_on_exceptions()
    os.environ.setdefault(PROCESS, str(os.getpid()))  # for child processes, if the launcher is an unknown one
    return Meeting(comm)


def digest(*facts: object) -> int:
    """Return a hash of facts: 63 bits, so that it fits an int64. Equal facts have the same hash in all processes."""
    return int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=8).digest(), "little") >> 1


def sendable(problem: Exception) -> Exception:
    """Return `problem` if it can be pickled and sent to other processes, else a ParallelError with its message."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:
        return ParallelError(f"DataParallel: rank 0 has raised {type(problem).__name__}: {problem}")
    return problem
