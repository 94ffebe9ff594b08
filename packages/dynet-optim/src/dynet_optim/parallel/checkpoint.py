"""A checkpoint: the parameters, the state of the trainer and the place in the data, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynet_core.errors import ArgumentError, FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import StoredTensor
from dynet_core.parameter import ParameterCollection

from .. import state
from ..base import Trainer

PARAMETERS, POSITION = "/parameters", "/position"
MOST = 2**53  # whole numbers up to this are exact


def write(fname: state.Path, collection: ParameterCollection, trainer: Trainer, position: Mapping[str, int]) -> None:
    """Write a checkpoint. The file is replaced at once when all is written."""
    for name, number in position.items():
        if not name.isidentifier() or isinstance(number, bool) or not isinstance(number, int) or abs(number) > MOST:
            raise ArgumentError(f"save: position {name!r}: {number!r}; it takes names with whole numbers")
    parameters = [StoredTensor(t.lookup, PARAMETERS + t.name, t.dims, t.values, None) for t in collection._tensors()]
    places = [
        StoredTensor(False, f"{POSITION}/{name}", (3,), state.as_three([number]), None)
        for name, number in position.items()
    ]
    own = state.as_tensors(type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    model_files.save([*parameters, *places, *own], fname)


def read(fname: state.Path, collection: ParameterCollection, trainer: Trainer) -> dict[str, int]:
    """Load a checkpoint into a model and its trainer, and return the position. If it does not fit, nothing changes."""
    wanted = collection._tensors()
    stored = model_files.load_all(fname)
    parameters, rest = stored[: len(wanted)], stored[len(wanted) :]
    places: dict[str, int] = {}
    if [_key(t) for t in parameters] != [(t.lookup, PARAMETERS + t.name, t.dims) for t in wanted]:
        raise FileFormatError(f"{fname}: the checkpoint has other parameters than the model, or is none")
    while rest and rest[0].name.startswith(f"{POSITION}/"):
        place = rest.pop(0)
        number: Any = place.values.sum(dtype=np.float64) if place.dims == (3,) else np.nan
        if not np.isfinite(number) or number != int(number):
            raise FileFormatError(f"{fname}: {place.name} is damaged")
        places[place.name.removeprefix(f"{POSITION}/")] = int(number)
    numbers = state.load(rest, fname, type(trainer).__name__, trainer._in_files(), trainer._table.prepared())
    for parameter, t in zip(collection._everything(), parameters):
        parameter._storage.values.write(t.values)
    vars(trainer).update(numbers)
    return places


def _key(tensor: StoredTensor) -> tuple[bool, str, tuple[int, ...]]:
    return tensor.lookup, tensor.name, tensor.dims
