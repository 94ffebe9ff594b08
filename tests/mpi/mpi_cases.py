"""Trains a small model by each trainer, as one of several ranks or alone, and writes all parameters to a file:

    mpiexec -n 4 python mpi_cases.py parameters.npz 5

With the number 5, only every fifth case runs. Alone, the program also writes which elements ever had a gradient that
rounding may change much.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator

import numpy as np

import dynet as dy
from dynet_optim.registry import TRAINERS

UPDATES, MINIBATCH = 50, 7
WORDS, TAGS, SIZE, HIDDEN = 60, 5, 8, 6
ADDED_AT = 20  # the update before which a parameter is added
FROZEN = range(10, 15)  # updates during which a parameter is frozen
RATES = {"AdadeltaTrainer": 1.0, "AdagradTrainer": 0.02, "RMSPropTrainer": 0.001}


def cases() -> Iterator[tuple[str, str, bool, float, float, bool]]:
    """Yield a name, the trainer, whether updates are sparse, the clipping threshold, the decay, and `average`."""
    for trainer, sparse, clip, decay, average in itertools.product(
        TRAINERS, (True, False), (0.0, 0.1), (0.0, 0.01), (False, True)
    ):
        words = trainer, "sparse" * sparse, "clipped" * bool(clip), "decay" * bool(decay), "average" * average
        yield " ".join(filter(None, words)), trainer, sparse, clip, decay, average


def made(trainer: str, model: dy.ParameterCollection) -> dy.Trainer:
    rate = RATES.get(trainer, 0.01)
    if trainer == "AdadeltaTrainer":
        return dy.AdadeltaTrainer(model, 1e-3)
    if trainer == "CyclicalSGDTrainer":
        return dy.CyclicalSGDTrainer(model, rate, 2 * rate)
    return getattr(dy, trainer)(model, rate)


class Network:
    """Lookup tables, one of which is sometimes used as a whole, a layer, and a parameter that is added later."""

    def __init__(self) -> None:
        dy.reset_random_seed(3)
        self.model = model = dy.ParameterCollection()
        self.words, self.tags = model.add_lookup_parameters((WORDS, SIZE)), model.add_lookup_parameters((TAGS, HIDDEN))
        self.W, self.b = model.add_parameters((HIDDEN, SIZE)), model.add_parameters(HIDDEN)
        self.frozen, self.added = model.add_parameters(HIDDEN), None

    def add(self) -> None:
        self.added = self.model.add_parameters(HIDDEN)

    def losses(self, examples: list[tuple[int, int]], whole: bool) -> list[dy.Expression]:
        dy.renew_cg()
        found = []
        for word, tag in examples:
            h = dy.tanh(dy.affine_transform([self.b, self.W, self.words[word]])) + self.frozen
            if self.added is not None:
                h = dy.cmult(h, self.added)
            if whole:
                scores = dy.transpose(self.tags) * h
                found.append(dy.pickneglogsoftmax(scores, tag))
            else:
                found.append(dy.squared_distance(self.tags[tag], h))
        return found


def share(minibatch: list, number: int, rank: int, size: int) -> list:
    """Return a rank's part of the data: equal parts, or random parts, some of which may be empty."""
    if number % 3 == 0:
        return minibatch[len(minibatch) * rank // size : len(minibatch) * (rank + 1) // size]
    draw = random.Random(number)
    cuts = [0, *sorted(draw.randrange(len(minibatch) + 1) for _ in range(size - 1)), len(minibatch)]
    return minibatch[cuts[rank] : cuts[rank + 1]]


def train(name: str, sparse: bool, clip: float, decay: float, average: bool) -> tuple[list, list]:
    """Return all parameters, and which gradients were small."""
    network = Network()
    model = network.model
    model.set_weight_decay(decay)
    trainer = dy.DataParallel(made(name, model), average=average, compare_every=25)
    trainer.set_clip_threshold(clip)
    trainer.set_sparse_updates(sparse)
    order = random.Random(1)
    small: dict[str, np.ndarray] = {}
    for number in range(UPDATES):
        if number == ADDED_AT:
            network.add()
        network.frozen.set_updated(number not in FROZEN)
        minibatch = [(min(int(order.expovariate(0.1)), WORDS - 1), order.randrange(TAGS)) for _ in range(MINIBATCH)]
        own = share(minibatch, number, trainer.rank, trainer.size)
        losses = network.losses(own, number % 4 == 3)
        if losses:
            loss = dy.average(losses) if average else dy.esum(losses)
            loss.backward()
        if trainer.size == 1:
            note_small_gradients(model, small)
        trainer.update(examples=len(own))
    values = [p.as_array() for p in model._all_parameters()]
    return values, [small.get(p.name(), np.zeros(v.shape, bool)) for p, v in zip(model._all_parameters(), values)]


def note_small_gradients(model: dy.ParameterCollection, small: dict[str, np.ndarray]) -> None:
    for p in model._all_parameters():
        size = np.abs(p.grad_as_array())
        known = small.setdefault(p.name(), np.zeros(size.shape, bool))
        known |= (size > 0) & (size < 1e-6 * size.max())


def main() -> None:
    found = {}
    for case, *settings in itertools.islice(cases(), 0, None, int(sys.argv[2])):
        values, small = train(*settings)
        for number, (value, marks) in enumerate(zip(values, small)):
            found[f"{case}/{number}"] = value
            found[f"{case}/{number}/small"] = marks
    if dy.DataParallel(dy.AdamTrainer(dy.ParameterCollection())).rank == 0:
        np.savez(sys.argv[1], **found)


if __name__ == "__main__":
    main()
