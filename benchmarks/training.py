"""The training step that the tasks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def training_step(dy, parameters, batches: Iterator[list], loss_of: Callable) -> Callable[[], float]:
    """A step: the next minibatch's graph forwards and backwards, an update by Adam; returns the loss.

    `loss_of` builds the loss of a minibatch as one scalar expression.
    """
    trainer = dy.AdamTrainer(parameters)

    def step() -> float:
        dy.renew_cg()
        loss = loss_of(next(batches))
        value = loss.scalar_value()
        loss.backward()
        trainer.update()
        return value

    step.parameters = parameters  # DyNet 2.1's trainers do not keep their parameters alive
    return step
