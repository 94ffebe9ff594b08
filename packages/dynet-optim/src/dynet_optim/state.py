"""Saving, pickling and copying a trainer. Resumed training gives the same numbers as uninterrupted training.

A trainer keeps *states* for each parameter: tensors of its shape, such as a moving average of gradients. A saved
trainer is a file in the format of a model file (see `dynet_core.files`). It has a tensor for each state, and one tensor
with the trainer's own numbers, such as the learning rate, and the state of the random generator of dropout. Tensors are
float32, so each of these numbers is stored as three float32 numbers; see `as_three`.
"""

from __future__ import annotations

import copy
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynet_core import noise
from dynet_core.errors import FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import EXPLAIN, Entry, StoredTensor, different
from dynet_core.memory import Block
from dynet_core.wording import few

from .settings import float32
from .table import Table

# The attributes of `Trainer` that are not pickled. `_begin` creates them.
NOT_PICKLED = ("_backward_elsewhere", "_table", "_shrinking")
IN_FILES = ("_rate", "_rate0", "_epoch", "_threshold", "_dense", "_updates")  # the trainer's own numbers

# How `as_three` stores a number that is no sum of three float32 numbers: its 64 bits, PART_BITS in each of them.
PART_BITS = 22
PART = 1 << PART_BITS

Path = str | os.PathLike[str]


class Resumable:
    """A base class of `Trainer`, with its methods for saving, pickling and copying."""

    _table: Table
    _counts: Any

    def _begin(self) -> None:
        """Create the attributes that are not pickled. `Trainer` defines this."""
        raise NotImplementedError

    def __getstate__(self) -> tuple[dict[str, Any], list[list[np.ndarray]], dict[str, Any]]:
        """Return what pickle stores: the attributes, copies of each parameter's states, and what is in `__slots__`."""
        own = object.__getstate__(self)  # the attributes, or if a user's class has slots, these and the slots
        slots = own[1] if isinstance(own, tuple) else {}
        settings = {name: value for name, value in vars(self).items() if name not in NOT_PICKLED}
        settings["_counts"] = copy.copy(self._counts)
        states_in_order = self._table.prepared().states_in_order()
        return settings, [[kept.array.copy() for kept in states] for states in states_in_order], slots

    def __setstate__(self, state: tuple[dict[str, Any], list[list[np.ndarray]], dict[str, Any]]) -> None:
        settings, remembered, slots = (*state, {})[:3]  # a pickle of an earlier version has no slots
        vars(self).update(settings)
        for name, value in slots.items():
            object.__setattr__(self, name, value)
        self._begin()
        for states, arrays in zip(self._table.prepared().states_in_order(), remembered):
            for kept, array in zip(states, arrays):
                kept.write(array)

    def save(self, fname: Path) -> None:
        """Save the state of training to a file that `populate` reads. The parameters are not part of it.

        The state is the trainer's memory of earlier gradients, the learning rate, the epoch, the number of updates,
        the clipping threshold, whether updates are sparse, and the state of the random generator of dropout. Save the
        parameters with the collection's own `save`.

        Args:
            fname: the file to write or replace. Its format is safetensors if its name ends in `.safetensors`, else
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
        write(fname, type(self).__name__, self._in_files(), self._table.prepared())

    def populate(self, fname: Path) -> None:
        """Load the state of training that `save` wrote. Training then continues as if it had not been interrupted.

        The trainer must be of the same class and have the same settings, and its collection the same parameters. Load
        the values of the parameters with the collection's own `populate`.

        Raises:
            FileFormatError: the file is damaged or belongs to another trainer; nothing has changed.
            OSError: the file cannot be read.
        """
        self._take(read(fname, type(self).__name__, self._in_files(), self._table.prepared()))

    def _in_files(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in IN_FILES}

    def _take(self, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            setattr(self, name, number)


def write(fname: Path, name: str, numbers: Mapping[str, float], table: Table) -> None:
    """Write the state of a trainer to a file.

    Args:
        fname: the file.
        name: the name of the trainer's class.
        numbers: the trainer's own numbers by name, such as the learning rate.
        table: the trainer's table. Its attribute `kept` has the states of each parameter.
    """
    model_files.save(as_tensors(name, numbers, table), fname)


def as_tensors(name: str, numbers: Mapping[str, float], table: Table) -> list[StoredTensor]:
    """Return the tensors that `write` stores. The first has `numbers` and the state of the random generator.

    The seed has 32 bits. It is stored as two numbers of 16 bits.
    """
    seed, drawn, forks = noise.state()
    values = as_three([*map(float, numbers.values()), seed >> 16, seed & 0xFFFF, drawn, forks])
    own = StoredTensor(False, f"/{name}", (len(values),), values, None)
    return [own, *(tensor for tensor, _ in _states(table))]


def read(fname: Path, name: str, numbers: Mapping[str, float], table: Table) -> dict[str, float]:
    """Read a file that `write` wrote: copy its states into `table`, and restore the random generator of dropout.

    Args:
        fname: the file.
        name: the name of the trainer's class.
        numbers: the trainer's own numbers by name, as they are now.
        table: the trainer's table, which must have the same parameters as the trainer that was saved.

    Returns:
        The trainer's own numbers in the file, with the same names and types as in `numbers`.
    """
    return load(model_files.load_all(fname), fname, name, numbers, table)


def load(
    stored: Sequence[StoredTensor], fname: Path, name: str, numbers: Mapping[str, float], table: Table
) -> dict[str, float]:
    """Do what `read` does, but take the tensors from `stored`, which the caller has read from a file.

    They are the tensors that `as_tensors` returned when the file was written. `fname` is only for error messages.
    """
    states = _states(table)
    tensors = {_present_name(tensor.name, table.rule.states): tensor for tensor in stored}
    own = tensors.pop(f"/{name}", None)
    expected = {state.name: (state.lookup, state.dims) for state, _ in states}
    if own is None:
        raise FileFormatError(f"{fname} holds no state of {name}: it has {few(tensors)}")
    if {name: (tensor.lookup, tensor.dims) for name, tensor in tensors.items()} != expected:
        raise FileFormatError(
            f"{fname} is not the state of this {name}: its parameters differ{_first_difference(tensors, states)}"
        )
    if own.dims != (3 * (len(numbers) + 4),) or not np.isfinite(own.values).all():
        raise FileFormatError(f"{fname}: {own.name} is damaged")
    *found, high, low, drawn, forks = from_three(own.values)
    whole = [n for given, n in zip(numbers.values(), found) if isinstance(given, int)]
    if not all(map(_is_possible, numbers, found)) or not all(
        0 <= n < 2**53 and n == int(n) for n in (*whole, high, low, drawn, forks)
    ):
        raise FileFormatError(f"{fname}: {own.name} is damaged")
    for state, block in states:
        block.write(tensors[state.name].values)
    noise.set_state(int(high) << 16 | int(low), int(drawn), int(forks))
    return {name: type(given)(n) for (name, given), n in zip(numbers.items(), found)}


def _states(table: Table) -> list[tuple[StoredTensor, Block]]:
    """Return all states of the trainer, each as a pair: a tensor to store in a file, and the state's memory."""
    return [
        # Names of parameters may repeat, so the index is part of the tensor's name.
        (StoredTensor(p._lookup, f"{p.name()}.{place}.{state}", p.type.dims, block.array, None), block)
        for place, p in enumerate([*table.parameters, *table.lookups])
        for state, block in zip(table.rule.states, table.kept[p._storage])
    ]


