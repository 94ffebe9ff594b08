"""The language model in torch: padded sequences, and one product for the scores of all words that count."""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.rnnlm import EMBEDDING, END, HIDDEN, examples

from .training import Lookup, lstm, trained, training_steps, weight


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, EMBEDDING))
    network = lstm(initial, EMBEDDING, HIDDEN)
    W, b = weight(initial.parameter(VOCABULARY, HIDDEN)), weight(initial.parameter(VOCABULARY))

    def loss_of(batch):
        padded = Padded([len(sentence) for sentence in batch])
        targets = np.concatenate(batch)
        previous = np.roll(padded.spread(targets, padded.forward, END), 1, axis=0)
        previous[0] = END
        states = network(words(words.use(previous)))[0].flatten(0, 1)
        if len(targets) < len(states):
            states = states.index_select(0, torch.from_numpy(padded.forward))
        return F.cross_entropy(F.linear(states, W, b), torch.from_numpy(targets), reduction="sum")

    return training_steps([*trained(network), W, b], [words], examples(minibatch, seed), loss_of)
