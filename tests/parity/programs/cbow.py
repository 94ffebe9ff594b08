"""A classifier of the sum of word vectors, by two hidden layers."""

import random
from collections import defaultdict

import dynet_config

dynet_config.set(mem=256, random_seed=12, autobatch=1)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB_SIZE, HID_SIZE, HID_LAY, BATCH = 64, 64, 2, 10

report = Report()
w2i = defaultdict(lambda: len(w2i))
train = [([w2i[w] for w in words], tag) for words, tag in toy_language.reviews(2000, 1)]
dev = [([w2i[w] for w in words], tag) for words, tag in toy_language.reviews(300, 2)]
nwords, ntags = len(w2i), 3

pc = dy.ParameterCollection()
W_emb = pc.add_lookup_parameters((nwords, EMB_SIZE))
W_h = [pc.add_parameters((HID_SIZE, EMB_SIZE if lay == 0 else HID_SIZE)) for lay in range(HID_LAY)]
b_h = [pc.add_parameters((HID_SIZE), init=dy.ConstInitializer(0)) for lay in range(HID_LAY)]
W_sm = pc.add_parameters((ntags, HID_SIZE), init="glorot")
b_sm = pc.add_parameters((ntags), init=0)
trainer = dy.MomentumSGDTrainer(pc, 0.02)
trainer.set_clip_threshold(5.0)


def calc_scores(words):
    weights = [dy.parameter(W) for W in W_h]
    biases = dy.parameter(b_h)
    h = dy.esum([W_emb[x] for x in words])
    for W_h_i, b_h_i in zip(weights, biases):
        h = dy.tanh(W_h_i * h + b_h_i)
    return dy.affine_transform([b_sm, W_sm, h])


order = list(range(len(train)))
random.seed(2)
for ITER in range(12):
    random.shuffle(order)
    for start in range(0, len(order), BATCH):
        dy.renew_cg()
        losses = []
        for i in order[start : start + BATCH]:
            words, tag = train[i]
            losses.append(dy.pickneglogsoftmax(calc_scores(words), tag))
        loss = dy.esum(losses) / len(losses)
        report.loss(loss.scalar_value())
        loss.backward()
        trainer.update()
    trainer.learning_rate *= 0.95

correct = 0
for words, tag in dev:
    dy.renew_cg()
    probs = dy.softmax(calc_scores(words))
    if np.argsort(probs.npvalue())[-1] == tag:
        correct += 1
report.end(correct / float(len(dev)))
