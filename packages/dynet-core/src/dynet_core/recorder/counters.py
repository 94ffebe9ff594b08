"""The counters that exist once per process. Compiled code reads and writes them, too."""

from __future__ import annotations

import array
import itertools

from dynet_kernels.locks import new_lock
from dynet_kernels.recorder import words

from .named_words import SHARED, adjacent

_GENERATIONS = adjacent(words.SHARED, "generation", "settled")
_DRAWN = words.SHARED["drawn"]
_NOISE = adjacent(words.SHARED, "seed", "drawn")
_drawing = new_lock()


def generation(index: int = words.SHARED["generation"]) -> int:
    """Return a number that changes whenever a signature is added or the memory or state of a parameter changes.

    As soon as it returns a different number than before, what `Records.prepare` has stored is out of date.
    """
    return SHARED.view[index]


def next_generation(freezes: bool = False) -> None:
    """Change the number that `generation` returns, so that the next pass starts from Python.

    With `freezes`, a parameter is frozen or unfrozen, and nothing else changes. Then compiled code may start the next
    pass itself if it begins a graph.
    """
    newest = next(_generations)
    if freezes:
        SHARED["generation"] = newest
    else:
        SHARED.view[_GENERATIONS] = array.array("q", (newest, newest))


_generations = itertools.count(1)


def noise() -> tuple[int, int]:
    """Return the seed from which random keys are made, and how many keys have been drawn from it."""
    seed, drawn = SHARED.view[_NOISE].tolist()
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed from which random keys are made. Go on as if `drawn` keys had been drawn from it."""
    SHARED.view[_NOISE] = array.array("q", (seed, drawn))


def draw() -> int:
    """Draw a key that no node uses, and return how many were drawn before it."""
    view = SHARED.view
    with _drawing:  # where threads run Python code at the same time, without the GIL
        drawn = view[_DRAWN]; view[_DRAWN] = drawn + 1; return drawn  # fmt: skip  # noqa: E702  # no handler can run here


def passes(index: int = words.SHARED["passes"]) -> int:
    return SHARED.view[index]


def note_pass() -> None:
    SHARED["passes"] = SHARED["passes"] + 1
