"""The translator in torch: padded sentences, and each decoder step for all sentences of a minibatch together.

Everything that does not depend on the decoder's state is computed before its steps, in one product for all steps. The
scores of all target words are computed after the steps in the same way.
"""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.seq2seq import ATTENTION, EMBEDDING, END, HIDDEN, READOUT, TARGETS, examples

from .training import BothWays, Lookup, training_steps, weight


class Translator:
    """The network.

    Its `memory` of a minibatch holds the states of all words, (sentences, words, 2 * HIDDEN), their projection for the
    attention, and a mask that is -inf where a sentence has no word, or None.
    """

    def __init__(self, initial):
        self.sources = Lookup(initial.lookup(VOCABULARY, EMBEDDING))
        self.targets = Lookup(initial.lookup(TARGETS, EMBEDDING))
        self.reader = BothWays(initial, EMBEDDING, HIDDEN)
        Wx, Wh, b = initial.lstm(EMBEDDING + 2 * HIDDEN, HIDDEN)  # gates i, f, o, g
        self.from_word, self.b = weight(Wx[:, :EMBEDDING].copy()), weight(b)
        self.from_context_and_h = weight(np.concatenate([Wx[:, EMBEDDING:], Wh], 1))
        self.start = weight(initial.parameter(HIDDEN, 2 * HIDDEN))
        self.key = weight(initial.parameter(ATTENTION, 2 * HIDDEN))
        self.query = weight(initial.parameter(ATTENTION, HIDDEN))
        self.energy = weight(initial.parameter(1, ATTENTION))
        self.R, self.r = weight(initial.parameter(READOUT, 3 * HIDDEN)), weight(initial.parameter(READOUT))
        self.W, self.c = weight(initial.parameter(TARGETS, READOUT)), weight(initial.parameter(TARGETS))

    def parameters(self):
        own = [self.from_word, self.from_context_and_h, self.b, self.start, self.key, self.query, self.energy]
        return [*self.reader.parameters(), *own, self.R, self.r, self.W, self.c]

    def read(self, sentences):
        """Return the memory, and the decoder's first h and c."""
        padded = Padded([len(sentence) for sentence in sentences])
        places = self.sources.use(np.concatenate(sentences))
        read = [self.sources(padded.spread(places, order)) for order in (padded.forward, padded.backward)]
        states = self.reader.at_items(*read, padded)
        c = F.linear(states.index_select(0, torch.from_numpy(padded.starts)), self.start)
        rows = padded.spread(np.arange(len(places)), padded.forward, padding=-1).T
        keys = F.linear(states, self.key)
        mask = None
        if (rows < 0).any():
            mask = torch.zeros(rows.shape).masked_fill_(torch.from_numpy(rows < 0), -torch.inf)
        rows = torch.from_numpy(rows.clip(min=0))
        return (F.embedding(rows, states), F.embedding(rows, keys), mask), torch.tanh(c), c

    def gates_of(self, vectors):
        """Return what target words, given their vectors, add to the gates of the next step."""
        return F.linear(vectors, self.from_word, self.b)

    def step(self, memory, h, c, gates):
        """Return the next h and c, and the context they were computed from."""
        states, keys, mask = memory
        energies = torch.tanh(keys + F.linear(h, self.query).unsqueeze(1)) @ self.energy[0]
        weights = torch.softmax(energies if mask is None else energies + mask, 1)
        context = (weights.unsqueeze(1) @ states).squeeze(1)
        gates = torch.addmm(gates, torch.cat([context, h], 1), self.from_context_and_h.T)
        sigmoids, candidate = gates.split([3 * HIDDEN, HIDDEN], 1)
        i, f, o = torch.sigmoid(sigmoids).chunk(3, 1)
        c = torch.addcmul(f * c, i, torch.tanh(candidate))
        return o * torch.tanh(c), c, context

    def scores(self, h, context):
        return F.linear(torch.tanh(F.linear(torch.cat([h, context], -1), self.R, self.r)), self.W, self.c)


def make(initial, minibatch, seed):
    translator = Translator(initial)

    def loss_of(batch):
        sentences, translations = zip(*batch)
        memory, h, c = translator.read(sentences)
        padded = Padded([len(translation) for translation in translations])
        words = np.concatenate(translations)
        previous = np.roll(padded.spread(words, padded.forward, END), 1, axis=0)
        previous[0] = END
        vectors = translator.targets(translator.targets.use(previous))
        outputs = []
        for gates in translator.gates_of(vectors):
            h, c, context = translator.step(memory, h, c, gates)
            outputs.append((h, context))
        h, context = (torch.cat(parts).index_select(0, torch.from_numpy(padded.forward)) for parts in zip(*outputs))
        return F.cross_entropy(translator.scores(h, context), torch.from_numpy(words), reduction="sum")

    lookups = [translator.sources, translator.targets]
    return training_steps(translator.parameters(), lookups, examples(minibatch, seed), loss_of)
