"""The language model in JAX: padded sequences, and one product for the scores of all words."""

import numpy as np

from peers.padding import Padded
from peers.shapes import rounded
from synthetic import VOCABULARY
from tasks.rnnlm import EMBEDDING, END, HIDDEN, examples

from .training import cross_entropy, lstm, run_lstm, training_steps, used_rows


def make(initial, minibatch, seed):
    lookups = {"words": initial.lookup(VOCABULARY, EMBEDDING)}
    dense = {
        "lstm": lstm(initial, EMBEDDING, HIDDEN),
        "W": initial.parameter(VOCABULARY, HIDDEN).T.copy(),
        "b": initial.parameter(VOCABULARY),
    }

    def arrays_of(batch):
        padded = Padded([len(sentence) for sentence in batch], rounded(len(batch[0])))
        targets = padded.spread(np.concatenate(batch), padded.forward, END)
        previous = np.roll(targets, 1, axis=0)
        previous[0] = END
        used, places = used_rows(previous, previous.size, VOCABULARY)
        counts = np.zeros(previous.size, np.float32)
        counts[padded.forward] = 1
        return {
            "used": {"words": used},
            "places": places,
            "targets": targets.reshape(-1).astype(np.int32),
            "counts": counts,
        }

    def loss_of(dense, rows, batch):
        states = run_lstm(dense["lstm"], rows["words"][batch["places"]]).reshape(-1, HIDDEN)
        return cross_entropy(states @ dense["W"] + dense["b"], batch["targets"], batch["counts"])

    return training_steps(dense, lookups, lambda: examples(minibatch, seed), minibatch, arrays_of, loss_of)
