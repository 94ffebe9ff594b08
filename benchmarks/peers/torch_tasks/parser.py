"""The parser in torch: padded sentences. If blind, one product gives the scores of all transitions of a minibatch.

The parser that reads its scores requests them one transition at a time, and computes its loss from all of them at the
end.
"""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from peers.parses import WORDS, parses
from synthetic import VOCABULARY
from tasks.parser import EMBEDDING, HIDDEN, MLP, TRANSITIONS, examples

from .training import BothWays, Lookup, training_steps, weight


def make(initial, minibatch, seed, read, by_length=True):
    words = Lookup(initial.lookup(VOCABULARY, EMBEDDING))
    readers = BothWays(initial, EMBEDDING, HIDDEN), BothWays(initial, 2 * HIDDEN, HIDDEN)
    nothing = weight(initial.parameter(2 * HIDDEN))
    W, b = weight(initial.parameter(MLP, WORDS * 2 * HIDDEN)), weight(initial.parameter(MLP))
    V, c = weight(initial.parameter(TRANSITIONS, MLP)), weight(initial.parameter(TRANSITIONS))

    def states_of(batch):
        """Return a row for each word of the minibatch, with `nothing` last."""
        padded = Padded([len(sentence) for sentence, _ in batch])
        places = words.use(np.concatenate([sentence for sentence, _ in batch]))
        vectors = words.rows
        first, second = readers
        forward, backward = (
            F.embedding(torch.from_numpy(padded.spread(places, order)), vectors)
            for order in (padded.forward, padded.backward)
        )
        states = first.at_items(forward, backward, padded)
        rows = np.arange(len(places))
        forward, backward = (
            F.embedding(torch.from_numpy(padded.spread(rows, order)), states)
            for order in (padded.forward, padded.backward)
        )
        return torch.cat([second.at_items(forward, backward, padded), nothing.unsqueeze(0)])

    def scores_of(states, places):
        state = states.index_select(0, torch.tensor(places)).view(-1, WORDS * 2 * HIDDEN)
        return F.linear(torch.tanh(F.linear(state, W, b)), V, c)

    def loss_of(batch):
        states = states_of(batch)
        transitions = [transition for _, sentence in batch for transition in sentence]
        if read:
            mistakes, scores = 0, []
            for places, transition in zip(parses(batch), transitions):
                scores.append(scores_of(states, places))
                mistakes += scores[-1].argmax().item() != transition
            scores = torch.cat(scores)
        else:
            scores = scores_of(states, [place for places in parses(batch) for place in places])
        return F.cross_entropy(scores, torch.tensor(transitions), reduction="sum")

    parameters = [*readers[0].parameters(), *readers[1].parameters(), nothing, W, b, V, c]
    return training_steps(parameters, [words], examples(minibatch, seed, by_length), loss_of)
