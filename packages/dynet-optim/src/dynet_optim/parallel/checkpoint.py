"""Checkpoints of `DataParallel`, each in one file.

A file is a list of tensors, in this order: a hash of the rest; the parameters; the states of the random generators; the
position in the data; and the trainer's state. Numbers are stored as `state.of_numbers` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import StoredTensor

from ..base import Trainer
from ..state import Path, from_three, of_numbers

PARAMETERS, DIGEST, RANKS, POSITION = "/parameters", "/digest", "/ranks", "/position/"  # the beginnings of tensor names
MOST = 2**53  # a Python float holds whole numbers up to this exactly
Noise = tuple[int, int, int]  # the state of the random generator for dropout: seed, numbers drawn, processes forked


def write(fname: Path, trainer: Trainer, position: Mapping[str, int], noises: Sequence[Noise]) -> None:
    if not isinstance(position, Mapping):
        raise ArgumentTypeError(f"save: position must be a dict, not {type(position).__name__} {position!r:.40}")
    places = {}
    for name, given in position.items():
        places[name] = number = whole("save", f"position {name!r}", given)
        if not isinstance(name, str) or not name.isidentifier() or abs(number) > MOST:
            raise ArgumentError(f"save: position {name!r}: {number!r}; it takes names with whole numbers")
    tensors = [
        *(StoredTensor(t.lookup, PARAMETERS + t.name, t.dims, t.values, None) for t in trainer._collection._tensors()),
        of_numbers(RANKS, [n for seed, *counts in noises for n in (seed >> 16, seed & 0xFFFF, *counts)]),
        *(of_numbers(POSITION + name, [number]) for name, number in places.items()),
        *trainer._tensors(),
    ]
    model_files.save([of_numbers(DIGEST, _digest(tensors)), *tensors], fname)


def read(fname: Path, trainer: Trainer) -> tuple[dict[str, int], list[Noise]]:
    """Load a checkpoint into a trainer and its model. Return the position, and each rank's random generator's state."""
    digest, *rest = model_files.load_all(fname) or [of_numbers("", [])]
    if digest.name != DIGEST:
        raise FileFormatError(f"{fname} is not a checkpoint of DataParallel")
    if _read(digest) != _digest(rest):
        raise FileFormatError(f"{fname}: the checkpoint is damaged")
    wanted = [(t.lookup, PARAMETERS + t.name, t.dims) for t in trainer._collection._tensors()]
    parameters, rest = rest[: len(wanted)], rest[len(wanted) :]
    if [(t.lookup, t.name, t.dims) for t in parameters] != wanted or not rest or rest[0].name != RANKS:
        raise FileFormatError(f"{fname}: the checkpoint has different parameters than the model")
    counts = _read(rest.pop(0))
    noises = [(high << 16 | low, drawn, forks) for high, low, drawn, forks in zip(*[iter(counts)] * 4)]
    places: dict[str, int] = {}
    while rest and rest[0].name.startswith(POSITION):
        place = rest.pop(0)
        (places[place.name.removeprefix(POSITION)],) = _read(place)
    trainer._load(rest, fname)
    for parameter, t in zip(trainer._collection._everything(), parameters):
        parameter._storage.set_values(t.values)
    return places, noises


def _digest(tensors: Iterable[StoredTensor]) -> list[int]:
    """Return a hash of tensors, four numbers of 16 bits, by which damage to the file is noticed."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(repr((tensor.lookup, tensor.name, tuple(tensor.dims))).encode())
        found.update(np.ascontiguousarray(tensor.values, np.float32).data)
    return np.frombuffer(found.digest(), "<u2").tolist()


def _read(tensor: StoredTensor) -> list[int]:
    """Return the whole numbers from which `of_numbers` made a tensor; [] if the tensor is damaged."""
    is_whole = len(tensor.values) % 3 == 0 and np.isfinite(tensor.values).all()
    return [int(number) for number in from_three(tensor.values)] if is_whole else []
