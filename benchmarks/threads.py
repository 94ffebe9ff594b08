"""Times one thread and all of this process's threads alternately on the same work, and prints one table.

    python benchmarks/threads.py --rounds 15

Each round runs every task once with one thread and once with several. Figures are wall time, medians over the rounds.
The tasks "whole ..." are complete training steps of `tasks/`, including the recording of graphs, which uses one thread.
They run a few steps in a row, the first of which is not timed: threads that were idle during the one-thread turn are
asleep, but would be awake in a program that trains. Each thread count trains its own model, on the same minibatches.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import random
import statistics
import time
from collections.abc import Callable

import numpy as np

import dynet as dy
from dynet_kernels.machine import sharing

Task = Callable[[], float]
"""Does some work and returns the seconds it took."""
SMALL = 200  # how many graphs of a few nodes are timed together
STEPS = 4  # how many whole training steps are timed together
WHOLE = {
    "tagger": "tagger",
    "treelstm 128": "treelstm",
    "treelstm 256": "treelstm",
    "parser, blind": "parser",
    "rnnlm": "rnnlm",
}
"""The rows of `tasks/` whose whole steps are timed, and their files."""


def training(model: dy.ParameterCollection, loss: Callable[[], dy.Expression], update: bool = True) -> Task:
    """Return a step: forward, backward and Adam. Recording the graph, which runs Python, is not timed."""
    trainer = dy.AdamTrainer(model)

    def step() -> float:
        dy.renew_cg()
        total = loss()
        began = time.perf_counter()
        total.value()
        total.backward()
        if update:
            trainer.update()
        return time.perf_counter() - began

    return step


def rnnlm(sentences: int = 64, length: int = 20, words: int = 10_000) -> Task:
    """An LSTM language model, with the sentences in the batch dimension."""
    model = dy.ParameterCollection()
    lstm = dy.VanillaLSTMBuilder(1, 128, 256, model)
    table = model.add_lookup_parameters((words, 128))
    W, b = model.add_parameters((words, 256)), model.add_parameters(words)
    draw = np.random.default_rng(1).integers(0, words, (length + 1, sentences)).tolist()

    def loss():
        states = lstm.initial_state().transduce([dy.lookup_batch(table, row) for row in draw[:-1]])
        scores = [dy.affine_transform([b, W, h]) for h in states]
        losses = [dy.pickneglogsoftmax_batch(score, row) for score, row in zip(scores, draw[1:])]
        return dy.sum_batches(dy.esum(losses))

    return training(model, loss)


def mlp(width: int = 1024, layers: int = 3, batch: int = 64) -> Task:
    """Wide layers on a minibatch."""
    model = dy.ParameterCollection()
    pairs = [(model.add_parameters((width, width)), model.add_parameters(width)) for _ in range(layers)]
    x = np.random.default_rng(1).normal(size=(width, batch)).astype(np.float32)

    def loss():
        h = dy.inputTensor(x, batched=True)
        for W, b in pairs:
            h = dy.rectify(dy.affine_transform([b, W, h]))
        return dy.sum_batches(dy.squared_norm(h))

    return training(model, loss, update=False)


def tagger(sentences: int = 64, length: int = 20, units: int = 128) -> Task:
    """A BiLSTM tagger on many sentences in one graph."""
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((10_000, 128))
    forwards, backwards = (dy.VanillaLSTMBuilder(1, 128, units, model) for _ in range(2))
    W, V = model.add_parameters((64, 2 * units)), model.add_parameters((20, 64))
    draw = random.Random(1)
    words = [[draw.randrange(10_000) for _ in range(length)] for _ in range(sentences)]

    def loss():
        losses = []
        for sentence in words:
            xs = [table[word] for word in sentence]
            there = forwards.initial_state().transduce(xs)
            back = reversed(backwards.initial_state().transduce(xs[::-1]))
            for word, one, other in zip(sentence, there, back):
                losses.append(dy.pickneglogsoftmax(V * dy.tanh(W * dy.concatenate([one, other])), word % 20))
        return dy.esum(losses)

    return training(model, loss, update=False)


def treelstm(trees: int = 64, leaves: int = 16) -> Task:
    """Binary trees in one graph, bottom up."""
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((1000, 128))
    W, U = model.add_parameters((256, 128)), model.add_parameters((256, 512))
    V = model.add_parameters((5, 256))

    def loss():
        losses = []
        for tree in range(trees):
            row = [dy.tanh(W * table[(tree + leaf) % 1000]) for leaf in range(leaves)]
            while len(row) > 1:
                row = [dy.tanh(U * dy.concatenate(row[k : k + 2])) for k in range(0, len(row), 2)]
                losses += [dy.pickneglogsoftmax(V * node, k % 5) for k, node in enumerate(row)]
        return dy.esum(losses)

    return training(model, loss, update=False)


def adam(tensors: int = 10, size: int = 1000) -> Task:
    """Updates alone, with ten million parameters."""
    model = dy.ParameterCollection()
    for _ in range(tensors):
        model.add_parameters((size, size))
    trainer = dy.AdamTrainer(model)
    trainer.set_clip_threshold(0)

    def step() -> float:
        began = time.perf_counter()
        trainer.update()
        return time.perf_counter() - began

    return step


def xor() -> Task:
    """An MLP with 8 hidden units."""
    model = dy.ParameterCollection()
    W, b, V = model.add_parameters((8, 2)), model.add_parameters(8), model.add_parameters((1, 8))

    def loss():
        score = V * dy.tanh(dy.affine_transform([b, W, dy.inputVector([1, 0])]))
        return dy.binary_log_loss(dy.logistic(score), dy.scalarInput(1))

    step = training(model, loss)
    return lambda: sum(step() for _ in range(SMALL))


def small() -> Task:
    """Three nodes."""

    def step() -> float:
        began = time.perf_counter()
        for _ in range(SMALL):
            dy.renew_cg()
            dy.sum_elems(dy.tanh(dy.inputVector([1, 2]))).value()
        return time.perf_counter() - began

    return step


def whole(row: str, sentences: int = 64) -> Task:
    """Whole training steps: recording, both passes and Adam."""
    module = importlib.import_module(f"tasks.{WHOLE[row]}")
    (options,) = [options for name, _, options in module.ROWS if name == row]
    train = module.make(dy, sentences, seed=1, **options).train

    def some_steps() -> float:
        train()
        began = time.perf_counter()
        for _ in range(STEPS):
            train()
        return (time.perf_counter() - began) / STEPS

    return some_steps


TASKS: dict[str, Callable[[], Task]] = {
    **{task.__name__: task for task in (rnnlm, mlp, tagger, treelstm, adam, xor, small)},
    **{f"whole {row}": functools.partial(whole, row) for row in WHOLE},
}


def compare(make: Callable[[], Task], threads: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a task with one thread and with several, measured alternately."""
    tasks = {count: make() for count in (1, threads)}
    spent: dict[int, list[float]] = {1: [], threads: []}
    for number in range(rounds + 2):
        for count in (1, threads) if number % 2 else (threads, 1):
            sharing.use(count)
            sharing.start_helpers_if_wanted()  # only graphs start threads; updates alone do not
            seconds = tasks[count]()
            if number > 1:  # the first rounds only warm up
                spent[count].append(seconds)
    return statistics.median(spent[1]), statistics.median(spent[threads])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each task is timed with each number of threads"
    )
    parser.add_argument("--threads", type=int, default=max(2, sharing.default_threads()), help="how many, against one")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="which tasks to run")
    arguments = parser.parse_args()
    print(f"| task | 1 thread, ms | {arguments.threads} threads, ms | ratio |\n|---|---|---|---|")
    for name in arguments.tasks:
        alone, together = compare(TASKS[name], arguments.threads, arguments.rounds)
        print(f"| {name} | {1e3 * alone:.2f} | {1e3 * together:.2f} | {alone / together:.2f} |", flush=True)


if __name__ == "__main__":
    main()
