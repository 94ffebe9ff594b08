"""A trainer's state in a file, so that interrupted training goes on with the numbers it would have had.

The file is like a model's (see dynet_core.files): one tensor for each that the trainer keeps of a parameter, and one
for its own numbers and the generator of dropout and noise. A Python float is kept as three float32 that add up to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynet_core import noise
from dynet_core.errors import FileFormatError
from dynet_core.files import model_files
from dynet_core.files.tensors import Tensor
from dynet_core.memory import Block

if TYPE_CHECKING:
    from .base import Trainer

NUMBERS = ("_rate", "_rate0", "_epoch", "_threshold", "_dense", "_updates")
Path = str | os.PathLike[str]


def save(trainer: Trainer, fname: Path) -> None:
    """Write what a trainer has come to; `Trainer.save`."""
    seed, drawn, forks = noise.state()
    numbers = [float(getattr(trainer, name)) for name in NUMBERS]
    values = _as_three([*numbers, seed >> 16, seed & 0xFFFF, drawn, forks])
    own = Tensor(False, _own_name(trainer), (len(values),), values, None)
    model_files.save([own, *(tensor for tensor, _ in _states(trainer))], fname)


def populate(trainer: Trainer, fname: Path) -> None:
    """Go on from what `save` wrote; `Trainer.populate`."""
    states = _states(trainer)
    tensors = {tensor.name: tensor for tensor in model_files.load_all(fname)}
    own = tensors.pop(_own_name(trainer), None)
    expected = {state.name: (state.lookup, state.dims) for state, _ in states}
    if own is None or {name: (tensor.lookup, tensor.dims) for name, tensor in tensors.items()} != expected:
        raise FileFormatError(f"{fname} is not the state of this {type(trainer).__name__}: its parameters differ")
    if own.dims != (3 * (len(NUMBERS) + 4),) or not np.isfinite(own.values).all():
        raise FileFormatError(f"{fname}: {own.name} is damaged")
    *numbers, high, low, drawn, forks = own.values.reshape(-1, 3).sum(axis=1, dtype=np.float64).tolist()
    whole = [n for name, n in zip(NUMBERS, numbers) if isinstance(getattr(trainer, name), int)]
    if min(numbers) < 0 or not all(0 <= n < 2**53 and n == int(n) for n in (*whole, high, low, drawn, forks)):
        raise FileFormatError(f"{fname}: {own.name} is damaged")
    for name, number in zip(NUMBERS, numbers):
        setattr(trainer, name, type(getattr(trainer, name))(number))
    for state, block in states:
        block.write(tensors[state.name].values)
    noise.set_state(int(high) << 16 | int(low), int(drawn), int(forks))


def _own_name(trainer: Trainer) -> str:
    return f"/{type(trainer).__name__}"


def _states(trainer: Trainer) -> list[tuple[Tensor, Block]]:
    """What a trainer keeps of each parameter, and where it does."""
    table = trainer._prepared()
    return [
        # names may repeat
        (Tensor(p._lookup, f"{p.name()}.{place}.{number}", p.type.dims, block.array, None), block)
        for place, p in enumerate([*table.parameters, *table.lookups])
        for number, block in enumerate(table.kept[p._storage])
    ]


def _as_three(numbers: Sequence[float]) -> np.ndarray:
    parts = []
    for number in numbers:
        for _ in range(3):
            part = np.float32(number)
            parts.append(part)
            number -= float(part)
    return np.array(parts, np.float32)
