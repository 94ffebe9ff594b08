"""xor in MLX: a minibatch is one matrix."""

import mlx.core as mx
import numpy as np

from tasks.xor import HIDDEN, examples

from .training import training_steps


def make(initial, minibatch, seed):
    W, b, V, c = (initial.parameter(*dim) for dim in ((HIDDEN, 2), (HIDDEN,), (1, HIDDEN), (1,)))

    def arrays_of(batch):
        inputs, answers = zip(*batch)
        return {"inputs": np.array(inputs, np.float32), "answers": np.array(answers, np.float32), "used": {}}

    def loss_of(dense, rows, batch):
        hidden = mx.tanh(batch["inputs"] @ dense["W"].T + dense["b"])
        guesses = mx.sigmoid(hidden @ dense["V"].T + dense["c"])
        return mx.sum(mx.square(guesses[:, 0] - batch["answers"]))

    dense = {"W": W, "b": b, "V": V, "c": c}
    return training_steps(dense, {}, lambda: examples(minibatch, seed), minibatch, arrays_of, loss_of)
