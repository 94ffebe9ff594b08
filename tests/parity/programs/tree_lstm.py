"""A TreeLSTM for binary trees, built from ops, that rates each phrase; trees come in minibatches."""

import random

import dynet_config

dynet_config.set(autobatch=1, mem=512, random_seed=28)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, HIDDEN, CLASSES, MINIBATCH = 64, 100, 5, 8
WORDS = ["?", "not", "but"] + sorted(toy_language.OPINIONS) + toy_language.FILLERS


class TreeReader:
    """Gates are "i", "o" and the new value "u"; each child has its own forget gate."""

    def __init__(self, model):
        pc = model.add_subcollection("tree")
        self.vectors = pc.add_lookup_parameters((len(WORDS), SIZE))
        self.from_word = {gate: pc.add_parameters((HIDDEN, SIZE)) for gate in "iou"}
        self.from_children = {gate: pc.add_parameters((HIDDEN, 2 * HIDDEN)) for gate in "iou"}
        self.from_child = [pc.add_parameters((HIDDEN, HIDDEN)) for _ in range(2)]
        self.bias = {gate: pc.add_parameters(HIDDEN) for gate in "iouf"}

    def cell(self, matrices, x, kept):
        """h and c of a node; its children pass on the given c values."""
        i, o, u = [dy.parameter(self.bias[gate]) + dy.parameter(matrices[gate]) * x for gate in "iou"]
        c = dy.esum([dy.cmult(dy.logistic(i), dy.tanh(u))] + kept)
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    def read(self, tree, phrases):
        """h and c of a tree; appends (class, h) of it and of all its subtrees to the phrases."""
        if len(tree) == 2:
            word = WORDS.index(tree[1]) if tree[1] in WORDS else 0
            h, c = self.cell(self.from_word, self.vectors[word], [])
        else:
            children, kept = [self.read(child, phrases) for child in tree[1:]], []
            for (h, c), U in zip(children, self.from_child):
                f = dy.logistic(dy.affine_transform([dy.parameter(self.bias["f"]), dy.parameter(U), h]))
                kept.append(dy.cmult(f, c))
            h, c = self.cell(self.from_children, dy.concatenate([h for h, _ in children]), kept)
        phrases.append((tree[0], h))
        return h, c


report = Report()
train, dev = toy_language.opinion_trees(500, 1), toy_language.opinion_trees(100, 2)
model = dy.ParameterCollection()
reader, W = TreeReader(model), model.add_parameters((CLASSES, HIDDEN))
trainer = dy.AdamTrainer(model, alpha=0.005)
trainer.set_clip_threshold(1.5)
trainer.set_sparse_updates(True)

random.seed(16)
for epoch in range(5):
    random.shuffle(train)
    for start in range(0, len(train), MINIBATCH):
        dy.renew_cg()
        phrases = []
        for tree in train[start : start + MINIBATCH]:
            reader.read(tree, phrases)
        loss = dy.average([dy.pickneglogsoftmax(W * h, verdict) for verdict, h in phrases])
        report.loss(loss.value())
        loss.backward()
        trainer.update()

right = []
for tree in dev:
    dy.renew_cg()
    h, _ = reader.read(tree, [])
    right.append(np.argmax((W * h).npvalue()) == tree[0])
report.end(np.mean(right))
