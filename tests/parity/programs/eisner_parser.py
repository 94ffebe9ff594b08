"""A graph parser: a network scores arcs, Eisner's algorithm finds the best projective tree, the loss is a margin."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=25)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, LSTM, MLP = 64, 128 / 2, 64


def eisner(scores):
    """The heads of the best projective tree; scores[h, m] is indexed by head and word; the root is 0, its head -1."""
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


class Parser:
    def __init__(self, words):
        self.model = m = dy.ParameterCollection()
        self.number = {word: k for k, word in enumerate(["ROOT"] + words)}
        self.vectors = m.add_lookup_parameters((len(self.number), SIZE))
        self.reader = dy.BiRNNBuilder(2, SIZE, LSTM * 2, m, dy.VanillaLSTMBuilder)
        self.as_head, self.as_child = [m.add_parameters((MLP, LSTM * 2)) for _ in range(2)]
        self.b, self.V, self.c = m.add_parameters((MLP)), m.add_parameters((1, MLP)), m.add_parameters(1, init=0)

    def arcs(self, words):
        """Scores of head and child, as rows of expressions and as an array, in a new graph."""
        dy.renew_cg()
        read = self.reader.transduce([self.vectors[self.number[word]] for word in ["ROOT"] + words])
        heads, children = [[dy.parameter(W) * x for x in read] for W in (self.as_head, self.as_child)]
        b, V, c = dy.parameter(self.b, self.V, self.c)
        rows = [[V * dy.tanh(head + child + b) + c for child in children] for head in heads]
        every = [score for row in rows for score in row]
        dy.forward(every)
        return rows, np.array(dy.values(every)).reshape(len(rows), len(rows))

    def loss(self, sentence):
        """By how much wrong arcs score higher than right ones, with a margin of 1; None if no arc is wrong."""
        rows, scores = self.arcs(sentence.words)
        gold = np.array([-1] + sentence.heads)
        handicapped = scores + 1.0
        handicapped[gold[1:], np.arange(1, len(gold))] -= 1.0
        found = eisner(handicapped)
        wrong = [(found[k], gold[k], k) for k in range(1, len(gold)) if found[k] != gold[k]]
        return dy.esum([rows[h][k] - rows[g][k] + 1.0 for h, g, k in wrong]) if wrong else None


report = Report()
train, dev = toy_language.sentences(150, 1, longest=10), toy_language.sentences(50, 2, longest=10)
parser = Parser(sorted({word for sentence in train + dev for word in sentence.words}))
trainer = dy.AdamTrainer(parser.model, 0.003)
random.seed(13)
for epoch in range(5):
    random.shuffle(train)
    for sentence in train:
        loss = parser.loss(sentence)
        report.loss(loss.scalar_value() if loss is not None else 0)
        if loss is not None:
            loss.backward()
            trainer.update()
report.end(np.mean([h == g for s in dev for h, g in zip(eisner(parser.arcs(s.words)[1])[1:], s.heads)]))
