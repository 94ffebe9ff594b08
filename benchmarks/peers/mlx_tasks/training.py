"""Code that the MLX tasks share: LSTMs, Adam with sparse lookup updates, and steps compiled once per shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map

from peers.shapes import different_shapes
from training import CLIP, Steps

RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-8


def used_rows(numbers: np.ndarray, size: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a table that are used, padded to `size` with a spare row, and the positions of `numbers` in
    them."""
    used, places = np.unique(numbers, return_inverse=True)
    filled = np.full(size, rows, np.int32)
    filled[: len(used)] = used
    return filled, places.reshape(numbers.shape).astype(np.int32)


@mx.custom_function
def product(x, W):
    """Return x @ W."""
    return x @ W


@product.vjp
def product_gradients(inputs, gradient, _):
    """Return the gradients of x and W.

    W is transposed by a copy, because the BLAS in MLX's Linux wheels takes twice as long for a transposed factor.
    """
    x, W = inputs
    return gradient @ mx.contiguous(W.swapaxes(-1, -2)), x.swapaxes(-1, -2) @ gradient


def lstms(initial, count: int, inputs: int, hidden: int) -> tuple[np.ndarray, ...]:
    """Return the weights of LSTMs, stacked, to be multiplied from the right."""
    several = [initial.lstm(inputs, hidden) for _ in range(count)]
    Wx, Wh, b = (np.stack(arrays) for arrays in zip(*several))
    return Wx.swapaxes(1, 2).copy(), Wh.swapaxes(1, 2).copy(), b


def run_lstms(weights, xs, length: int):
    """Return the outputs of LSTMs that run side by side, for inputs of shape (LSTMs, length * sequences, size).

    Items are in the order of steps. `weights` stacks the weights of all LSTMs. Running the LSTMs of both directions
    side by side halves the number of operations, each of which costs some microseconds.
    """
    Wx, Wh, b = weights
    c = mx.zeros((len(Wh), xs.shape[1] // length, Wh.shape[1]))
    outputs = []
    for gates in mx.split(product(xs, Wx) + b[:, None], length, axis=1):
        if outputs:
            gates = gates + product(outputs[-1], Wh)
        i, f, o, g = mx.split(gates, 4, axis=-1)
        c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
        outputs.append(mx.sigmoid(o) * mx.tanh(c))
    return mx.concatenate(outputs, axis=1)


def cross_entropy(scores, answers, counts):
    """Return the sum of the losses of the rows that count."""
    losses = mx.logsumexp(scores, axis=1) - mx.take_along_axis(scores, answers[:, None], 1)[:, 0]
    return mx.sum(losses * counts)


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

    @mx.compile
    def train_step(state, batch, scales):
        dense, means, squares, tables, table_means, table_squares = state
        used = batch["used"]
        rows = take(tables, used)
        loss, gradients = mx.value_and_grad(loss_of, (0, 1))(dense, rows, batch)
        if clip:
            norm = mx.sqrt(sum(mx.sum(gradient * gradient) for _, gradient in tree_flatten(gradients)))
            gradients = tree_map(lambda gradient: gradient * mx.minimum(1, CLIP / norm), gradients)
        dense, means, squares = adam(dense, means, squares, gradients[0], scales)
        changed = adam(rows, take(table_means, used), take(table_squares, used), gradients[1], scales)
        put = [
            {name: put_rows(table, used[name], new[name]) for name, table in old.items()}
            for old, new in zip(state[3:], changed)
        ]
        return (dense, means, squares, *put), loss

    @mx.compile
    def infer_step(dense, tables, batch):
        return loss_of(dense, take(tables, batch["used"]), batch)

    dense = tree_map(mx.array, dense)
    tables = {name: mx.array(np.vstack([table, table[:1]])) for name, table in lookups.items()}  # with a spare row
    state = (*three(dense), *three(tables))
    batches = examples()
    count = 0

    def train() -> float:
        nonlocal state, count
        count += 1
        scales = mx.array([RATE / (1 - BETA_1**count), (1 - BETA_2**count) ** 0.5])
        state, loss = train_step(state, tree_map(mx.array, arrays_of(next(batches))), scales)
        mx.eval(state, loss)
        return loss.item()

    def infer() -> float:
        return infer_step(state[0], state[3], tree_map(mx.array, arrays_of(next(batches)))).item()

    def prepare(work: str) -> None:
        """Run a step of each shape, which traces it and makes MLX compile its kernels."""
        for arrays in different_shapes(map(arrays_of, examples()), minibatch):
            batch = tree_map(mx.array, arrays)
            if work == "train":
                mx.eval(train_step(state, batch, mx.ones(2)))
            else:
                mx.eval(infer_step(state[0], state[3], batch))

    return Steps(train, infer, prepare=prepare)


def three(values):
    """Return values, with zeros for their means and squares."""
    return values, tree_map(mx.zeros_like, values), tree_map(mx.zeros_like, values)


def take(tables: dict, used: dict) -> dict:
    return {name: table[used[name]] for name, table in tables.items()}


def put_rows(table, used, rows):
    """Return the table with new values in the used rows."""
    table = table[...]  # a new object, because the assignment below changes it
    table[used] = rows
    return table


def adam(values, means, squares, gradients, scales):
    """Return new values, means and squares. `scales` holds the step's rate and its correction for the squares' root."""
    rate, correction = scales[0], scales[1]
    means = tree_map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, means, gradients)
    squares = tree_map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, squares, gradients)
    values = tree_map(lambda x, m, v: x - rate * m / (mx.sqrt(v) / correction + EPSILON), values, means, squares)
    return values, means, squares
