"""A TreeLSTM for binary trees, put together of operations, that says how good each phrase is."""

import random

import dynet_config

dynet_config.set(autobatch=1, mem=512, random_seed=28)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WDIM, HDIM, CLASSES, BATCH = 64, 100, 5, 8


class TreeLSTMBuilder(object):
    def __init__(self, pc_param, word_vocab, wdim, hdim):
        model = pc_param.add_subcollection("tree")
        self.WS = [model.add_parameters((hdim, wdim)) for _ in "iou"]
        self.US = [model.add_parameters((hdim, 2 * hdim)) for _ in "iou"]
        self.UFS = [model.add_parameters((hdim, hdim)) for _ in "ff"]
        self.BS = [model.add_parameters(hdim) for _ in "iouf"]
        self.E = model.add_lookup_parameters((len(word_vocab), wdim))
        self.w2i = word_vocab

    def expr_for_tree(self, tree, decorate):
        """h and c of a tree; `decorate` is called with the class and h of each of its phrases."""
        if len(tree) == 2:
            emb = self.E[self.w2i.get(tree[1], 0)]
            Wi, Wo, Wu = [dy.parameter(w) for w in self.WS]
            bi, bo, bu, _ = [dy.parameter(b) for b in self.BS]
            i = dy.logistic(Wi * emb + bi)
            o = dy.logistic(Wo * emb + bo)
            u = dy.tanh(Wu * emb + bu)
            c = dy.cmult(i, u)
            h = dy.cmult(o, dy.tanh(c))
        else:
            e1, c1 = self.expr_for_tree(tree[1], decorate)
            e2, c2 = self.expr_for_tree(tree[2], decorate)
            Ui, Uo, Uu = [dy.parameter(u) for u in self.US]
            Uf1, Uf2 = [dy.parameter(u) for u in self.UFS]
            bi, bo, bu, bf = [dy.parameter(b) for b in self.BS]
            e = dy.concatenate([e1, e2])
            i = dy.logistic(dy.affine_transform([bi, Ui, e]))
            o = dy.logistic(dy.affine_transform([bo, Uo, e]))
            f1 = dy.logistic(dy.affine_transform([bf, Uf1, e1]))
            f2 = dy.logistic(dy.affine_transform([bf, Uf2, e2]))
            u = dy.tanh(dy.affine_transform([bu, Uu, e]))
            c = dy.cmult(i, u) + dy.cmult(f1, c1) + dy.cmult(f2, c2)
            h = dy.cmult(o, dy.tanh(c))
        decorate(tree[0], h)
        return h, c


report = Report()
train, dev = toy_language.opinion_trees(500, 1), toy_language.opinion_trees(100, 2)
words = ["<unk>", "not", "but"] + sorted(toy_language.OPINIONS) + toy_language.FILLERS
model = dy.ParameterCollection()
builder = TreeLSTMBuilder(model, {w: i for i, w in enumerate(words)}, WDIM, HDIM)
W_ = model.add_parameters((CLASSES, HDIM))
trainer = dy.AdamTrainer(model, alpha=0.005)
trainer.set_clip_threshold(1.5)
trainer.set_sparse_updates(True)

random.seed(16)
for ITER in range(5):
    random.shuffle(train)
    for start in range(0, len(train), BATCH):
        dy.renew_cg()
        losses = []
        for tree in train[start : start + BATCH]:
            builder.expr_for_tree(tree, lambda label, h: losses.append(dy.pickneglogsoftmax(W_ * h, label)))
        loss = dy.average(losses)
        report.loss(loss.value())
        loss.backward()
        trainer.update()

good = []
for tree in dev:
    dy.renew_cg()
    h, _ = builder.expr_for_tree(tree, lambda label, h: None)
    good.append(np.argmax((W_ * h).npvalue()) == tree[0])
report.end(np.mean(good))
