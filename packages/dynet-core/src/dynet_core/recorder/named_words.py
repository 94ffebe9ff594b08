"""`NamedWords`, which Python uses by name and compiled code by address, and `SHARED`, the shared words."""

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


def word_slice(names: Structure, first: str, last: str) -> slice:
    """Return the slice of the words from `first` to `last`. Reading or setting it in a `view` cannot be interrupted."""
    return slice(names[first], names[last] + 1)


SHARED = NamedWords(words.SHARED)  # the shared words
_GENERATION_WORDS = word_slice(words.SHARED, "generation", "settled")
_DRAWN_COUNT_INDEX = words.SHARED["drawn"]
_RANDOM_STATE_WORDS = word_slice(words.SHARED, "seed", "drawn")
_draw_lock = new_lock()
_generations = itertools.count(1)


def generation(index: int = words.SHARED["generation"]) -> int:
    """Return a number that changes whenever a signature is added, or a parameter's memory or state changes."""
    return SHARED.view[index]


def next_generation(only_freezes: bool = False) -> None:
    """Change the number that `generation` returns, so that the next pass of each graph starts from Python.

    `only_freezes`: only a parameter's frozen state changes. Compiled code may then still start a graph's first pass.
    """
    newest = next(_generations)
    if only_freezes:
        SHARED["generation"] = newest
    else:
        SHARED.view[_GENERATION_WORDS] = array("q", (newest, newest))


def random_state() -> tuple[int, int]:
    """Return the seed of the random keys, and how many keys have been drawn."""
    seed, drawn = SHARED.view[_RANDOM_STATE_WORDS].tolist()
    return seed, drawn


def set_random_state(seed: int, drawn_count: int) -> None:
    """Set the seed of the random keys, as if `drawn_count` keys had already been drawn."""
    SHARED.view[_RANDOM_STATE_WORDS] = array("q", (seed, drawn_count))


def draw_key() -> int:
    """Draw a new random key, and return how many keys were drawn before it."""
    view = SHARED.view
    with _draw_lock:  # for builds of Python without the GIL
        drawn = view[_DRAWN_COUNT_INDEX]; view[_DRAWN_COUNT_INDEX] = drawn + 1; return drawn  # fmt: skip  # noqa: E702  # no handler can run here


def pass_count(index: int = words.SHARED["passes"]) -> int:
    """Return how many backward passes have run so far, in all graphs."""
    return SHARED.view[index]


def note_pass() -> None:
    SHARED["passes"] = SHARED["passes"] + 1
