"""A constituency parser that labels spans by differences of BiLSTM states; it saves itself, its vocabulary included."""

import os
import random
import tempfile

import dynet_config

dynet_config.set(mem=512, random_seed=27)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB, LSTM, HIDDEN = 64, 64, 64


class Vocabulary(object):
    def __init__(self):
        self.indices = {}
        self.values = []
        self.frozen = False

    @property
    def size(self):
        return len(self.values)

    def value(self, index):
        return self.values[index]

    def index(self, value):
        if not self.frozen and value not in self.indices:
            self.indices[value] = len(self.values)
            self.values.append(value)
        return self.indices[value]

    def freeze(self):
        self.frozen = True


class SpanParser(object):
    def __init__(self, model, word_vocab, label_vocab, embedding_dim, lstm_dim, hidden_dim, dropout):
        self.spec = {
            "word_vocab": word_vocab,
            "label_vocab": label_vocab,
            "embedding_dim": embedding_dim,
            "lstm_dim": lstm_dim,
            "hidden_dim": hidden_dim,
            "dropout": dropout,
        }
        self.model = model.add_subcollection("Parser")
        self.word_vocab, self.label_vocab, self.lstm_dim = word_vocab, label_vocab, lstm_dim
        self.embeddings = self.model.add_lookup_parameters((word_vocab.size, embedding_dim))
        self.lstm = dy.BiRNNBuilder(1, embedding_dim, 2 * lstm_dim, self.model, dy.VanillaLSTMBuilder)
        self.weights = [
            self.model.add_parameters((hidden_dim, 2 * lstm_dim)),
            self.model.add_parameters((label_vocab.size - 1, hidden_dim)),
        ]
        self.biases = [self.model.add_parameters((hidden_dim,)), self.model.add_parameters((label_vocab.size - 1,))]

    def param_collection(self):
        return self.model

    @classmethod
    def from_spec(cls, spec, model):
        return cls(model, **spec)

    def label_scores(self, words):
        """A function that gives the scores of the labels of a span, the first of them, "none", being 0."""
        dy.renew_cg()
        embedded = [self.embeddings[self.word_vocab.index(w)] for w in ["<start>"] + words + ["<stop>"]]
        outputs = self.lstm.transduce(embedded)
        zero, known = dy.zeros(1), {}

        def scores(left, right):
            if (left, right) not in known:
                forward = outputs[right][: self.lstm_dim] - outputs[left][: self.lstm_dim]
                backward = outputs[left + 1][self.lstm_dim :] - outputs[right + 1][self.lstm_dim :]
                encoding = dy.concatenate([forward, backward])
                hidden = dy.rectify(dy.affine_transform([self.biases[0], self.weights[0], encoding]))
                top = dy.affine_transform([self.biases[1], self.weights[1], hidden])
                known[left, right] = dy.concatenate([zero, top])
            return known[left, right]

        return scores

    def best_tree(self, words, gold=None):
        """Labels by span, and the expression of their score; with gold, labels that are not it are better by 1."""
        label_scores, chart = self.label_scores(words), {}
        for length in range(1, len(words) + 1):
            for left in range(len(words) + 1 - length):
                right = left + length
                scores = label_scores(left, right)
                values = scores.npvalue()
                if gold is not None:
                    values = values + 1.0
                    values[self.label_vocab.index(gold.get((left, right), ()))] -= 1.0
                if length == len(words):
                    values[0] = -1e9
                label = int(np.argmax(values))
                found, total, parts = {}, 0.0, []
                if length > 1:
                    split = max(range(left + 1, right), key=lambda k: chart[left, k][1] + chart[k, right][1])
                    for part in (chart[left, split], chart[split, right]):
                        found.update(part[0])
                        total += part[1]
                        parts += part[2]
                found[left, right] = self.label_vocab.value(label)
                chart[left, right] = (found, total + values[label], parts + [scores[label]])
        return chart[0, len(words)]

    def loss(self, words, gold):
        found, augmented, parts = self.best_tree(words, gold)
        label_scores = self.label_scores(words)
        found = {span: label for span, label in found.items() if label}
        if found == gold:
            return None
        wrong = [label_scores(*s)[self.label_vocab.index(lab)] for s, lab in found.items() if gold.get(s) != lab]
        right = [label_scores(*s)[self.label_vocab.index(lab)] for s, lab in gold.items() if found.get(s) != lab]
        margin = sum(gold.get(s) != lab for s, lab in found.items()) + len(set(gold) - set(found))
        zero = dy.scalarInput(0)
        return dy.esum(wrong + [zero]) - dy.esum(right + [zero]) + margin


def spans_of(tree, start=0):
    """The labels of the phrases of more than a word, by span; and where the tree ends."""
    if isinstance(tree[1], str):
        return {}, start + 1
    spans, end = {}, start
    for child in tree[1:]:
        below, end = spans_of(child, end)
        spans.update(below)
    spans[start, end] = (tree[0],)
    return spans, end


def f_score(parser, sentences):
    match = found = wanted = 0
    for sentence in sentences:
        gold, _ = spans_of(sentence.tree)
        labels = {s: label for s, label in parser.best_tree(sentence.words)[0].items() if label}
        match += sum(gold.get(s) == label for s, label in labels.items())
        found, wanted = found + len(labels), wanted + len(gold)
    return 2.0 * match / (found + wanted)


report = Report()
train, dev = toy_language.sentences(150, 1, longest=10), toy_language.sentences(40, 2, longest=10)
word_vocab, label_vocab = Vocabulary(), Vocabulary()
label_vocab.index(())
for sentence in train + dev:
    for word in ["<start>", "<stop>"] + sentence.words:
        word_vocab.index(word)
    for label in spans_of(sentence.tree)[0].values():
        label_vocab.index(label)
word_vocab.freeze()
label_vocab.freeze()
model = dy.ParameterCollection()
parser = SpanParser(model, word_vocab, label_vocab, EMB, LSTM, HIDDEN, 0.4)
trainer = dy.AdamTrainer(model)
random.seed(15)
with tempfile.TemporaryDirectory() as folder:
    for epoch in range(4):
        random.shuffle(train)
        for sentence in train:
            loss = parser.loss(sentence.words, spans_of(sentence.tree)[0])
            report.loss(0.0 if loss is None else loss.scalar_value())
            if loss is not None:
                loss.backward()
                trainer.update()
        dy.save(os.path.join(folder, "parser"), [parser])
    [parser] = dy.load(os.path.join(folder, "parser"), dy.ParameterCollection())
report.end(f_score(parser, dev))
