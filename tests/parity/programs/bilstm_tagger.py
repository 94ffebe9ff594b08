"""An LSTM tagger over words, with GRUs over the letters of rare words; it saves and loads its model."""

import os
import random
import tempfile
from collections import Counter

import dynet_config

dynet_config.set(mem=512, random_seed=19)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD, CHARACTER, HIDDEN, MLP, RARE, EDGE = 64, 20, 100, 32, 40, "|"

report = Report()
train, dev = toy_language.sentences(400, 1), toy_language.sentences(80, 2)
counts = Counter(word for sentence in train for word in sentence.words)
frequent = {word: k for k, word in enumerate(sorted(w for w in counts if counts[w] > RARE))}
letters = {c: k for k, c in enumerate(EDGE + "".join(sorted(set("".join(counts)))))}
tags = sorted({tag for sentence in train for tag in sentence.tags})


class Tagger:
    def __init__(self):
        self.model = model = dy.Model()
        self.words = model.add_lookup_parameters((len(frequent), WORD))
        self.letters = model.add_lookup_parameters((len(letters), CHARACTER))
        self.readers = [dy.VanillaLSTMBuilder(1, WORD, HIDDEN / 2, model) for _ in range(2)]
        self.spellers = [dy.GRUBuilder(1, CHARACTER, WORD / 2, model) for _ in range(2)]
        self.inner = model.add_parameters((MLP, HIDDEN))
        self.outer = model.add_parameters((len(tags), MLP))

    def vector(self, word, spelling):
        if word in frequent:
            return self.words[frequent[word]]
        spelt = [self.letters[letters.get(c, 0)] for c in EDGE + word + EDGE]
        onwards, back = spelling
        return dy.concatenate([onwards.transduce(spelt)[-1], back.transduce(reversed(spelt))[-1]])

    def scores(self, words):
        """The tag scores of each word, in a new graph."""
        dy.renew_cg()
        spelling = [network.initial_state() for network in self.spellers]
        vectors = [self.vector(word, spelling) for word in words]
        onwards, back = [network.initial_state() for network in self.readers]
        before = [state.output() for state in onwards.add_inputs(vectors)]
        after = [state.output() for state in back.add_inputs(reversed(vectors))]
        inner, outer = dy.parameter(self.inner), dy.parameter(self.outer)
        return [outer * dy.tanh(inner * dy.concatenate([b, a])) for b, a in zip(before, reversed(after))]

    def loss(self, sentence):
        scores = self.scores(sentence.words)
        return dy.esum([dy.pickneglogsoftmax(s, tags.index(tag)) for s, tag in zip(scores, sentence.tags)])

    def tag(self, words):
        return [tags[np.argmax(dy.softmax(s).npvalue())] for s in self.scores(words)]


tagger = Tagger()
trainer = dy.AdamTrainer(tagger.model, 0.003)
random.seed(7)
for epoch in range(3):
    random.shuffle(train)
    for sentence in train:
        loss = tagger.loss(sentence)
        report.loss(loss.scalar_value() / len(sentence.words))
        loss.backward()
        trainer.update()

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "tagger.model")
    tagger.model.save(path)
    tagger = Tagger()
    tagger.model.populate(path)
right = [found == tag for s in dev for found, tag in zip(tagger.tag(s.words), s.tags)]
report.end(np.mean(right))
