"""xor in JAX: a minibatch is one matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from tasks.xor import HIDDEN, examples

from .training import training_steps


def make(initial, minibatch, seed):
    W, b, V, c = (initial.parameter(*dim) for dim in ((HIDDEN, 2), (HIDDEN,), (1, HIDDEN), (1,)))

    def arrays_of(batch):
        inputs, answers = zip(*batch)
        return {"inputs": np.array(inputs, np.float32), "answers": np.array(answers, np.float32), "used": {}}

    def loss_of(dense, rows, batch):
        hidden = jnp.tanh(batch["inputs"] @ dense["W"].T + dense["b"])
        guesses = jax.nn.sigmoid(hidden @ dense["V"].T + dense["c"])
        return jnp.sum(jnp.square(guesses[:, 0] - batch["answers"]))

    dense = {"W": W, "b": b, "V": V, "c": c}
    return training_steps(dense, {}, lambda: examples(minibatch, seed), minibatch, arrays_of, loss_of)
