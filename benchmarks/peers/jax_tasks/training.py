"""Code that the JAX tasks share: LSTMs as scans, Adam with sparse lookup updates, steps compiled for each shape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from peers.shapes import different_shapes
from training import CLIP, Steps

RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-8


def used_rows(numbers: np.ndarray, size: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a table that are used, padded with out-of-range rows, and the positions of `numbers` there."""
    used, places = np.unique(numbers, return_inverse=True)
    filled = np.arange(rows, rows + size, dtype=np.int32)
    filled[: len(used)] = used
    return filled, places.reshape(numbers.shape).astype(np.int32)


def lstm(initial, inputs: int, hidden: int) -> tuple[np.ndarray, ...]:
    """Return the weights of an LSTM, to be multiplied from the right."""
    Wx, Wh, b = initial.lstm(inputs, hidden)
    return Wx.T.copy(), Wh.T.copy(), b


def run_lstm(weights, xs):
    """Return the outputs of an LSTM for inputs of (length, number of sequences, size)."""
    Wx, Wh, b = weights
    hidden = Wh.shape[0]

    def step(state, x):
        h, c = state
        gates = x + h @ Wh
        i, f, o = jnp.split(jax.nn.sigmoid(gates[:, : 3 * hidden]), 3, axis=1)
        c = f * c + i * jnp.tanh(gates[:, 3 * hidden :])
        h = o * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((xs.shape[1], hidden))
    return jax.lax.scan(step, (start, start), xs @ Wx + b)[1]


def cross_entropy(scores, answers, counts):
    """Return the sum of the losses of the rows that count."""
    losses = jax.nn.logsumexp(scores, axis=1) - jnp.take_along_axis(scores, answers[:, None], 1)[:, 0]
    return jnp.sum(losses * counts)


def training_steps(
    dense: dict,
    lookups: dict[str, np.ndarray],
    examples: Callable[[], Iterator[list]],
    minibatch: int,
    arrays_of: Callable[[list], dict],
    loss_of: Callable,
    clip: bool = False,
) -> Steps:
    """Return steps with Adam.

    `examples` starts the stream of minibatches. `arrays_of` turns a minibatch into a dictionary of arrays, in which
    `used` has the rows of each lookup. `loss_of` takes dense parameters, these rows, and the dictionary.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state, batch):
        dense, means, squares, tables, table_means, table_squares, count = state
        count = count + 1
        used = batch["used"]
        rows = take(tables, used)
        loss, gradients = jax.value_and_grad(loss_of, (0, 1))(dense, rows, batch)
        if clip:
            norm = jnp.sqrt(sum(jnp.vdot(gradient, gradient) for gradient in jax.tree.leaves(gradients)))
            gradients = jax.tree.map(lambda gradient: gradient * jnp.minimum(1, CLIP / norm), gradients)
        dense, means, squares = adam(dense, means, squares, gradients[0], count)
        changed = adam(rows, take(table_means, used), take(table_squares, used), gradients[1], count)
        put = [
            {name: put_rows(table, used[name], new[name]) for name, table in old.items()}
            for old, new in zip((tables, table_means, table_squares), changed)
        ]
        return (dense, means, squares, *put, count), loss

    @jax.jit
    def infer_step(dense, tables, batch):
        return loss_of(dense, take(tables, batch["used"]), batch)

    def zeros(tree):
        return jax.tree.map(jnp.zeros_like, tree)

    dense, lookups = jax.tree.map(jnp.array, (dense, lookups))
    state = (dense, zeros(dense), zeros(dense), lookups, zeros(lookups), zeros(lookups), jnp.int32(0))

    batches = examples()

    def train() -> float:
        nonlocal state
        state, loss = train_step(state, arrays_of(next(batches)))
        return float(loss)

    def infer() -> float:
        return float(infer_step(state[0], state[3], arrays_of(next(batches))))

    def prepare(work: str) -> None:
        for arrays in different_shapes(map(arrays_of, examples()), minibatch):
            if work == "train":
                train_step(jax.tree.map(jnp.copy, state), arrays)
            else:
                infer_step(state[0], state[3], arrays)

    return Steps(train, infer, prepare=prepare)


def take(tables: dict, used: dict) -> dict:
    return {name: table.at[used[name]].get(mode="clip", indices_are_sorted=True) for name, table in tables.items()}


def put_rows(table, used, rows):
    """Return the table with new values in the used rows; out-of-range rows are dropped."""
    return table.at[used].set(rows, mode="drop", indices_are_sorted=True, unique_indices=True)


def adam(values, means, squares, gradients, count):
    """Return new values, means and squares."""
    means = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, means, gradients)
    squares = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, squares, gradients)
    rate, correction = RATE / (1 - BETA_1**count), jnp.sqrt(1 - BETA_2**count)
    values = jax.tree.map(lambda x, m, v: x - rate * m / (jnp.sqrt(v) / correction + EPSILON), values, means, squares)
    return values, means, squares
