"""The TreeLSTM of LSTMs in torch, level by level: the LSTMs of all nodes of a level step together.

The first step of an LSTM has the same result at all inner nodes and is computed once.
"""

import torch
from torch.nn import functional as F

from synthetic import VOCABULARY
from tasks.treelstm import CLASSES, examples
from tasks.treelstm_lstm_builder import SIZE

from .training import Lookup, training_steps, weight
from .treelstm import labels_of, levels_of, places_of, states_of, words_of


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, SIZE))
    Wx, Wh, b = (weight(values) for values in initial.lstm(SIZE, SIZE))
    phrase, classes = weight(initial.parameter(SIZE)), weight(initial.parameter(CLASSES, SIZE))

    def first_step(x):
        gates, g = F.linear(x, Wx, b).split([3 * SIZE, SIZE], -1)
        i, _, o = torch.sigmoid(gates).chunk(3, -1)
        c = i * torch.tanh(g)
        return o * torch.tanh(c), c

    def step(gates, c):
        gates, g = gates.split([3 * SIZE, SIZE], 1)
        i, f, o = torch.sigmoid(gates).chunk(3, 1)
        c = torch.addcmul(f * c, i, torch.tanh(g))
        return o * torch.tanh(c), c

    def read_leaves(level):
        return first_step(words(words.use(words_of(level))))[:1]

    def loss_of(batch):
        h0, c0 = first_step(phrase)
        state = F.linear(h0, Wh)

        def join(level, hs):
            inputs = F.linear(torch.cat(hs).index_select(0, places_of(level)), Wx, b).view(-1, 2, 4 * SIZE)
            left, right = inputs.unbind(1)
            h, c = step(left + state, c0)
            return step(torch.addmm(right, h, Wh.t()), c)[:1]

        levels = levels_of(batch)
        h = torch.cat([h for (h,) in states_of(levels, read_leaves, join)])
        return F.cross_entropy(F.linear(h, classes), labels_of(levels), reduction="sum")

    return training_steps([Wx, Wh, b, phrase, classes], [words], examples(minibatch, seed), loss_of)
