"""A BiLSTM tagger with a conditional random field: the forward algorithm in the graph, Viterbi outside."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=20)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, HIDDEN = 64, 200


class RandomField:
    """Transition scores: each tag has a table row with a score for every other tag. The last tag ends a sentence."""

    def __init__(self, words, tags):
        self.words = {word: k for k, word in enumerate(words)}
        self.tags = tags + ["end"]
        count = len(self.tags)
        self.model = dy.ParameterCollection()
        self.vectors = self.model.add_lookup_parameters((len(words), SIZE), init="glorot")
        self.reader = dy.BiRNNBuilder(1, SIZE, HIDDEN / 2, self.model, dy.VanillaLSTMBuilder)
        self.W, self.b = self.model.add_parameters((count, HIDDEN / 2)), self.model.add_parameters(count)
        self.follows = self.model.add_lookup_parameters((count, count))

    def scores(self, words):
        """The score of each tag for each word, in a new graph."""
        dy.renew_cg()
        read = self.reader.transduce([self.vectors[self.words[word]] for word in words])
        return [dy.affine_transform([dy.parameter(self.b), dy.parameter(self.W), x]) for x in read]

    def of_path(self, scores, path):
        """The score of one tag sequence."""
        end = len(self.tags) - 1
        steps = [dy.pick(self.follows[after], before) for before, after in zip([end] + path, path + [end])]
        return dy.esum(steps + [dy.pick(fit, tag) for fit, tag in zip(scores, path)])

    def of_all(self, scores):
        """The log of the sum over all tag sequences, computed as a stable log-sum-exp."""
        count = len(self.tags)
        reached = dy.inputVector([-1e9] * (count - 1) + [0])
        for fit in scores:
            totals = []
            for tag in range(count):
                ways = reached + self.follows[tag]
                largest = dy.pick(ways, int(np.argmax(ways.npvalue())))
                rest = dy.logsumexp_dim(ways - dy.concatenate([largest] * count), 0)
                totals.append(largest + rest + dy.pick(fit, tag))
            reached = dy.concatenate(totals)
        return dy.logsumexp(list(reached + self.follows[count - 1]))

    def loss(self, sentence):
        scores = self.scores(sentence.words)
        return self.of_all(scores) - self.of_path(scores, [self.tags.index(tag) for tag in sentence.tags])

    def tag(self, words):
        fits = np.array([fit.value() for fit in self.scores(words)])
        follows = self.follows.as_array()
        best, pointers = follows[:, -1] + fits[0], []
        for fit in fits[1:]:
            ways = follows + best
            pointers.append(ways.argmax(axis=1))
            best = ways.max(axis=1) + fit
        path = [int(np.argmax(best + follows[-1]))]
        for pointer in pointers[::-1]:
            path.insert(0, int(pointer[path[0]]))
        return [self.tags[k] for k in path]


report = Report()
train, dev = toy_language.sentences(200, 1), toy_language.sentences(80, 2)
words, tags = [sorted({x for s in train + dev for x in s[field]}) for field in (0, 1)]
field = RandomField(words, tags)
trainer = dy.MomentumSGDTrainer(field.model, learning_rate=0.01)
random.seed(8)
for epoch in range(3):
    random.shuffle(train)
    for sentence in train:
        loss = field.loss(sentence)
        report.loss(loss.value() / len(sentence.words))
        loss.backward()
        trainer.update()
report.end(np.mean([found == tag for s in dev for found, tag in zip(field.tag(s.words), s.tags)]))
