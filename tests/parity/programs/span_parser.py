"""A constituency parser that labels spans by differences of BiLSTM states; it saves itself with its vocabularies."""

import os
import random
import tempfile

import dynet_config

dynet_config.set(mem=512, random_seed=27)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, LSTM, MLP, NO_LABEL = 64, 64, 64, ()


class Vocabulary:
    """Numbers items in the order in which they are added."""

    def __init__(self, things):
        self.things, self.numbers = [], {}
        for thing in things:
            if thing not in self.numbers:
                self.numbers[thing] = len(self.things)
                self.things.append(thing)


class Parser:
    def __init__(self, model, words, labels, size, lstm, mlp):
        self.spec = {"words": words, "labels": labels, "size": size, "lstm": lstm, "mlp": mlp}
        self.words, self.labels, self.half = words, labels, lstm
        self.collection = pc = model.add_subcollection("parser")
        self.vectors = pc.add_lookup_parameters((len(words.things), size))
        self.reader = dy.BiRNNBuilder(1, size, 2 * lstm, pc, dy.VanillaLSTMBuilder)
        self.inner = pc.add_parameters((mlp,)), pc.add_parameters((mlp, 2 * lstm))
        self.outer = pc.add_parameters((len(labels.things) - 1,)), pc.add_parameters((len(labels.things) - 1, mlp))

    def param_collection(self):
        return self.collection

    @classmethod
    def from_spec(cls, spec, model):
        return cls(model, **spec)

    def read(self, words):
        """A new graph: label scores by span; the score of no label is 0."""
        dy.renew_cg()
        self.known, self.zero = {}, dy.zeros(1)
        seen = [self.vectors[self.words.numbers[word]] for word in ["<"] + words + [">"]]
        self.states = self.reader.transduce(seen)

    def scores(self, span):
        if span not in self.known:
            (begin, end), states = span, self.states
            onwards = states[end][: self.half] - states[begin][: self.half]
            back = states[begin + 1][self.half :] - states[end + 1][self.half :]
            b, W = self.inner
            hidden = dy.rectify(dy.affine_transform([b, W, dy.concatenate([onwards, back])]))
            c, V = self.outer
            self.known[span] = dy.concatenate([self.zero, dy.affine_transform([c, V, hidden])])
        return self.known[span]

    def best_labels(self, count, gold=None):
        """The labeled spans of the best tree; with gold, every difference from it adds 1."""
        best = {}
        for length in range(1, count + 1):
            for begin in range(count - length + 1):
                span = begin, begin + length
                values = self.scores(span).npvalue()
                if gold is not None:
                    values = values + 1.0
                    values[self.labels.numbers[gold.get(span, NO_LABEL)]] -= 1.0
                first = 1 if length == count else 0  # the whole sentence must have a label
                label = first + int(np.argmax(values[first:]))
                total, spans = values[label], {span: self.labels.things[label]} if label else {}
                if length > 1:
                    halves = [(best[begin, k], best[k, span[1]]) for k in range(begin + 1, span[1])]
                    left, right = max(halves, key=lambda pair: pair[0][0] + pair[1][0])
                    total, spans = total + left[0] + right[0], {**left[1], **right[1], **spans}
                best[span] = total, spans
        return best[0, count][1]

    def loss(self, words, gold):
        """By how much the best other tree beats the gold tree, or None if it does not."""
        self.read(words)
        found = self.best_labels(len(words), gold)
        if found == gold:
            return None
        spans = [span for span in sorted(set(found) | set(gold)) if found.get(span) != gold.get(span)]
        terms = []
        for span in spans:
            wrong, right = [self.labels.numbers[tree.get(span, NO_LABEL)] for tree in (found, gold)]
            terms.append(self.scores(span)[wrong] - self.scores(span)[right] + 1.0)
        return dy.esum(terms)

    def parse(self, words):
        self.read(words)
        return self.best_labels(len(words))


def labelled(tree, begin=0):
    """The labels of a tree's phrases, by span."""
    if isinstance(tree[1], str):
        return {}
    spans, end = {}, begin
    for child in tree[1:]:
        spans.update(labelled(child, end))
        end += len(toy_language.leaves(child))
    spans[begin, end] = (tree[0],)
    return spans


def f1(parser, sentences):
    both = either = 0
    for sentence in sentences:
        found, gold = set(parser.parse(sentence.words).items()), set(labelled(sentence.tree).items())
        both, either = both + len(found & gold), either + len(found) + len(gold)
    return 2.0 * both / either


report = Report()
train, dev = toy_language.sentences(150, 1, longest=10), toy_language.sentences(40, 2, longest=10)
words = Vocabulary(["<", ">"] + [word for sentence in train + dev for word in sentence.words])
labels = Vocabulary([NO_LABEL] + [label for sentence in train for label in labelled(sentence.tree).values()])
parser = Parser(dy.ParameterCollection(), words, labels, SIZE, LSTM, MLP)
trainer = dy.AdamTrainer(parser.param_collection())
random.seed(15)
with tempfile.TemporaryDirectory() as folder:
    for epoch in range(4):
        random.shuffle(train)
        for sentence in train:
            loss = parser.loss(sentence.words, labelled(sentence.tree))
            report.loss(0.0 if loss is None else loss.scalar_value())
            if loss is not None:
                loss.backward()
                trainer.update()
        dy.save(os.path.join(folder, "parser"), [parser])
    (parser,) = dy.load(os.path.join(folder, "parser"), dy.ParameterCollection())
report.end(f1(parser, dev))
