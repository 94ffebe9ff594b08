"""The tagger in JAX: sentences padded for the LSTMs, and one product for the scores of all words."""

import jax.numpy as jnp
import numpy as np

from peers.padding import Padded
from peers.shapes import rounded
from synthetic import VOCABULARY
from tasks.tagger import EMBEDDING, HIDDEN, MLP, TAGS, examples

from .training import cross_entropy, lstm, run_lstm, training_steps, used_rows


def make(initial, minibatch, seed, by_length=True, clip=False):
    lookups = {"words": initial.lookup(VOCABULARY, EMBEDDING)}
    dense = {
        "forward": lstm(initial, EMBEDDING, HIDDEN),
        "backward": lstm(initial, EMBEDDING, HIDDEN),
        "H": initial.parameter(MLP, 2 * HIDDEN),
        "O": initial.parameter(TAGS, MLP),
    }

    def arrays_of(batch):
        lengths = [len(sentence) for sentence in batch]
        padded = Padded(lengths, rounded(max(lengths)))
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        size = padded.rows * padded.columns
        used, places = used_rows(numbers, size, VOCABULARY)
        return {
            "used": {"words": used},
            **both_orders(padded, places),
            "tags": padded.spread(tags, padded.forward).reshape(-1).astype(np.int32),
        }

    def loss_of(dense, rows, batch):
        read = read_both_ways(dense["forward"], dense["backward"], rows["words"], batch)
        hidden = jnp.tanh(read @ dense["H"].T)
        return cross_entropy(hidden @ dense["O"].T, batch["tags"], batch["counts"])

    def batches():
        return examples(minibatch, seed, by_length)

    return training_steps(dense, lookups, batches, minibatch, arrays_of, loss_of, clip)


def both_orders(padded: Padded, places: np.ndarray) -> dict[str, np.ndarray]:
    """Return the positions of vectors in both orders, the first order's items in the second, and which items count."""
    back = np.zeros(padded.rows * padded.columns, np.int32)
    counts = np.zeros(back.size, np.float32)
    back[padded.forward] = padded.backward
    counts[padded.forward] = 1
    return {
        "places": padded.spread(places, padded.forward).astype(np.int32),
        "reversed": padded.spread(places, padded.backward).astype(np.int32),
        "back": back,
        "counts": counts,
    }


def read_both_ways(forward, backward, vectors, batch):
    """Return the outputs of both LSTMs side by side, one row for each item in the first order."""
    before = run_lstm(forward, vectors[batch["places"]])
    after = run_lstm(backward, vectors[batch["reversed"]])
    size = before.shape[0] * before.shape[1]
    return jnp.concatenate([before.reshape(size, -1), after.reshape(size, -1)[batch["back"]]], axis=1)
