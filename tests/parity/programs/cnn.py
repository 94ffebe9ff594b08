"""A text classifier with convolutions over two and three words, and max pooling over the sentence."""

import random

import dynet_config

dynet_config.set(random_seed=14, mem=512)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, FILTERS, WIDTHS, CLASSES = 64, 32, (2, 3), 3

report = Report()
train, dev = toy_language.reviews(1500, 1), toy_language.reviews(300, 2)
number = {word: k for k, word in enumerate(sorted({w for words, _ in train for w in words}), 1)}  # 0 is padding

m = dy.ParameterCollection()
pixels = m.add_lookup_parameters((len(number) + 1, 1, 1, SIZE))  # a sentence is an image one pixel high
filters = [m.add_parameters((1, width, SIZE, FILTERS)) for width in WIDTHS]
biases = [m.add_parameters((FILTERS), init=0) for _ in WIDTHS]
narrow = m.add_parameters((SIZE, 2, FILTERS))
top, top_bias = m.add_parameters((CLASSES, FILTERS * (len(WIDTHS) + 1))), m.add_parameters((CLASSES,))
trainer = dy.AdamTrainer(m, alpha=0.002)


def classify(words):
    dy.renew_cg()
    ids = [number[word] for word in words]
    ids += [0] * (max(WIDTHS) - len(ids))
    picture = dy.concatenate([dy.lookup(pixels, k) for k in ids], d=1)
    features = []
    for F, b in zip(filters, biases):
        response = dy.conv2d_bias(picture, F, b, stride=(1, 1), is_valid=True)
        features.append(dy.rectify(dy.reshape(dy.max_dim(response, d=1), (FILTERS,))))
    columns = dy.transpose(dy.reshape(picture, (len(ids), SIZE)))
    response = dy.filter1d_narrow(columns, dy.parameter(narrow))
    features.append(dy.reshape(dy.kmax_pooling(response, 1), (FILTERS,)))
    return top * dy.concatenate(features) + top_bias


random.seed(3)
for epoch in range(3):
    random.shuffle(train)
    for words, verdict in train:
        scores = classify(words)
        loss = dy.hinge(scores, verdict) if epoch == 2 else dy.pickneglogsoftmax(scores, verdict)
        report.loss(loss.value())
        loss.backward()
        trainer.update()

right = [np.argmax(classify(words).npvalue()) == verdict for words, verdict in dev]
report.end(sum(right) / len(right))
