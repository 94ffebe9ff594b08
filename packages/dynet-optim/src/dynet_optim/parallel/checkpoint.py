"""A checkpoint: the parameters, the state of the trainer and the place in the data, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import StoredTensor
from dynet_core.parameter import ParameterCollection

from .. import state
from ..base import Trainer

PARAMETERS, POSITION, RANKS = "/parameters", "/position", "/ranks"
MOST = 2**53  # whole numbers up to this are exact
Noise = tuple[int, int, int]
"""The state of a random generator for dropout: the seed, and the numbers of keys drawn and processes forked."""


def write(
    fname: state.Path,
    collection: ParameterCollection,
    trainer: Trainer,
    position: Mapping[str, int],
    noises: Sequence[Noise],
) -> None:
    """Write a checkpoint. The file is replaced at once when all is written.

    Args:
        position: names and whole numbers.
        noises: the states of the random generators of all ranks.
    """
    parameters = [StoredTensor(t.lookup, PARAMETERS + t.name, t.dims, t.values, None) for t in collection._tensors()]
    places = [_numbers(f"{POSITION}/{name}", [number]) for name, number in _checked(position).items()]
    ranks = _numbers(RANKS, [n for seed, *counts in noises for n in (seed >> 16, seed & 0xFFFF, *counts)])
    own = state.as_tensors(type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    model_files.save([*parameters, ranks, *places, *own], fname)


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


def read(
    fname: state.Path, collection: ParameterCollection, trainer: Trainer
) -> tuple[dict[str, int], list[Noise]]:
    """Load a checkpoint into a model and its trainer. If it does not fit, nothing changes.

    Returns:
        The position, and the states of the random generators of all ranks.
    """
    wanted = collection._tensors()
    stored = model_files.load_all(fname)
    parameters, rest = stored[: len(wanted)], stored[len(wanted) :]
    if [_key(t) for t in parameters] != [(t.lookup, PARAMETERS + t.name, t.dims) for t in wanted] or not (
        rest and rest[0].name == RANKS
    ):
        raise FileFormatError(f"{fname}: the checkpoint has other parameters than the model, or is none")
    counts = _read(fname, rest.pop(0))
    noises = [(high << 16 | low, drawn, forks) for high, low, drawn, forks in zip(*[iter(counts)] * 4)]
    if not noises or len(counts) % 4 or min(counts) < 0 or max(counts[0::4] + counts[1::4]) > 0xFFFF:
        raise FileFormatError(f"{fname}: {RANKS} is damaged")
    places: dict[str, int] = {}
    while rest and rest[0].name.startswith(f"{POSITION}/"):
        place = rest.pop(0)
        (places[place.name.removeprefix(f"{POSITION}/")],) = _read(fname, place, 1)
    numbers = state.load(rest, fname, type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    for parameter, t in zip(collection._everything(), parameters):
        parameter._storage.values.write(t.values)
    vars(trainer).update(numbers)
    return places, noises


def _read(fname: state.Path, tensor: StoredTensor, count: int | None = None) -> list[int]:
    """Return the numbers of `_numbers`; raise unless they are whole, and `count` of them."""
    values = tensor.values
    if tensor.dims == (3 * (len(values) // 3 if count is None else count),) and np.isfinite(values).all():
        numbers = values.reshape(-1, 3).sum(axis=1, dtype=np.float64).tolist()
        if all(n == int(n) and abs(n) <= MOST for n in numbers):
            return list(map(int, numbers))
    raise FileFormatError(f"{fname}: {tensor.name} is damaged")


def _key(tensor: StoredTensor) -> tuple[bool, str, tuple[int, ...]]:
    return tensor.lookup, tensor.name, tensor.dims
