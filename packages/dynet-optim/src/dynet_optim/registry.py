"""The table of trainers: what tests need to know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .base import Trainer

Kind = TypeVar("Kind", bound=type[Trainer])
Float64 = npt.NDArray[np.float64]
Reference = Callable[..., None]


@dataclass(frozen=True)
class Registered:
    """A trainer, its equations in numpy, and settings to test it with.

    `reference(p, g, states, rate, t, **settings)` changes the float64 arrays p and `states` in update number t, by a
    gradient g. Its `settings` are the trainer's arguments besides the learning rate.
    """

    kind: type[Trainer]
    reference: Reference
    settings: tuple[dict[str, Any], ...]


TRAINERS: dict[str, Registered] = {}


def register(reference: Reference, *settings: dict[str, Any]) -> Callable[[Kind], Kind]:
    """Enter a trainer in the table, which is all that its tests need.

    Args:
        reference: see `Registered`.
        settings: arguments of the trainer, each of which is tested; its defaults are, too.
    """

    def decorate(kind: Kind) -> Kind:
        TRAINERS[kind.__name__] = Registered(kind, reference, ({}, *settings))
        return kind

    return decorate


def rounded(number: float) -> float:
    """A number as kernels know it, whose numbers are float32."""
    return float(np.float32(number))
