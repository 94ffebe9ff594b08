"""An arc-hybrid parser over BiLSTM vectors, trained with a dynamic oracle: it explores its own mistakes."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=24)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD, POS, EXTRA, LSTM, HIDDEN = 64, 0, 0, 128, 64
SHIFT, LEFT, RIGHT = range(3)
activations = {"tanh": dy.tanh, "sigmoid": dy.logistic, "relu": dy.rectify, "tanh3": lambda x: dy.tanh(x * x * x)}


class Entry:
    """A word of the sentence in parsing; number 0 is the root."""

    def __init__(self, number, form, gold):
        self.id, self.form, self.gold, self.pred, self.vec = number, form, gold, None, None


class ArcHybrid:
    def __init__(self, words, activation="tanh"):
        self.model = dy.ParameterCollection()
        self.trainer = dy.AdamTrainer(self.model, 0.002)
        self.activation = activations[activation]
        self.vocab = {word: ind + 2 for ind, word in enumerate(words)}
        self.wlookup = self.model.add_lookup_parameters((len(words) + 2, WORD))
        self.plookup = self.model.add_lookup_parameters((5, POS))
        self.elookup = self.model.add_lookup_parameters((5, EXTRA))
        self.surfaceBuilders = [
            dy.VanillaLSTMBuilder(1, WORD + POS + EXTRA, LSTM * 0.5, self.model),
            dy.VanillaLSTMBuilder(1, WORD + POS + EXTRA, LSTM * 0.5, self.model),
        ]
        self.hidLayer = self.model.add_parameters((HIDDEN, LSTM * 4))
        self.hidBias = self.model.add_parameters((HIDDEN))
        self.outLayer = self.model.add_parameters((3, HIDDEN))
        self.outBias = self.model.add_parameters((3))
        self.padding = self.model.add_parameters((WORD))

    def read(self, sentence):
        root = [Entry(0, "*root*", -1)]
        entries = root + [Entry(k, w, h) for k, (w, h) in enumerate(zip(sentence.words, sentence.heads), 1)]
        for entry in entries:
            entry.vec = self.wlookup[int(self.vocab.get(entry.form, 0))]
        forward, backward = [builder.initial_state() for builder in self.surfaceBuilders]
        after = []
        for entry, rentry in zip(entries, reversed(entries)):
            forward = forward.add_input(entry.vec)
            backward = backward.add_input(rentry.vec)
            entry.fvec = forward.output()
            after.append(backward.output())
        for entry, bvec in zip(entries, reversed(after)):
            entry.vec = dy.concatenate([entry.fvec, bvec])
        return entries[1:], entries[0]

    def evaluate(self, stack, buf):
        empty = dy.concatenate([self.padding, dy.zeros(int(LSTM - WORD))])
        top = [stack[-i].vec if len(stack) > i - 1 else empty for i in (1, 2, 3)]
        inputs = dy.concatenate(top + [buf[0].vec if buf else empty])
        hidden = self.activation(dy.parameter(self.hidLayer) * inputs + dy.parameter(self.hidBias))
        output = dy.parameter(self.outLayer) * hidden + dy.parameter(self.outBias)
        return list(zip(output.value(), output))

    @staticmethod
    def costs(stack, buf, root):
        """What each transition costs in arcs that can no longer be right; None where it is not allowed."""
        beta = buf[1:]
        s0, s1, b = stack[-1] if stack else None, stack[-2] if len(stack) > 1 else None, buf[0] if buf else None
        costs = [None, None, None]
        if b is not None and b is not root:
            costs[SHIFT] = sum(h.id == b.gold for h in stack[:-1]) + sum(d.gold == b.id for d in stack)
        if s0 is not None and b is not None:
            costs[LEFT] = sum(h.id == s0.gold for h in ([s1] if s1 else []) + beta)
            costs[LEFT] += sum(d.gold == s0.id for d in [b] + beta)
        if s1 is not None:
            costs[RIGHT] = sum(h.id == s0.gold for h in ([b] if b else []) + beta)
            costs[RIGHT] += sum(d.gold == s0.id for d in ([b] if b else []) + beta)
        return costs

    @staticmethod
    def apply(action, stack, buf):
        if action == SHIFT:
            stack.append(buf.pop(0))
        else:
            child = stack.pop()
            child.pred = buf[0].id if action == LEFT else stack[-1].id

    def predict(self, sentence):
        dy.renew_cg()
        entries, root = self.read(sentence)
        stack, buf = [], entries + [root]
        while stack or len(buf) > 1:
            scores, costs = self.evaluate(stack, buf), self.costs(stack, buf, root)
            best = max((a for a in range(3) if costs[a] is not None), key=lambda a: scores[a][0])
            self.apply(best, stack, buf)
        return [entry.pred for entry in entries]

    def train(self, sentences, report):
        errs = []
        dy.renew_cg()
        for sentence in sentences:
            entries, root = self.read(sentence)
            stack, buf = [], entries + [root]
            while stack or len(buf) > 1:
                scores, costs = self.evaluate(stack, buf), self.costs(stack, buf, root)
                valid = [a for a in range(3) if costs[a] is not None]
                least = min(costs[a] for a in valid)
                good = [a for a in valid if costs[a] == least]
                bad = [a for a in valid if costs[a] > least]
                best = max(good, key=lambda a: scores[a][0])
                if bad:
                    wrong = max(bad, key=lambda a: scores[a][0])
                    if scores[best][0] < scores[wrong][0] + 1.0:
                        errs.append(scores[wrong][1] - scores[best][1])
                    if scores[wrong][0] > scores[best][0] - 1.0 and random.random() < 0.1:
                        best = wrong
                self.apply(best, stack, buf)
            if len(errs) > 25:
                eerrs = dy.esum(errs) * (1.0 / len(errs))
                report.loss(eerrs.scalar_value() + 1.0)
                eerrs.backward()
                self.trainer.update()
                errs = []
                dy.renew_cg()


report = Report()
train, dev = toy_language.sentences(300, 1), toy_language.sentences(60, 2)
parser = ArcHybrid(sorted({w for s in train for w in s.words}))
random.seed(12)
for epoch in range(3):
    random.shuffle(train)
    parser.train(train, report)
report.end(np.mean([h == g for s in dev for h, g in zip(parser.predict(s), s.heads)]))
