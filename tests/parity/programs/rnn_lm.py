"""A character language model with a two-layer recurrent network, which also generates sentences."""

import random

import dynet_config

dynet_config.set(random_seed=17, mem=256)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

LAYERS, SIZE, HIDDEN, END = 2, 32, 64, "\n"


class Speller:
    def __init__(self, texts):
        self.symbols = [END] + sorted(set("".join(texts)))
        self.model = dy.ParameterCollection()
        self.network = dy.SimpleRNNBuilder(LAYERS, SIZE, HIDDEN, self.model)
        self.vectors = self.model.add_lookup_parameters((len(self.symbols), SIZE))
        self.W = self.model.add_parameters((len(self.symbols), HIDDEN))
        self.b = self.model.add_parameters((len(self.symbols)))

    def begin(self):
        dy.renew_cg()
        return self.read(self.network.initial_state(), END)

    def read(self, state, symbol):
        return state.add_input(self.vectors[self.symbols.index(symbol)])

    def chances(self, state):
        return dy.softmax(dy.parameter(self.W) * state.output() + dy.parameter(self.b))

    def loss(self, text):
        state, surprise = self.begin(), []
        for symbol in text + END:
            chance = dy.pick(self.chances(state), self.symbols.index(symbol))
            surprise.append(-dy.log(chance))
            state = self.read(state, symbol)
        return dy.esum(surprise)

    def invent(self, rng, longest=80):
        state, text = self.begin(), ""
        while len(text) < longest and not text.endswith(END):
            threshold, total = rng.random(), np.cumsum(self.chances(state).vec_value())
            text += self.symbols[min(int(np.searchsorted(total, threshold)), len(self.symbols) - 1)]
            state = self.read(state, text[-1])
        return text


report = Report()
train, held_out = [
    [" ".join(s.words) for s in toy_language.sentences(count, seed, longest=6)] for count, seed in ((300, 1), (30, 2))
]
speller = Speller(train + held_out)
trainer = dy.RMSPropTrainer(speller.model, 0.003)
for epoch in range(4):
    for text in train:
        loss = speller.loss(text)
        report.loss(loss.value() / len(text))
        loss.backward()
        trainer.update()
    assert set(speller.invent(random.Random(epoch))) <= set(speller.symbols)

total = sum(speller.loss(text).value() for text in held_out)
report.end(np.exp(total / sum(len(text) + 1 for text in held_out)))
