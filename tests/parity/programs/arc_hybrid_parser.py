"""An arc-hybrid parser over BiLSTM vectors with a dynamic oracle: it learns from states that its own mistakes lead to.

As in parsers with optional features, the tables for tags and for external vectors have size 0.
"""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=24)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD, TAG, ELSEWHERE, LSTM, MLP, ENOUGH = 64, 0, 0, 128, 64, 25
SHIFT, LEFT, RIGHT = range(3)
ACTIVATIONS = {"tanh": dy.tanh, "relu": dy.rectify, "cubed": lambda x: dy.tanh(x * x * x)}


class Configuration:
    """A stack, the words in the buffer (the root, 0, is the last), and the head of each word."""

    def __init__(self, count):
        self.stack, self.waiting, self.heads = [], [*range(1, count + 1), 0], {}

    def over(self):
        return not self.stack and self.waiting == [0]

    def allowed(self):
        stack, front = self.stack, self.waiting[0]
        return [a for a, may in enumerate((front != 0, len(stack) > 0, len(stack) > 1)) if may]

    def cost(self, action, gold):
        """How many gold arcs become unreachable after an action; gold[0] is -1, the root's head."""
        stack, front, behind = self.stack, self.waiting[0], self.waiting[1:]
        if action == SHIFT:
            return sum(gold[front] == k for k in stack[:-1]) + sum(gold[k] == front for k in stack)
        top = stack[-1]
        if action == LEFT:
            lost = sum(gold[top] == k for k in stack[-2:-1] + behind)
        else:
            lost = sum(gold[top] == k for k in self.waiting)
        return lost + sum(gold[k] == top for k in self.waiting)

    def apply(self, action):
        if action == SHIFT:
            self.stack.append(self.waiting.pop(0))
        else:
            child = self.stack.pop()
            self.heads[child] = self.waiting[0] if action == LEFT else self.stack[-1]


class Parser:
    def __init__(self, words, activation="tanh"):
        self.model = m = dy.ParameterCollection()
        self.trainer = dy.AdamTrainer(m, 0.002)
        self.activation = ACTIVATIONS[activation]
        self.number = {word: k for k, word in enumerate(["ROOT", "?"] + words)}
        self.words = m.add_lookup_parameters((len(self.number), WORD))
        self.tags = m.add_lookup_parameters((14, TAG))
        self.elsewhere = m.add_lookup_parameters((len(words), ELSEWHERE))
        self.readers = [dy.VanillaLSTMBuilder(1, WORD + TAG + ELSEWHERE, LSTM * 0.5, m) for _ in range(2)]
        self.W, self.b = m.add_parameters((MLP, LSTM * 4)), m.add_parameters((MLP))
        self.V, self.c = m.add_parameters((3, MLP)), m.add_parameters((3))
        self.nothing = m.add_parameters((WORD))

    def read(self, words):
        """Return a vector for the root and for each word."""
        seen = [self.words[int(self.number.get(word, 1))] for word in ["ROOT"] + words]
        onwards, back = [reader.initial_state() for reader in self.readers]
        before, after = [], []
        for first, last in zip(seen, reversed(seen)):
            onwards, back = onwards.add_input(first), back.add_input(last)
            before.append(onwards.output())
            after.append(back.output())
        return [dy.concatenate([b, a]) for b, a in zip(before, reversed(after))]

    def scores(self, configuration, vectors):
        nothing = dy.concatenate([self.nothing, dy.zeros(int(LSTM - WORD))])
        seen = [vectors[k] for k in configuration.stack[-3:]]
        seen = [nothing] * (3 - len(seen)) + seen + [vectors[configuration.waiting[0]]]
        hidden = self.activation(dy.parameter(self.W) * dy.concatenate(seen) + dy.parameter(self.b))
        return dy.parameter(self.V) * hidden + dy.parameter(self.c)

    def parse(self, words):
        dy.renew_cg()
        vectors, configuration = self.read(words), Configuration(len(words))
        while not configuration.over():
            scores = self.scores(configuration, vectors).value()
            configuration.apply(max(configuration.allowed(), key=lambda a: scores[a]))
        return [configuration.heads[k] for k in range(1, len(words) + 1)]

    def margins(self, sentence):
        """For each state along the way, by how much the best wrong action violates the margin, if it does."""
        vectors, configuration = self.read(sentence.words), Configuration(len(sentence.words))
        gold, found = [-1] + sentence.heads, []
        while not configuration.over():
            scores = self.scores(configuration, vectors)
            values = scores.value()
            costs = {a: configuration.cost(a, gold) for a in configuration.allowed()}
            ranking = sorted(costs, key=lambda a: -values[a])
            least = min(costs.values())
            action = next(a for a in ranking if costs[a] == least)
            wrong = next((a for a in ranking if costs[a] > least), None)
            if wrong is not None and values[wrong] > values[action] - 1.0:
                found.append(scores[wrong] - scores[action])
                if random.random() < 0.1:
                    action = wrong
            configuration.apply(action)
        return found

    def train(self, sentences):
        dy.renew_cg()
        found = []
        for sentence in sentences:
            found += self.margins(sentence)
            if len(found) > ENOUGH:
                loss = dy.esum(found) * (1.0 / len(found))
                report.loss(loss.scalar_value() + 1.0)
                loss.backward()
                self.trainer.update()
                dy.renew_cg()
                found = []


report = Report()
train, dev = toy_language.sentences(300, 1), toy_language.sentences(60, 2)
parser = Parser(sorted({word for sentence in train for word in sentence.words}))
random.seed(12)
for epoch in range(3):
    random.shuffle(train)
    parser.train(train)
report.end(np.mean([found == head for s in dev for found, head in zip(parser.parse(s.words), s.heads)]))
