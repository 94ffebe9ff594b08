"""The table of trainers, from which their tests are generated."""

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

    `reference(p, g, states, rate, t, **settings)` does update number t with the gradient g: it changes the float64
    arrays p and `states` in place. The `settings` are the trainer's arguments other than the learning rate.
    """

    kind: type[Trainer]
    reference: Reference
    settings: tuple[dict[str, Any], ...]


TRAINERS: dict[str, Registered] = {}


def register(reference: Reference, *settings: dict[str, Any]) -> Callable[[Kind], Kind]:
    """Add a trainer to the table. Its tests are generated from this.

    Args:
        reference: see `Registered`.
        settings: arguments to test the trainer with, in addition to its defaults.
    """

    def decorate(kind: Kind) -> Kind:
        TRAINERS[kind.__name__] = Registered(kind, reference, ({}, *settings))
        return kind

    return decorate


def rounded(number: float) -> float:
    """Round to float32, as kernels do with their numbers."""
    return float(np.float32(number))
