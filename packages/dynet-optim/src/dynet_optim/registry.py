"""TRAINERS, a table of all trainers. Tests generated from it compare each trainer with its equations in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .base import Trainer

TrainerClass = TypeVar("TrainerClass", bound=type[Trainer])
Reference = Callable[..., None]


class RegisteredTrainer(NamedTuple):
    """A trainer class and what its tests need.

    Attributes:
        kind: the trainer class.
        reference: the trainer's equations in numpy. `reference(p, g, states, rate, t, **settings)` does update number t
            with the gradient g and the learning rate `rate`. It changes the parameter p and the list of `states`, all
            float64 arrays, in place.
        settings: dicts of arguments; the trainer is tested with each of them. `reference` gets the same arguments,
            except for the learning rate, which it gets as `rate`.
    """

    kind: type[Trainer]
    reference: Reference
    settings: tuple[dict[str, Any], ...]


TRAINERS: dict[str, RegisteredTrainer] = {}


def register(reference: Reference, *settings: dict[str, Any]) -> Callable[[TrainerClass], TrainerClass]:
    """Return a decorator that adds a trainer class to `TRAINERS`, from which its tests are generated.

    Args:
        reference: the trainer's equations in numpy; see `RegisteredTrainer`.
        settings: dicts of arguments. The trainer is tested with each of them, and with the default arguments.
    """

    def decorate(trainer_class: TrainerClass) -> TrainerClass:
        TRAINERS[trainer_class.__name__] = RegisteredTrainer(trainer_class, reference, ({}, *settings))
        return trainer_class

    return decorate
