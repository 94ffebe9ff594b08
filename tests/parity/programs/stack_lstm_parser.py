"""An arc-standard parser whose stack and buffer are LSTMs: a pop restores the state before the push."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=23)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD, HIDDEN, ACTION = 64, 100, 32
SHIFT, LEFT, RIGHT = range(3)


class Pile:
    """A stack of network states, each with the item that was pushed."""

    def __init__(self, network, nothing):
        self.bottom, self.nothing, self.entries = network.initial_state(), nothing, []

    def push(self, vector, item):
        below = self.entries[-1][0] if self.entries else self.bottom
        self.entries.append((below.add_input(vector), item))

    def pop(self):
        return self.entries.pop()[1]

    def summary(self):
        return self.entries[-1][0].output() if self.entries else self.nothing

    def __len__(self):
        return len(self.entries)


def right_actions(heads):
    """The transitions that build a projective tree."""
    missing = [heads.count(k) for k in range(len(heads) + 1)]
    stack, waiting, actions = [], list(range(len(heads), 0, -1)), []
    while waiting or len(stack) > 1:
        below, top = ([0, 0] + stack)[-2:]
        if below and heads[below - 1] == top:
            actions.append(LEFT)
            stack.remove(below)
            missing[top] -= 1
        elif below and heads[top - 1] == below and not missing[top]:
            actions.append(RIGHT)
            stack.remove(top)
            missing[below] -= 1
        else:
            actions.append(SHIFT)
            stack.append(waiting.pop())
    return actions


class Parser:
    def __init__(self, words):
        self.model = m = dy.Model()
        self.words = {word: k for k, word in enumerate(words)}
        self.vectors = m.add_lookup_parameters((len(words), WORD))
        self.actions = m.add_lookup_parameters((3, ACTION))
        self.of_stack = dy.CoupledLSTMBuilder(1, HIDDEN, HIDDEN, m)
        self.of_buffer = dy.VanillaLSTMBuilder(1, WORD, HIDDEN, m)
        self.of_actions = dy.GRUBuilder(1, ACTION, HIDDEN, m)
        self.nothing = m.add_parameters((HIDDEN,))
        self.compose = [m.add_parameters((HIDDEN, HIDDEN * 2)), m.add_parameters((HIDDEN,))]
        self.inner = [m.add_parameters((HIDDEN, HIDDEN * 3)), m.add_parameters((HIDDEN,))]
        self.outer = [m.add_parameters((3, HIDDEN)), m.add_parameters((3,))]

    def parse(self, words, actions=()):
        """The loss and the heads; follows the given actions, or else the best-scoring ones."""
        dy.renew_cg()
        (W, b), (U, c), (V, d) = [dy.parameter(*pair) for pair in (self.compose, self.inner, self.outer)]
        nothing = dy.parameter(self.nothing)
        stack, buffer = Pile(self.of_stack, nothing), Pile(self.of_buffer, nothing)
        for k in reversed(range(len(words))):
            buffer.push(self.vectors[self.words[words[k]]], k + 1)
        history, heads, chosen, actions = self.of_actions.initial_state(), [0] * len(words), [], list(actions)
        while len(buffer) or len(stack) > 1:
            allowed = [len(buffer) > 0, len(stack) > 1, len(stack) > 1]
            past = nothing if history.prev() is None else history.output()
            state = dy.concatenate([buffer.summary(), stack.summary(), past])
            scores = V * dy.rectify(U * state + c) + d + dy.inputVector([0 if a else -1e3 for a in allowed])
            chances = dy.log_softmax(scores)
            action = actions.pop(0) if actions else int(np.argmax(chances.vec_value()))
            chosen.append(dy.pick(chances, action))
            history = history.add_input(self.actions[action])
            if action == SHIFT:
                read = buffer.summary()
                stack.push(read, (read, buffer.pop()))
                continue
            top, below = stack.pop(), stack.pop()
            (head, k), (child, j) = (top, below) if action == LEFT else (below, top)
            heads[j - 1] = k
            joined = dy.tanh(W * dy.concatenate([head, child]) + b)
            stack.push(joined, (joined, k))
        return -dy.esum(chosen), heads


report = Report()
train, dev = toy_language.sentences(250, 1), toy_language.sentences(60, 2)
parser = Parser(sorted({word for sentence in train + dev for word in sentence.words}))
trainer = dy.AdamTrainer(parser.model, 0.002)
random.seed(11)
for epoch in range(4):
    random.shuffle(train)
    for sentence in train:
        loss, _ = parser.parse(sentence.words, right_actions(sentence.heads))
        report.loss(loss.scalar_value() / len(sentence.words))
        loss.backward()
        trainer.update()
report.end(np.mean([found == head for s in dev for found, head in zip(parser.parse(s.words)[1], s.heads)]))