def _present_name(name: str, states: Sequence[str]) -> str:
    """Return the name of a stored tensor. Older files have the numbers of states in place of their names."""
    start, _, last = name.rpartition(".")
    return f"{start}.{states[int(last)]}" if last in map(str, range(len(states))) else name


def _first_difference(tensors: Mapping[str, StoredTensor], states: Sequence[tuple[StoredTensor, Block]]) -> str:
    """Return the first difference between the parameters in a file and the trainer's, for an error message."""
    there, here = [
        [Entry(state.lookup, state.name.rsplit(".", 2)[0], state.dims) for state in found]
        for found in (tensors.values(), [state for state, _ in states])
    ]
    problems = different(there, [(state.lookup, state.dims, state.name) for state in here])
    return f": {problems[0]}" if problems else " in their order"


def _explanation(found: Iterable[str], expected: Iterable[str]) -> str:
    """Explain that a file does not fit a collection because it has the state of a trainer. `EXPLAIN` has this."""
    kinds, more = {Resumable}, {Resumable}
    while more := {kind for above in more for kind in above.__subclasses__()}:
        kinds |= more
    trainers = {kind.__name__ for kind in kinds} & {name.removeprefix("/") for name in found}
    if not trainers:
        return ""
    return f"The file has the state of a trainer, {few(trainers)}, which the populate of such a trainer reads"


EXPLAIN.append(_explanation)


def _is_possible(name: str, number: float) -> bool:
    """Return whether a trainer's own number may have this value. `name` is one of IN_FILES."""
    if name == "_epoch":
        return math.isfinite(number)  # `update_epoch(-1)` may count back
    return number >= 0 and (name == "_threshold" or number < math.inf)


def as_three(numbers: Sequence[float]) -> np.ndarray:
    """Return a float32 array that has three numbers for each one in `numbers`, from which `from_three` computes it.

    The three add up to that number. If no three do, because it is infinite, too large or too near to 0, they are its 64
    bits instead: 22 bits in each, as a whole number from PART to 2 * PART - 1. The two cases cannot be confused: in a
    sum, the second number is much smaller than the first.
    """
    parts: list[float] = []
    for number in numbers:
        parts += _as_sum(number) or _as_bits(number)
    return np.array(parts, np.float32)


def from_three(values: np.ndarray) -> list[float]:
    """Return the numbers from which `as_three` made an array."""
    return [
        _from_bits(three) if all(PART <= part < 2 * PART for part in three) else math.fsum(three)
        for three in values.reshape(-1, 3).tolist()
    ]


def _as_sum(number: float) -> list[float]:
    """Return three float32 numbers that add up to a number, [] if there are none."""
    parts, rest = [], float(number)
    for _ in range(3):
        part = float32(rest)
        parts.append(part)
        rest -= part
    return [] if rest else parts  # the rest is NaN if the number is infinite or too large for a float32


def _as_bits(number: float) -> list[float]:
    """Return the 64 bits of a float64 as three whole numbers, the lowest bits first; see `as_three`."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", number))
    return [PART + (bits >> place * PART_BITS) % PART for place in range(3)]


def _from_bits(parts: Sequence[float]) -> float:
    """Return the number from which `_as_bits` made `parts`."""
    bits = sum((int(part) - PART) << place * PART_BITS for place, part in enumerate(parts))
    return struct.unpack("<d", struct.pack("<Q", bits % 2**64))[0]
