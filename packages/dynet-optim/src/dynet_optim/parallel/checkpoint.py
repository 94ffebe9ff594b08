"""Checkpoints of `DataParallel`: the parameters, the trainer's state and the position in the data, in one file.

A file is a list of tensors, in this order: a hash of the rest; the parameters; the states of the random generators; the
numbers of the position; and the trainer's state. Each whole number is stored as `state.as_three` does: as three float32
numbers that add up to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import StoredTensor
from dynet_core.parameter import ParameterCollection

from .. import state
from ..base import Trainer

PARAMETERS, DIGEST, RANKS, POSITION = "/parameters", "/digest", "/ranks", "/position"  # the beginnings of tensor names
MOST = 2**53  # a Python float holds whole numbers up to this exactly
Noise = tuple[int, int, int]
"""The state of the random generator for dropout: (seed, count of numbers drawn, count of processes forked)."""


def write(
    fname: state.Path,
    collection: ParameterCollection,
    trainer: Trainer,
    position: Mapping[str, int],
    noises: Sequence[Noise],
) -> None:
    """Write a checkpoint. An older file of this name is replaced only when everything is written.

    Args:
        fname: the file.
        collection: the model.
        trainer: its trainer.
        position: how far training has got in the data, as whole numbers by name, such as {"epoch": 3}.
        noises: for each rank, the state of its random generator for dropout.
    """
    parameters = [StoredTensor(t.lookup, PARAMETERS + t.name, t.dims, t.values, None) for t in collection._tensors()]
    places = [_numbers(f"{POSITION}/{name}", [number]) for name, number in _checked(position).items()]
    ranks = _numbers(RANKS, [n for seed, *counts in noises for n in (seed >> 16, seed & 0xFFFF, *counts)])
    own = state.as_tensors(type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    everything = [*parameters, ranks, *places, *own]
    model_files.save([_numbers(DIGEST, _digest(everything)), *everything], fname)


def _checked(position: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(position, Mapping):
        raise ArgumentTypeError(f"save: position must be a dict, not {type(position).__name__} {position!r:.40}")
    found = {name: whole("save", f"position {name!r}", number) for name, number in position.items()}
    for name, number in found.items():
        if not isinstance(name, str) or not name.isidentifier() or abs(number) > MOST:
            raise ArgumentError(f"save: position {name!r}: {number!r}; it takes names with whole numbers")
    return found


def _numbers(name: str, numbers: Sequence[int]) -> StoredTensor:
    values = state.as_three(numbers)
    return StoredTensor(False, name, (len(values),), values, None)


def read(fname: state.Path, collection: ParameterCollection, trainer: Trainer) -> tuple[dict[str, int], list[Noise]]:
    """Load a checkpoint into a model and its trainer.

    Args:
        fname: the file.
        collection: the model.
        trainer: its trainer.

    Returns:
        The position in the data, and for each rank the state of its random generator for dropout.

    Raises:
        FileFormatError: the file is damaged, or does not fit the model and the trainer; nothing has changed.
    """
    stored = model_files.load_all(fname)
    if not stored or stored[0].name != DIGEST:
        raise FileFormatError(f"{fname} is no checkpoint of DataParallel")
    if _read(stored[0]) != _digest(stored[1:]):
        raise FileFormatError(f"{fname}: the checkpoint is damaged")
    wanted = [(t.lookup, PARAMETERS + t.name, t.dims) for t in collection._tensors()]
    parameters, rest = stored[1 : 1 + len(wanted)], stored[1 + len(wanted) :]
    if [(t.lookup, t.name, t.dims) for t in parameters] != wanted or not rest or rest[0].name != RANKS:
        raise FileFormatError(f"{fname}: the checkpoint has other parameters than the model")
    counts = _read(rest.pop(0))
    noises = [(high << 16 | low, drawn, forks) for high, low, drawn, forks in zip(*[iter(counts)] * 4)]
    places: dict[str, int] = {}
    while rest and rest[0].name.startswith(f"{POSITION}/"):
        place = rest.pop(0)
        (places[place.name.removeprefix(f"{POSITION}/")],) = _read(place)
    numbers = state.load(rest, fname, type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    for parameter, t in zip(collection._everything(), parameters):
        parameter._storage.set_values(t.values)
    trainer._take(numbers)
    return places, noises


def _digest(tensors: Iterable[StoredTensor]) -> list[int]:
    """Return a hash of tensors: four numbers of 16 bits. The file stores it, so that damage to the file is noticed."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(repr((tensor.lookup, tensor.name, tuple(tensor.dims))).encode())
        found.update(np.ascontiguousarray(tensor.values, np.float32).data)
    return np.frombuffer(found.digest(), "<u2").tolist()


def _read(tensor: StoredTensor) -> list[int]:
    """Return the whole numbers from which `_numbers` made a tensor; [] if the tensor is damaged."""
    if len(tensor.values) % 3 or not np.isfinite(tensor.values).all():
        return []
    return list(map(int, tensor.values.reshape(-1, 3).sum(axis=1, dtype=np.float64).tolist()))
