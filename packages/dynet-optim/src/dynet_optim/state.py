"""Saving, pickling and copying a trainer. Resumed training gives the same numbers as uninterrupted training.

A saved trainer is a file in the format of a model file (see `dynet_core.files`). It has a tensor for each state, and
one with the trainer's own numbers and the state of the random generator of dropout.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynet_core.compute.memory import Block
from dynet_core.errors import FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import EXPLAIN, Entry, StoredTensor, different
from dynet_core.messages.wording import few
from dynet_core.random import noise

from .table import Table

NOT_PICKLED = ("_backward_elsewhere", "_read", "_shrinking", "_table")  # attributes that `_begin` makes
IN_FILES = ("_rate", "_rate0", "_epoch", "_threshold", "_dense", "_updates")  # the trainer's own numbers

# How `of_numbers` stores a number that is no sum of three float32 numbers: its 64 bits, 22 of them in each.
PART = 1 << 22
SHIFTS = np.arange(0, 66, 22, dtype=np.uint64)

Path = str | os.PathLike[str]


class Counts:
    """What changes at each update of a trainer. `recent_...` count since the last call of `status`.

    `passes` is how many backward passes had run when the last update ended. `has_trained` says whether a gradient was
    ever other than 0.
    """

    updates = recent_updates = recent_clips = passes = 0
    has_trained = False


class Resumable:
    """A base class of `Trainer`, with its methods for saving, pickling and copying."""

    _begin: Callable[[], None]  # makes the attributes that are not pickled
    _table: Table
    _updates = property(lambda self: self._counts.updates, lambda self, count: setattr(self._counts, "updates", count))

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what pickle stores: the attributes, copies of each parameter's states, and what is in `__slots__`."""
        own = object.__getstate__(self)  # the attributes, or if a user's class has slots, these and the slots
        settings = {name: value for name, value in vars(self).items() if name not in NOT_PICKLED}
        settings["_counts"] = copy.copy(self._counts)
        kept = [[block.array.copy() for block in states] for states in self._table.prepared().states_in_order()]
        return settings, kept, own[1] if isinstance(own, tuple) else {}

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        settings, kept, slots = (*state, {})[:3]  # a pickle of an earlier version has no slots
        self._counts = Counts()  # and one of a still earlier version has no counts
        for name, value in (settings | slots).items():
            object.__setattr__(self, name, value)
        self._begin()
        for states, arrays in zip(self._table.prepared().states_in_order(), kept):
            for block, array in zip(states, arrays):
                block.write(array)

    def save(self, fname: Path) -> None:
        """Save the state of training to a file that `populate` reads. The parameters are not part of it.

        The state is the trainer's memory of earlier gradients, the learning rate, the epoch, the number of updates,
        the clipping threshold, whether updates are sparse, and the state of the random generator of dropout. Save the
        parameters with the collection's own `save`.

        Args:
            fname: the file to write or replace. The format is safetensors if the name ends in `.safetensors`, else
                text.

        Raises:
            OSError: the file cannot be written. An existing file has not changed.

        >>> import dynet as dy, tempfile
        >>> m = dy.ParameterCollection()
        >>> w = m.add_parameters(1, init=1.0)
        >>> trainer = dy.MomentumSGDTrainer(m, 0.25, mom=0.5)
        >>> dy.sum_elems(w).backward()
        >>> trainer.update()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(folder + "/trainer")
        ...     other = dy.MomentumSGDTrainer(m, mom=0.5)
        ...     other.populate(folder + "/trainer")
        >>> dy.sum_elems(w).backward()
        >>> other.update()
        >>> w.as_array(), other.learning_rate
        (array([0.375]), 0.25)
        """
        model_files.save(self._tensors(), fname)

    def populate(self, fname: Path) -> None:
        """Load the state of training that `save` wrote. Training then continues as if it had not been interrupted.

        The trainer must be of the same class and have the same settings, and its collection the same parameters. Load
        the values of the parameters with the collection's own `populate`.

        Raises:
            FileFormatError: the file is damaged or belongs to a different trainer; nothing has changed.
            OSError: the file cannot be read.
        """
        self._load(model_files.load_all(fname), fname)

    def _in_files(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in IN_FILES}

    def _take(self, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            setattr(self, name, number)

    def _tensors(self) -> list[StoredTensor]:
        """Return what a file holds: first the trainer's own numbers and the random generator's, then all states."""
        seed, drawn, forks = noise.state()  # the seed has 32 bits
        own = [*self._in_files().values(), seed >> 16, seed & 0xFFFF, drawn, forks]
        states = _states(self._table.prepared())
        return [of_numbers(f"/{type(self).__name__}", own), *(tensor for tensor, _ in states)]

    def _load(self, stored: Sequence[StoredTensor], fname: Path) -> None:
        name, table = type(self).__name__, self._table.prepared()
        states = _states(table)
        tensors = {_present_name(tensor.name, table.rule.states): tensor for tensor in stored}
        own = tensors.pop(f"/{name}", None)
        if own is None:
            raise FileFormatError(f"{fname} holds no state of {name}: it has {few(tensors)}")
        there = {name: (tensor.lookup, tensor.dims) for name, tensor in tensors.items()}
        if there != {state.name: (state.lookup, state.dims) for state, _ in states}:
            found = [Entry(tensor.lookup, _without_state(tensor.name), tensor.dims) for tensor in tensors.values()]
            problems = different(found, [(state.lookup, state.dims, _without_state(state.name)) for state, _ in states])
            first = f": {problems[0]}" if problems else " in their order"
            raise FileFormatError(f"{fname} is not the state of this {name}: its parameters differ{first}")
        is_whole = own.dims == (3 * (len(IN_FILES) + 4),) and np.isfinite(own.values).all()
        rate, rate0, epoch, threshold, *whole = from_three(own.values) if is_whole else 4 * [math.nan]
        if not (
            all(number >= 0 for number in (rate, rate0, threshold, *whole))
            and all(map(math.isfinite, (rate, rate0, epoch)))
            and all(number < 2**53 and number == int(number) for number in whole)
        ):
            raise FileFormatError(f"{fname}: {own.name} is damaged")
        for state, block in states:
            block.write(tensors[state.name].values)
        dense, updates, high, low, drawn, forks = map(int, whole)
        noise.set_state(high << 16 | low, drawn, forks)
        self._take(dict(zip(IN_FILES, (rate, rate0, epoch, threshold, dense, updates))))


def _states(table: Table) -> list[tuple[StoredTensor, Block]]:
    """Return each state as a tensor to store in a file, and the state's memory."""
    return [
        # Names of parameters may repeat, so the index is part of the tensor's name.
        (StoredTensor(p._lookup, f"{p.name()}.{place}.{state}", p.type.dims, block.array, None), block)
        for place, p in enumerate(table.everything)
        for state, block in zip(table.rule.states, table.kept[p._storage])
    ]


def _present_name(name: str, states: Sequence[str]) -> str:
    """Return the name of a stored tensor. Older files have the numbers of states in place of their names."""
    start, _, last = name.rpartition(".")
    return f"{start}.{states[int(last)]}" if last in map(str, range(len(states))) else name


def _without_state(name: str) -> str:
    return name.rsplit(".", 2)[0]


def _names(kind: type) -> set[str]:
    return {kind.__name__}.union(*map(_names, kind.__subclasses__()))


def _explanation(found: Iterable[str], expected: Iterable[str]) -> str:
    """Explain that a file does not fit a collection because it has the state of a trainer; "" if that is not so."""
    trainers = _names(Resumable) & {name.removeprefix("/") for name in found}
    says = f"The file has the state of a trainer, {few(trainers)}, which the populate of such a trainer reads"
    return says * bool(trainers)


EXPLAIN.append(_explanation)


def of_numbers(name: str, numbers: Sequence[float]) -> StoredTensor:
    """Return a tensor that has, for each of `numbers`, three float32 numbers that add up to it.

    If no three do, they are its 64 bits instead: 22 in each, as a whole number from PART to 2 * PART - 1. In a sum, the
    second number is much smaller than the first, so the two cannot be confused.
    """
    exact = rest = np.array(numbers, np.float64)
    parts = []
    with np.errstate(all="ignore"):  # the rest is NaN if the number is infinite or too large for a float32
        for _ in range(3):
            parts.append(rest.astype(np.float32))
            rest = rest - parts[-1]
    bits = PART + (exact.view(np.uint64)[:, None] >> SHIFTS) % PART
    values = np.where(rest[:, None] == 0, np.stack(parts, 1), bits).astype(np.float32).ravel()
    return StoredTensor(False, name, (len(values),), values, None)


def from_three(values: np.ndarray) -> list[float]:
    three = values.reshape(-1, 3)
    bits = ((three % PART).astype(np.uint64) << SHIFTS).sum(axis=1, dtype=np.uint64).view(np.float64)
    are_bits = ((three >= PART) & (three < 2 * PART)).all(axis=1)
    return np.where(are_bits, bits, three.sum(axis=1, dtype=np.float64)).tolist()
