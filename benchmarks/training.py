"""The interface of tasks, and the training step that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Steps:
    """A task's training and inference steps. Each call takes the next minibatch.

    `train` builds a graph, runs it forward and backward, and updates; `infer` builds and runs it forward. Both return
    the loss. `build` only builds, and returns the loss's expression; it is missing for peers that build no graphs.
    `prepare` does work that must not be timed, such as compilation.
    """

    train: Callable[[], float]
    infer: Callable[[], float]
    build: Callable[[], Any] | None = None
    trainer: Any = None
    prepare: Callable[[], Any] | None = None
    parameters: Any = None  # DyNet 2.1's trainers do not keep their parameters alive


CLIP = 5.0
"""DyNet's trainers scale all gradients down if their norm exceeds this."""


def training_steps(dy, parameters, batches: Iterator[list], loss_of: Callable, clip: bool = True) -> Steps:
    """Return steps with Adam. `loss_of` builds the loss of a minibatch as one scalar expression."""
    trainer = dy.AdamTrainer(parameters)
    if not clip:
        trainer.set_clip_threshold(0)

    def build():
        dy.renew_cg()
        return loss_of(next(batches))

    def infer() -> float:
        dy.renew_cg()
        return loss_of(next(batches)).scalar_value()

    def train() -> float:
        dy.renew_cg()
        loss = loss_of(next(batches))
        value = loss.scalar_value()
        loss.backward()
        trainer.update()
        return value

    return Steps(train, infer, build, trainer, parameters=parameters)
