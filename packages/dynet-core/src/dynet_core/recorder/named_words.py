"""Words that Python reads by name and compiled code by address. `SHARED` exists once per process."""

from __future__ import annotations

import itertools
from array import array
from typing import Any

import numpy as np

from dynet_kernels.layout import Structure
from dynet_kernels.locks import new_lock
from dynet_kernels.recorder import words


class NamedWords:
    """Words that Python reads and writes by their names, and compiled code by their address."""

    __slots__ = ("_names", "address", "view")

    def __init__(self, names: Structure):
        memory: Any = np.zeros(len(names), np.int64)
        self.view: Any = memoryview(memory).cast("B").cast("q")
        self.address: int = memory.ctypes.data
        self._names = names

    def __getitem__(self, name: str) -> int:
        return self.view[self._names[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self.view[self._names[name]] = value


def adjacent(names: Structure, first: str, last: str) -> slice:
    """Return a slice of adjacent words. A `view` reads or sets these in one step, which no signal handler divides."""
    return slice(names[first], names[last] + 1)


SHARED = NamedWords(words.SHARED)  # the words that all threads share
_GENERATIONS = adjacent(words.SHARED, "generation", "settled")
_DRAWN = words.SHARED["drawn"]
_NOISE = adjacent(words.SHARED, "seed", "drawn")
_drawing = new_lock()
_generations = itertools.count(1)


def generation(index: int = words.SHARED["generation"]) -> int:
    """Return a number that changes whenever a signature is added, or a parameter's memory or state changes."""
    return SHARED.view[index]


def next_generation(freezes: bool = False) -> None:
    """Change the number that `generation` returns, so that the next pass starts from Python.

    `freezes` means that only the frozen state of a parameter changes. Compiled code may then still start the next pass
    itself, if the pass is the first of its graph.
    """
    newest = next(_generations)
    if freezes:
        SHARED["generation"] = newest
    else:
        SHARED.view[_GENERATIONS] = array("q", (newest, newest))


def noise() -> tuple[int, int]:
    """Return the seed of the random keys, and how many keys have been drawn."""
    seed, drawn = SHARED.view[_NOISE].tolist()
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed of the random keys, as if `drawn` keys had already been drawn."""
    SHARED.view[_NOISE] = array("q", (seed, drawn))


def draw() -> int:
    """Draw a new random key, and return how many keys were drawn before it."""
    view = SHARED.view
    with _drawing:  # for builds of Python without the GIL
        drawn = view[_DRAWN]; view[_DRAWN] = drawn + 1; return drawn  # fmt: skip  # noqa: E702  # no handler can run here


def passes(index: int = words.SHARED["passes"]) -> int:
    return SHARED.view[index]


def note_pass() -> None:
    SHARED["passes"] = SHARED["passes"] + 1
