"""A bag-of-words classifier: each word adds a row of scores, one per class."""

import random

import dynet_config

dynet_config.set(mem=256, random_seed=11)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

CLASSES, EPOCHS = 3, 12

report = Report()
reviews, held_out = toy_language.reviews(3000, 1), toy_language.reviews(300, 2)
number = {"?": 0}  # for words that are not in the training reviews
for words, _ in reviews:
    for word in words:
        number.setdefault(word, len(number))

model = dy.Model()
votes = model.add_lookup_parameters((len(number), CLASSES))
bias = model.add_parameters((CLASSES))
trainer = dy.AdamTrainer(model)


def scores_of(words):
    dy.renew_cg()
    ballots = [dy.lookup(votes, number.get(word, 0)) for word in words]
    return dy.esum(ballots) + dy.parameter(bias)


random.seed(1)
for epoch in range(EPOCHS):
    random.shuffle(reviews)
    for words, verdict in reviews:
        loss = dy.pickneglogsoftmax(scores_of(words), verdict)
        report.loss(loss.value())
        loss.backward()
        trainer.update()

right = 0.0
for words, verdict in held_out:
    if np.argmax(scores_of(words).npvalue()) == verdict:
        right += 1
report.end(right / len(held_out))
