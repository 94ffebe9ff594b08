"""A graph parser: a network scores arcs, Eisner's algorithm finds the best projective tree, the loss is a margin."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=25)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB, LSTM, MLP = 64, 64, 64


def eisner(scores):
    """The heads of the best projective tree; scores[h, m], 0 is the root and the first head is -1."""
    n = len(scores)
    # Spans s..t, by direction (0: the head is t) and completeness.
    best = np.full((n, n, 2, 2), -np.inf)
    split = np.zeros((n, n, 2, 2), int)
    for i in range(n):
        best[i, i] = 0.0
    for k in range(1, n):
        for s in range(n - k):
            t = s + k
            joined = best[s, s:t, 1, 1] + best[s + 1 : t + 1, t, 0, 1]
            r = int(joined.argmax())
            best[s, t, 0, 0] = joined[r] + scores[t, s] if s > 0 else -np.inf
            best[s, t, 1, 0] = joined[r] + scores[s, t]
            split[s, t, :, 0] = s + r
            left = best[s, s:t, 0, 1] + best[s:t, t, 0, 0]
            right = best[s, s + 1 : t + 1, 1, 0] + best[s + 1 : t + 1, t, 1, 1]
            split[s, t, 0, 1], best[s, t, 0, 1] = s + left.argmax(), left.max()
            split[s, t, 1, 1], best[s, t, 1, 1] = s + 1 + right.argmax(), right.max()
    heads = [-1] * n

    def follow(s, t, direction, complete):
        if s == t:
            return
        r = split[s, t, direction, complete]
        if not complete:
            heads[s if direction == 0 else t] = t if direction == 0 else s
            follow(s, r, 1, 1)
            follow(r + 1, t, 0, 1)
        elif direction == 0:
            follow(s, r, 0, 1)
            follow(r, t, 0, 0)
        else:
            follow(s, r, 1, 0)
            follow(r, t, 1, 1)

    follow(0, n - 1, 1, 1)
    return heads


class MSTParserLSTM:
    def __init__(self, words):
        self.model = dy.ParameterCollection()
        self.trainer = dy.AdamTrainer(self.model, 0.003)
        self.w2i = {w: i for i, w in enumerate(["*root*"] + words)}
        self.wlookup = self.model.add_lookup_parameters((len(self.w2i), EMB))
        self.rnn = dy.BiRNNBuilder(2, EMB, LSTM * 2 / 1.0, self.model, dy.VanillaLSTMBuilder)
        self.hidLayerFOH = self.model.add_parameters((MLP, LSTM * 2))
        self.hidLayerFOM = self.model.add_parameters((MLP, LSTM * 2))
        self.hidBias = self.model.add_parameters((MLP))
        self.outLayer = self.model.add_parameters((1, MLP))
        self.outBias = self.model.add_parameters(1, init=0)

    def arcs(self, sentence):
        """Scores as a list of lists of expressions, and as an array."""
        dy.renew_cg()
        vectors = self.rnn.transduce([self.wlookup[self.w2i[w]] for w in ["*root*"] + sentence.words])
        heads = [dy.parameter(self.hidLayerFOH) * v for v in vectors]
        modifiers = [dy.parameter(self.hidLayerFOM) * v for v in vectors]
        bias, out, shift = dy.parameter(self.hidBias, self.outLayer, self.outBias)
        exprs = [[out * dy.tanh(h + m + bias) + shift for m in modifiers] for h in heads]
        flat = [e for row in exprs for e in row]
        dy.forward(flat)
        return exprs, np.array(dy.values(flat)).reshape(len(vectors), len(vectors))

    def loss(self, sentence):
        exprs, scores = self.arcs(sentence)
        gold = [-1] + sentence.heads
        augmented = scores + 1.0
        for m, h in enumerate(gold):
            augmented[h, m] -= 1.0 * (m > 0)
        heads = eisner(augmented)
        wrong = [m for m in range(1, len(gold)) if heads[m] != gold[m]]
        if not wrong:
            return None
        return dy.esum([exprs[heads[m]][m] - exprs[gold[m]][m] + 1.0 for m in wrong])


report = Report()
train, dev = toy_language.sentences(150, 1, longest=10), toy_language.sentences(50, 2, longest=10)
parser = MSTParserLSTM(sorted({w for s in train + dev for w in s.words}))
random.seed(13)
for epoch in range(5):
    random.shuffle(train)
    for sentence in train:
        loss = parser.loss(sentence)
        report.loss(loss.scalar_value() if loss else 0)
        if loss:
            loss.backward()
            parser.trainer.update()
found = [(h, g) for s in dev for h, g in zip(eisner(parser.arcs(s)[1])[1:], s.heads)]
report.end(np.mean([h == g for h, g in found]))
