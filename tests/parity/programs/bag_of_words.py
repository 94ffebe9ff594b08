"""A bag of words classifier: each word votes for each class by a row of scores."""

import random
from collections import defaultdict

import dynet_config

dynet_config.set(mem=256, random_seed=11)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

report = Report()
train, test = toy_language.reviews(3000, 1), toy_language.reviews(300, 2)

w2i = defaultdict(lambda: len(w2i))
UNK = w2i["<unk>"]
train = [([w2i[w] for w in words], tag) for words, tag in train]
w2i = defaultdict(lambda: UNK, w2i)
test = [([w2i[w] for w in words], tag) for words, tag in test]
nwords, ntags = len(w2i), 3

model = dy.Model()
trainer = dy.AdamTrainer(model)
W_sm = model.add_lookup_parameters((nwords, ntags))
b_sm = model.add_parameters((ntags))


def calc_scores(words):
    dy.renew_cg()
    score = dy.esum([dy.lookup(W_sm, x) for x in words])
    return score + dy.parameter(b_sm)


random.seed(1)
for ITER in range(12):
    random.shuffle(train)
    for words, tag in train:
        my_loss = dy.pickneglogsoftmax(calc_scores(words), tag)
        report.loss(my_loss.value())
        my_loss.backward()
        trainer.update()

test_correct = 0.0
for words, tag in test:
    scores = calc_scores(words).npvalue()
    predict = np.argmax(scores)
    if predict == tag:
        test_correct += 1
report.end(test_correct / len(test))
