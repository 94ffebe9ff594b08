"""The CRF tagger in torch: sentences padded for the LSTMs, and one forward algorithm for the whole minibatch.

The forward algorithm multiplies probabilities instead of adding logarithms, and divides them by their sum at every word
to keep them in range. Compared with `logsumexp` at every word, this takes half the time with 64 sentences and two
thirds with one. Sentences are sorted by length, so those that still have a word k come first in the minibatch, and no
mask is needed.
"""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.crf import EMBEDDING, HIDDEN, MLP, TAGS, examples

from .training import BothWays, Lookup, training_steps, weight


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, EMBEDDING))
    reader = BothWays(initial, EMBEDDING, HIDDEN)
    H, O = weight(initial.parameter(MLP, 2 * HIDDEN)), weight(initial.parameter(TAGS, MLP))  # noqa: E741
    pairs, first, last = (weight(initial.parameter(*dim)) for dim in ((TAGS, TAGS), (TAGS,), (TAGS,)))

    def log_sum(scores, padded):
        """Return the sum of log Z over all sentences."""
        live = (padded.lengths > np.arange(padded.rows)[:, None]).sum(1)  # how many sentences have a word k
        word_by_word = torch.from_numpy(np.argsort(padded.forward))
        greatest = scores.detach().amax(1, keepdim=True)
        factors, *rest = (scores - greatest).exp().index_select(0, word_by_word).split(live.tolist())
        alpha, steps = first.exp() * factors, pairs.exp()
        ended, sums = [], []
        for factors in rest:
            if len(factors) < len(alpha):
                alpha, done = alpha.split([len(factors), len(alpha) - len(factors)])
                ended.append(done)
            alpha = (alpha @ steps) * factors
            sums.append(alpha.detach().sum(1, keepdim=True))
            alpha = alpha / sums[-1]
        left = torch.cat([*ended, alpha]) @ last.exp()
        return left.log().sum() + torch.cat(sums).log().sum() + greatest.sum()

    def right_score(scores, tags, padded):
        ends = padded.starts + padded.lengths - 1
        steps = np.delete(tags[:-1] * TAGS + tags[1:], ends[:-1])  # without steps across sentences
        taken = [np.arange(len(tags)) * TAGS + tags, steps, tags[padded.starts], tags[ends]]
        values = scores.flatten(), pairs.flatten(), first, last
        return sum(value.index_select(0, torch.from_numpy(places)).sum() for value, places in zip(values, taken))

    def loss_of(batch):
        padded = Padded([len(sentence) for sentence in batch])
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        places = words.use(numbers)
        read = [words(padded.spread(places, order)) for order in (padded.forward, padded.backward)]
        scores = F.linear(torch.tanh(F.linear(reader.at_items(*read, padded), H)), O)
        return log_sum(scores, padded) - right_score(scores, tags, padded)

    parameters = [*reader.parameters(), H, O, pairs, first, last]
    return training_steps(parameters, [words], examples(minibatch, seed), loss_of)
