"""The tagger in torch: sentences padded for the LSTMs, and one product for the scores of all words."""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.tagger import EMBEDDING, HIDDEN, MLP, TAGS, examples

from .training import BothWays, Lookup, training_steps, weight


def make(initial, minibatch, seed, by_length=True, clip=False):
    words = Lookup(initial.lookup(VOCABULARY, EMBEDDING))
    reader = BothWays(initial, EMBEDDING, HIDDEN)
    H, O = weight(initial.parameter(MLP, 2 * HIDDEN)), weight(initial.parameter(TAGS, MLP))  # noqa: E741

    def loss_of(batch):
        padded = Padded([len(sentence) for sentence in batch])
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        places = words.use(numbers)
        read = [words(padded.spread(places, order)) for order in (padded.forward, padded.backward)]
        hidden = torch.tanh(F.linear(reader.at_items(*read, padded), H))
        return F.cross_entropy(F.linear(hidden, O), torch.from_numpy(tags.copy()), reduction="sum")

    parameters, batches = [*reader.parameters(), H, O], examples(minibatch, seed, by_length)
    return training_steps(parameters, [words], batches, loss_of, clip)
