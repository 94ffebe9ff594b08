"""The blind parser in MLX: padded sentences, and one product for the scores of all transitions of a minibatch.

The parser that reads its scores is left out; the package's docstring gives the reason.
"""

import mlx.core as mx
import numpy as np

from peers.padding import Padded
from peers.parses import WORDS, parses
from peers.shapes import rounded
from synthetic import VOCABULARY
from tasks.parser import EMBEDDING, HIDDEN, MLP, TRANSITIONS, examples

from .tagger import both_orders, read_both_ways
from .training import cross_entropy, lstms, product, training_steps, used_rows


def make(initial, minibatch, seed, read, by_length=True):
    if read:
        return None
    lookups = {"words": initial.lookup(VOCABULARY, EMBEDDING)}
    dense = {
        "first": lstms(initial, 2, EMBEDDING, HIDDEN),
        "second": lstms(initial, 2, 2 * HIDDEN, HIDDEN),
        "nothing": initial.parameter(2 * HIDDEN),
        "W": initial.parameter(MLP, WORDS * 2 * HIDDEN).T.copy(),
        "b": initial.parameter(MLP),
        "V": initial.parameter(TRANSITIONS, MLP).T.copy(),
        "c": initial.parameter(TRANSITIONS),
    }

    def arrays_of(batch):
        lengths = [len(sentence) for sentence, _ in batch]
        padded = Padded(lengths, rounded(max(lengths)))
        size = padded.rows * padded.columns
        used, places = used_rows(np.concatenate([sentence for sentence, _ in batch]), size, VOCABULARY)
        row_of = np.append(padded.forward, size)
        states = np.full((2 * size, WORDS), size, np.int32)
        answers, counts = np.zeros(2 * size, np.int32), np.zeros(2 * size, np.float32)
        transitions = [transition for _, sentence in batch for transition in sentence]
        states[: len(transitions)] = row_of[np.array(list(parses(batch)))]
        answers[: len(transitions)] = transitions
        counts[: len(transitions)] = 1
        return {
            "used": {"words": used},
            "first": both_orders(padded, places),
            "second": both_orders(padded, padded.forward),
            "states": states,
            "transitions": answers,
            "counts": counts,
        }

    def loss_of(dense, rows, batch):
        states = read_both_ways(dense["first"], rows["words"], batch["first"], minibatch)
        states = read_both_ways(dense["second"], states, batch["second"], minibatch)
        states = mx.concatenate([states, dense["nothing"][None]])[batch["states"]].reshape(len(batch["states"]), -1)
        hidden = mx.tanh(product(states, dense["W"]) + dense["b"])
        return cross_entropy(product(hidden, dense["V"]) + dense["c"], batch["transitions"], batch["counts"])

    return training_steps(dense, lookups, lambda: examples(minibatch, seed, by_length), minibatch, arrays_of, loss_of)
