"""A log-linear language model: each of the last words adds its scores of the next one."""

import math
import random

import dynet_config

dynet_config.set(random_seed=15)

import toy_language
from training_report import Report

import dynet as dy

ORDER, END = 2, 0

report = Report()
train, dev = [[s.words for s in toy_language.sentences(count, seed)] for count, seed in ((1500, 1), (100, 2))]
number = {word: k for k, word in enumerate(["</s>"] + sorted({w for words in train + dev for w in words}))}

model = dy.Model()
tables = [model.add_lookup_parameters((len(number), len(number))) for _ in range(ORDER)]
prior = model.add_parameters(len(number))
trainer = dy.SimpleSGDTrainer(model, learning_rate=0.1)


def next_scores(history):
    """What the words before have to say, the last one by the last table."""
    said = [dy.lookup(table, word) for table, word in zip(tables, history[-ORDER:])]
    return dy.esum(said + [dy.parameter(prior)])


def loss_of(words):
    dy.renew_cg()
    ids = [END] * ORDER + [number[word] for word in words] + [END]
    return dy.esum([dy.pickneglogsoftmax(next_scores(ids[:k]), ids[k]) for k in range(ORDER, len(ids))])


def invented(rng):
    """A sentence of the model's own, of at most 20 words."""
    dy.renew_cg()
    ids = [END] * ORDER
    while len(ids) == ORDER or (ids[-1] != END and len(ids) < ORDER + 20):
        chances = dy.softmax(next_scores(ids)).npvalue()
        ids.append(rng.choices(range(len(number)), weights=chances.tolist())[0])
    return ids[ORDER:]


random.seed(4)
for epoch in range(5):
    random.shuffle(train)
    for words in train:
        loss = loss_of(words)
        report.loss(loss.value())
        loss.backward()
        trainer.update()
    trainer.learning_rate = trainer.learning_rate * 0.9

assert 1 <= len(invented(random.Random(1))) <= 20
surprise = sum(loss_of(words).value() for words in dev)
report.end(math.exp(surprise / sum(len(words) + 1 for words in dev)))
