"""The tagger with characters in torch: all rare words of a minibatch are encoded in one batch."""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from tasks.tagger_char import CHAR_EMBEDDING, CHARACTERS, EMBEDDING, FREQUENT, HIDDEN, MLP, TAGS, examples

from .training import BothWays, Lookup, training_steps, weight


def make(initial, minibatch, seed, by_length=True):
    words = Lookup(initial.lookup(FREQUENT, EMBEDDING))
    chars = Lookup(initial.lookup(CHARACTERS, CHAR_EMBEDDING))
    speller = BothWays(initial, CHAR_EMBEDDING, EMBEDDING // 2)
    reader = BothWays(initial, EMBEDDING, HIDDEN)
    H, O = weight(initial.parameter(MLP, 2 * HIDDEN)), weight(initial.parameter(TAGS, MLP))  # noqa: E741
    spelling, batches = examples(minibatch, seed, by_length)

    def spelt(rare):
        letters = [spelling[word] for word in rare]
        padded = Padded([len(word) for word in letters])
        places = chars.use(np.concatenate(letters))
        read = [chars(padded.spread(places, order)) for order in (padded.forward, padded.backward)]
        last = torch.from_numpy(padded.last)
        return torch.cat([output.index_select(0, last) for output in speller.run(*read)], 1)

    def loss_of(batch):
        padded = Padded([len(sentence) for sentence in batch])
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        is_rare = numbers >= FREQUENT
        places = np.zeros_like(numbers)
        places[~is_rare] = words.use(numbers[~is_rare])
        vectors = words.rows
        if is_rare.any():
            places[is_rare] = len(vectors) + np.arange(is_rare.sum())
            vectors = torch.cat([vectors, spelt(numbers[is_rare])])
        read = [
            F.embedding(torch.from_numpy(padded.spread(places, order)), vectors)
            for order in (padded.forward, padded.backward)
        ]
        hidden = torch.tanh(F.linear(reader.at_items(*read, padded), H))
        return F.cross_entropy(F.linear(hidden, O), torch.from_numpy(tags.copy()), reduction="sum")

    parameters = [*speller.parameters(), *reader.parameters(), H, O]
    return training_steps(parameters, [words, chars], batches, loss_of)
