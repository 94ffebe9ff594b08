"""Initial values of a peer's parameters, requested in the order in which the task's file creates them."""

from __future__ import annotations

import math

import numpy as np


class Drawn:
    """Values drawn from DyNet's distributions."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def _glorot(self, dim: tuple[int, ...]) -> np.ndarray:
        bound = math.sqrt(3 * len(dim) / sum(dim))
        return self.rng.uniform(-bound, bound, dim).astype(np.float32)

    def lookup(self, rows: int, size: int) -> np.ndarray:
        return self._glorot((rows, size))

    def parameter(self, *dim: int) -> np.ndarray:
        return self._glorot(dim)

    def lstm(self, inputs: int, hidden: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W for inputs, W for states, and b, with the gates i, f, o, g stacked in rows; 1 is added to f's b."""
        Wx, Wh, b = self._lstm(inputs, hidden)
        b = b.copy()
        b[hidden : 2 * hidden] += 1
        return Wx, Wh, b

    def _lstm(self, inputs: int, hidden: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shapes = (4 * hidden, inputs), (4 * hidden, hidden)
        return self._glorot(shapes[0]), self._glorot(shapes[1]), np.zeros(4 * hidden, np.float32)


class Given(Drawn):
    """Values from a DyNet model, so that losses can be compared."""

    def __init__(self, parameters: list[np.ndarray], lookups: list[np.ndarray]):
        self.parameters, self.lookups = iter(parameters), iter(lookups)

    def _next(self, values, dim: tuple[int, ...]) -> np.ndarray:
        array = next(values)
        if array.shape != dim:
            raise ValueError(f"the next parameter has shape {array.shape}, not {dim}")
        return np.array(array, np.float32, order="C")

    def lookup(self, rows: int, size: int) -> np.ndarray:
        return self._next(self.lookups, (rows, size))

    def parameter(self, *dim: int) -> np.ndarray:
        return self._next(self.parameters, dim)

    def _lstm(self, inputs: int, hidden: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(self.parameter(*dim) for dim in ((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,)))


def save(path: str, collection) -> None:
    """Write the values of a DyNet collection to a file for `load`."""
    parameters = [p.as_array() for p in collection.parameters_list()]
    lookups = [p.as_array() for p in collection.lookup_parameters_list()]
    arrays = {f"parameter {k:03}": a for k, a in enumerate(parameters)}
    arrays |= {f"lookup {k:03}": a for k, a in enumerate(lookups)}
    np.savez(path, **arrays)


def load(path: str) -> Given:
    with np.load(path) as arrays:
        names = sorted(arrays)
        kinds = [[arrays[name] for name in names if name.startswith(kind)] for kind in ("parameter", "lookup")]
    return Given(*kinds)
