"""A text classifier of convolutions of one, two and three words, and the largest values over the sentence."""

import random

import dynet_config

dynet_config.set(random_seed=14, mem=512)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB_SIZE, FILTERS, WIDTHS = 64, 32, (2, 3)

report = Report()
train, dev = toy_language.reviews(1500, 1), toy_language.reviews(300, 2)
vocabulary = sorted({w for words, _ in train for w in words})
w2i = dict((w, i) for i, w in enumerate(vocabulary, 1))  # 0 pads
ntags = 3

m = dy.ParameterCollection()
W_emb = m.add_lookup_parameters((len(w2i) + 1, 1, 1, EMB_SIZE))
W_cnn = [m.add_parameters((1, width, EMB_SIZE, FILTERS)) for width in WIDTHS]
b_cnn = [m.add_parameters((FILTERS), init=0) for width in WIDTHS]
W_narrow = m.add_parameters((EMB_SIZE, 2, FILTERS))
W_sm = m.add_parameters((ntags, FILTERS * (len(WIDTHS) + 1)))
b_sm = m.add_parameters((ntags,))
trainer = dy.AdamTrainer(m, alpha=0.002)


def calc_scores(words):
    dy.renew_cg()
    if len(words) < max(WIDTHS):
        words = words + [0] * (max(WIDTHS) - len(words))
    cnn_in = dy.concatenate([dy.lookup(W_emb, x) for x in words], d=1)
    pooled = []
    for W, b in zip(W_cnn, b_cnn):
        cnn_out = dy.conv2d_bias(cnn_in, W, b, stride=(1, 1), is_valid=True)
        pool_out = dy.max_dim(cnn_out, d=1)
        pooled.append(dy.rectify(dy.reshape(pool_out, (FILTERS,))))
    sentence = dy.transpose(dy.reshape(cnn_in, (len(words), EMB_SIZE)))
    narrow = dy.filter1d_narrow(sentence, dy.parameter(W_narrow))
    pooled.append(dy.reshape(dy.kmax_pooling(narrow, 1), (FILTERS,)))
    return W_sm * dy.concatenate(pooled) + b_sm


data = [([w2i[w] for w in words], tag) for words, tag in train]
random.seed(3)
for ITER in range(3):
    random.shuffle(data)
    for words, tag in data:
        my_loss = dy.hinge(calc_scores(words), tag) if ITER == 2 else dy.pickneglogsoftmax(calc_scores(words), tag)
        report.loss(my_loss.value())
        my_loss.backward()
        trainer.update()

right = [np.argmax(calc_scores([w2i[w] for w in words]).npvalue()) == tag for words, tag in dev]
report.end(sum(right) / len(right))
