"""The blind parser in JAX: padded sentences, and one product for the scores of all transitions of a minibatch.

The parser that reads its scores is left out; the package's docstring gives the reason.
"""

import jax.numpy as jnp
import numpy as np

from peers.padding import Padded
from peers.parses import WORDS, parses
from peers.shapes import rounded
from synthetic import VOCABULARY
from tasks.parser import EMBEDDING, HIDDEN, MLP, TRANSITIONS, examples

from .tagger import both_orders, read_both_ways
from .training import cross_entropy, lstm, training_steps, used_rows


def make(initial, minibatch, seed, read, by_length=True):
    if read:
        return None
    lookups = {"words": initial.lookup(VOCABULARY, EMBEDDING)}
    sizes = [(EMBEDDING, HIDDEN)] * 2 + [(2 * HIDDEN, HIDDEN)] * 2
    dense = {"lstms": [lstm(initial, *size) for size in sizes]}
    shapes = {
        "nothing": (2 * HIDDEN,),
        "W": (MLP, WORDS * 2 * HIDDEN),
        "b": (MLP,),
        "V": (TRANSITIONS, MLP),
        "c": (TRANSITIONS,),
    }
    dense |= {name: initial.parameter(*shape) for name, shape in shapes.items()}

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
        lstms = dense["lstms"]
        states = read_both_ways(*lstms[:2], rows["words"], batch["first"])
        states = read_both_ways(*lstms[2:], states, batch["second"])
        states = jnp.concatenate([states, dense["nothing"][None]])[batch["states"]].reshape(len(batch["states"]), -1)
        scores = jnp.tanh(states @ dense["W"].T + dense["b"]) @ dense["V"].T + dense["c"]
        return cross_entropy(scores, batch["transitions"], batch["counts"])

    return training_steps(dense, lookups, lambda: examples(minibatch, seed, by_length), minibatch, arrays_of, loss_of)
