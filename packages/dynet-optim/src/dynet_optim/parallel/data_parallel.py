"""`DataParallel`: a trainer whose gradients are those of all processes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from dynet_core import noise
from dynet_core.annotations import Number
from dynet_core.checks import checked_flag, whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, ParallelError
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_kernels.kernels import KERNELS
from dynet_kernels.updates import UpdateRule

from ..base import Trainer
from ..rule import Rule
from ..state import Path
from ..table import Table
from . import checkpoint
from .gradients import Gradients
from .meeting import EXAMPLES, TOUCHED, digest, digests_of, meeting

Example = TypeVar("Example")
SCALE = Rule(
    KERNELS.add(
        "update.scale", UpdateRule(("p", "g", "factor"), {"g": lambda g, factor: g * factor}, numbers=("factor",))
    ),
    states=0,
    numbers=1,
)
"""Multiplies all gradients by a number."""


class DataParallel:
    r"""A trainer for programs that run as several processes, which MPI starts: `mpiexec -n 4 python train.py`.

    Each process, a *rank*, has the whole model and its own share of the examples. `update` replaces the gradient of
    each parameter by the sum over all ranks, and then updates as the trainer alone does:

    .. math:: g = \sum_r g_r \qquad\text{or, with average,}\qquad g = \sum_r \frac{n_r}{\sum_q n_q}\, g_r

    So n ranks with 1/n of each minibatch train as one process with the whole minibatch, up to rounding. The norm for
    clipping is that of the sum. Results are the same in each run with the same number of ranks.

    At the start, all ranks get the parameters and the state of the trainer that rank 0 has. Each rank draws other
    numbers for dropout, all from the seed of rank 0. An exception in one rank ends all of them. A program that is not
    started by MPI has one rank, and `update` is the trainer's.

    All ranks must call `update`, `total`, `save` and `populate` in the same order. A rank without examples calls
    `update` without `backward`. All other members are the trainer's: set options in the same way on all ranks.

    Args:
        trainer: the trainer, which works on the whole collection.
        average: weight the gradients of the ranks by their numbers of examples, for losses that are means.
        compare_every: compare the parameters of all ranks after so many updates; 0 means never.

    Raises:
        ParallelError: the ranks do not have the same model, or several processes cannot find each other.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(2, init=1.0)
    >>> trainer = dy.DataParallel(dy.SimpleSGDTrainer(m, 0.25))
    >>> for x in trainer.share([[1, 2], [3, 4]]):  # this rank's part of the minibatch
    ...     (dy.dot_product(w, dy.inputVector(x))).backward()
    ...     dy.renew_cg()
    >>> trainer.update()
    >>> trainer.rank, trainer.size
    (0, 1)
    """

    def __init__(self, trainer: Trainer, *, average: bool = False, compare_every: int = 0):
        if not isinstance(trainer, Trainer):
            raise ArgumentTypeError(f"DataParallel: expected a trainer, got {type(trainer).__name__}")
        self.trainer = trainer
        self._average = checked_flag("DataParallel", "average", average)
        self._every = whole("DataParallel", "compare_every", compare_every)
        if self._every < 0:
            raise ArgumentError(f"DataParallel: compare_every is {compare_every}; it must not be negative")
        self._meeting: Any = meeting()
        self._comm: Any = self._meeting and self._meeting.comm
        self.rank: int = self._comm.rank if self._comm else 0
        """The number of this process."""
        self.size: int = self._comm.size if self._comm else 1
        """The number of processes."""
        if self._comm:
            self._updates = 0
            self._version, self._model = -1, 0
            self._scaling = Table(trainer._collection, SCALE) if self._average else None
            self._meet("start")
            self._spread()
            self._gradients = Gradients(trainer._table, self._comm)
            seed, drawn, forks = self._comm.bcast(noise.state())
            if self.rank:
                told = hashlib.blake2b(f"{seed} {self.rank}".encode(), digest_size=4).digest()
                seed = int.from_bytes(told, "little")
            noise.set_state(seed, drawn, forks)

    def __getattr__(self, name: str) -> Any:
        """Return a member of the trainer."""
        if name.startswith("_") or name == "trainer":
            raise AttributeError(f"DataParallel has no attribute {name!r}")
        return getattr(self.trainer, name)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the trainer."""
        return self.trainer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Number) -> None:
        self.trainer.learning_rate = value

    def __repr__(self) -> str:
        return f"<DataParallel: rank {self.rank} of {self.size}; {self.trainer!r}>"

    def share(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return this rank's part of a minibatch: neighbours, in order, at most one more than any other rank has.

        All ranks must give the same minibatch: shuffle with the same seed.
        """
        count = len(examples)
        return examples[count * self.rank // self.size : count * (self.rank + 1) // self.size]

    def total(self, number: Number) -> float:
        """Return the sum of a number over all ranks, such as a loss to print. It is the same on all ranks."""
        if not self._comm:
            return float(number)
        self._meet("total")
        return math.fsum(self._comm.allgather(float(number)))

    def update(self, s: Number = 1.0, examples: int | None = None) -> None:
        """Sum the gradients of all ranks, and change the parameters by them.

        Args:
            s: the factor of the gradients.
            examples: with `average`, the number of examples that this rank's gradients are a mean of.

        Raises:
            ParallelError: the ranks do not agree; the message says how. Nothing has changed.
            GradientError: the sum is infinite or NaN, on all ranks. No parameter has changed.
        """
        count = self._checked_examples(examples)
        if not self._comm:
            return self.trainer.update(s) if s != 1.0 else self.trainer.update()
        trainer = self.trainer
        version = trainer._table.prepared().version
        if self._gradients.version != version:
            self._gradients = Gradients(trainer._table, self._comm)
        rows = self._gradients.touched()
        before = self._model
        headers = self._meet("update", s, examples=count, touched=len(rows))
        if before != self._model:
            self._spread()  # parameters were added, which each rank has initialised for itself
        if self._scaling:
            everyone = int(headers[:, EXAMPLES].sum())
            if not everyone:
                raise ArgumentError("DataParallel.update: no rank has examples")
            self._scaling.prepared().run([count / everyone], trainer._dense)
        self._gradients.add_up(rows, headers[:, TOUCHED].copy())
        trainer.update(s) if s != 1.0 else trainer.update()
        self._updates += 1
        if self._every and self._updates % self._every == 0:
            self.compare()

    def _checked_examples(self, examples: int | None) -> int:
        if not self._average:
            return 0
        if examples is None:
            raise ArgumentError("DataParallel.update: with average=True it needs the number of this rank's examples")
        count = whole("DataParallel.update", "examples", examples)
        if not 0 <= count < 1 << 40:
            raise ArgumentError(f"DataParallel.update: examples is {examples}")
        return count

    def compare(self) -> None:
        """Check that all ranks have the same parameters.

        Raises:
            ParallelError: they have not; the message names the first that differs.
        """
        if not self._comm:
            return
        self._meet("compare")
        everything = self.trainer._collection._everything()
        own = digests_of([p._storage.values.array for p in everything])
        of_first = self._comm.bcast(own)
        differs = self._comm.allgather(int(np.argmax(own != of_first)) if (own != of_first).any() else -1)
        for rank, place in enumerate(differs):
            if place >= 0:
                raise ParallelError(
                    f"DataParallel: after {self._updates} updates, rank {rank} has other values of "
                    f"{everything[place].name()} than rank 0"
                )

    def save(self, fname: Path, position: Mapping[str, int] | None = None) -> None:
        """Write a checkpoint: parameters, the state of the trainer, and the place in the data. Rank 0 writes it.

        Args:
            fname: the file to write or replace; it is replaced at once when all is written.
            position: names and whole numbers, such as {"epoch": 3, "minibatch": 120}.

        Raises:
            OSError: the file cannot be written; raised on all ranks. An existing file has not changed.
        """
        self._by_first("save", lambda: checkpoint.write(fname, self._collection, self.trainer, position or {}))

    def populate(self, fname: Path) -> dict[str, int]:
        """Load a checkpoint of `save` into the model and the trainer of all ranks, and return its position.

        Raises:
            FileFormatError: the file is damaged or belongs to another model; nothing has changed.
            OSError: rank 0 cannot read the file.
        """
        position = self._by_first("populate", lambda: checkpoint.read(fname, self._collection, self.trainer))
        if self._comm:
            self._spread()
        return position

    @property
    def _collection(self) -> Any:
        return self.trainer._collection

    def _by_first(self, action: str, work: Any) -> Any:
        """Have rank 0 do something; its result or its exception is that of all ranks."""
        if not self._comm:
            return work()
        self._meet(action)
        result = problem = None
        if self.rank == 0:
            try:
                result = work()
            except Exception as raised:
                problem = raised
        result, problem = self._comm.bcast((result, problem))
        if problem is not None:
            raise problem
        return result

    def _meet(self, action: str, s: Number = 1.0, examples: int = 0, touched: int = 0) -> Any:
        trainer = self.trainer
        if self._version != PARAMETER_ROWS.version:
            self._version = PARAMETER_ROWS.version
            trained = [(p.name(), p.type.dims, p._lookup, p._updated) for p in self._collection._everything()]
            self._model = digest(type(trainer).__name__, self._average, self._every, trained)
        decay, dense = self._collection._weight_decay, trainer._dense
        options = digest(trainer._rate, trainer._threshold, dense, decay, float(s))
        return self._meeting.meet(action, self._updates, self._model, options, examples, touched)

    def _spread(self) -> None:
        """Give all ranks the parameters of rank 0, and the state of its trainer."""
        trainer, comm = self.trainer, self._comm
        table = trainer._table.prepared()
        blocks = [p._storage.values for p in self._collection._everything()]
        blocks += [block for states in table.states_in_order() for block in states]
        packed = np.concatenate([np.empty(0, np.float32), *(block.array for block in blocks)])
        comm.Bcast(packed)
        begin = 0
        for block in blocks:
            block.write(packed[begin : begin + block.floats])
            begin += block.floats
        vars(trainer).update(comm.bcast(trainer._in_files()))
