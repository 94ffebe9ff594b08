"""The tagger in MLX: sentences padded for the LSTMs, and one product for the scores of all words."""

import mlx.core as mx
import numpy as np

from peers.padding import Padded
from peers.shapes import rounded
from synthetic import VOCABULARY
from tasks.tagger import EMBEDDING, HIDDEN, MLP, TAGS, examples

from .training import cross_entropy, lstms, product, run_lstms, training_steps, used_rows


def make(initial, minibatch, seed, by_length=True, clip=False):
    lookups = {"words": initial.lookup(VOCABULARY, EMBEDDING)}
    dense = {
        "lstms": lstms(initial, 2, EMBEDDING, HIDDEN),
        "H": initial.parameter(MLP, 2 * HIDDEN).T.copy(),
        "O": initial.parameter(TAGS, MLP).T.copy(),
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
        read = read_both_ways(dense["lstms"], rows["words"], batch, minibatch)
        hidden = mx.tanh(product(read, dense["H"]))
        return cross_entropy(product(hidden, dense["O"]), batch["tags"], batch["counts"])

    def batches():
        return examples(minibatch, seed, by_length)

    return training_steps(dense, lookups, batches, minibatch, arrays_of, loss_of, clip)


def both_orders(padded: Padded, places: np.ndarray) -> dict[str, np.ndarray]:
    """Return the positions of vectors in both orders, the first order's items in the second, and which items count."""
    back = np.zeros(padded.rows * padded.columns, np.int32)
    counts = np.zeros(back.size, np.float32)
    orders = padded.forward, padded.backward
    back[padded.forward] = padded.backward
    counts[padded.forward] = 1
    return {
        "places": np.stack([padded.spread(places, order).reshape(-1) for order in orders]).astype(np.int32),
        "back": back,
        "counts": counts,
    }


def read_both_ways(weights, vectors, batch, minibatch: int):
    """Return the outputs of both LSTMs side by side, one row for each item in the first order."""
    length = len(batch["back"]) // minibatch
    before, after = run_lstms(weights, vectors[batch["places"]], length)
    return mx.concatenate([before, after[batch["back"]]], axis=1)
