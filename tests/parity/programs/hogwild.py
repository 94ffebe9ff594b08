"""Two processes that train one model in shared memory without locks; the first steps run in one process."""

import multiprocessing
import random

import dynet_config

dynet_config.set(mem=256, random_seed=33, shared_parameters=True)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB, HIDDEN, WORKERS = 64, 100, 2

report = Report()
train, dev = toy_language.sentences(600, 1), toy_language.sentences(80, 2)
w2i = {w: i for i, w in enumerate(sorted({w for s in train + dev for w in s.words}))}
tags = sorted({t for s in train for t in s.tags})
model = dy.Model()
E = model.add_lookup_parameters((len(w2i), EMB))
rnn = dy.BiRNNBuilder(1, EMB, HIDDEN, model, dy.GRUBuilder)
W = model.add_parameters((len(tags), HIDDEN))
trainer = dy.SimpleSGDTrainer(model, learning_rate=0.05)


def scores(sentence):
    dy.renew_cg()
    return [W * h for h in rnn.transduce([E[w2i[w]] for w in sentence.words])]


def train_on(sentences):
    losses = []
    for sentence in sentences:
        golds = [tags.index(t) for t in sentence.tags]
        loss = dy.esum([dy.pickneglogsoftmax(s, t) for s, t in zip(scores(sentence), golds)])
        losses.append(loss.value() / len(golds))
        loss.backward()
        trainer.update()
    return losses


def work(number, queue):
    own = train[number::WORKERS]
    random.seed(number)
    for _ in range(3):
        random.shuffle(own)
        queue.put(train_on(own))


for loss in train_on(train[:10]):
    report.loss(loss)
fork = multiprocessing.get_context("fork")
queue = fork.Queue()
workers = [fork.Process(target=work, args=(number, queue)) for number in range(WORKERS)]
for worker in workers:
    worker.start()
for _ in range(3 * WORKERS):
    for loss in queue.get():
        report.loss(loss)
for worker in workers:
    worker.join()
right = [tags[np.argmax(s.npvalue())] == t for x in dev for s, t in zip(scores(x), x.tags)]
report.end(np.mean(right))
