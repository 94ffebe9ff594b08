"""A classifier that feeds the sum of word vectors through two hidden layers."""

import random
from collections import defaultdict

import dynet_config

dynet_config.set(mem=256, random_seed=12, autobatch=1)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WIDTH, LAYERS, CLASSES, MINIBATCH = 64, 2, 3, 10

report = Report()
numbers = defaultdict(lambda: len(numbers))
train, dev = [
    [([numbers[word] for word in words], verdict) for words, verdict in toy_language.reviews(count, seed)]
    for count, seed in ((2000, 1), (300, 2))
]

pc = dy.ParameterCollection()
embedding = pc.add_lookup_parameters((len(numbers), WIDTH))
hidden = [pc.add_parameters((WIDTH, WIDTH)) for _ in range(LAYERS)]
hidden_bias = [pc.add_parameters((WIDTH), init=dy.ConstInitializer(0)) for _ in range(LAYERS)]
top = pc.add_parameters((CLASSES, WIDTH), init="glorot")
top_bias = pc.add_parameters((CLASSES), init=0)
trainer = dy.MomentumSGDTrainer(pc, 0.02)
trainer.set_clip_threshold(5.0)


def classify(words):
    matrices, biases = [dy.parameter(W) for W in hidden], dy.parameter(hidden_bias)
    x = dy.esum([embedding[word] for word in words])
    for W, b in zip(matrices, biases):
        x = dy.tanh(W * x + b)
    return dy.affine_transform([top_bias, top, x])


order = list(range(len(train)))
random.seed(2)
for epoch in range(12):
    random.shuffle(order)
    for start in range(0, len(order), MINIBATCH):
        dy.renew_cg()
        batch = [train[k] for k in order[start : start + MINIBATCH]]
        loss = dy.esum([dy.pickneglogsoftmax(classify(words), verdict) for words, verdict in batch]) / len(batch)
        report.loss(loss.scalar_value())
        loss.backward()
        trainer.update()
    trainer.learning_rate *= 0.95

right = 0
for words, verdict in dev:
    dy.renew_cg()
    ranking = np.argsort(dy.softmax(classify(words)).npvalue())
    right += ranking[-1] == verdict
report.end(right / float(len(dev)))
