"""Helpers for the scenes in scenes.py."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import dynet as dy

SCENES: list[Callable[[int, Path], None]] = []
RANK = int(os.environ["PMI_RANK"])


def scene(function: Callable[[int, Path], None]) -> Callable[[int, Path], None]:
    SCENES.append(function)
    return function


@contextlib.contextmanager
def raises(kind: type[Exception], message: str) -> Iterator[None]:
    """Check that the block raises this kind of error, with a message that matches this regular expression."""
    try:
        yield
    except kind as error:
        assert type(error) is kind, error
        assert re.search(message, str(error)), str(error)
    else:
        raise AssertionError(f"no {kind.__name__}")


def model(shape: tuple[int, ...] = (2,), frozen: bool = False) -> tuple[dy.ParameterCollection, dy.Parameters]:
    collection = dy.ParameterCollection()
    w = collection.add_parameters(shape, init=1.0)
    w.set_updated(not frozen)
    return collection, w


def gradient(w: dy.Parameters, size: float = 1.0) -> None:
    dy.renew_cg()
    (size * dy.sum_elems(w)).backward()


def other(mine: object, others: object) -> object:
    """The second argument on rank 1, the first on all other ranks."""
    return others if RANK == 1 else mine
