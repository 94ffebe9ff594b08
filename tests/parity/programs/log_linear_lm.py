"""A log-linear language model: each of the last words adds its scores of the next one."""

import math
import random
from collections import defaultdict

import dynet_config

dynet_config.set(random_seed=15)

import toy_language
from training_report import Report

import dynet as dy

N = 2  # how many words before

report = Report()
w2i = defaultdict(lambda: len(w2i))
S = w2i["<s>"]
train = [[w2i[x] for x in sentence.words] for sentence in toy_language.sentences(1500, 1)]
dev = [[w2i[x] for x in sentence.words] for sentence in toy_language.sentences(100, 2)]
nwords = len(w2i)

model = dy.Model()
trainer = dy.SimpleSGDTrainer(model, learning_rate=0.1)
W_sm = [model.add_lookup_parameters((nwords, nwords)) for _ in range(N)]
b_sm = model.add_parameters(nwords)


def calc_score_of_history(words):
    score_vecs = [dy.lookup(lookup_param, word) for word, lookup_param in zip(words, W_sm)]
    score_vecs.append(dy.parameter(b_sm))
    return dy.esum(score_vecs)


def calc_sent_loss(sent):
    dy.renew_cg()
    hist = [S] * N
    all_losses = []
    for next_word in sent + [S]:
        s = calc_score_of_history(hist)
        all_losses.append(dy.pickneglogsoftmax(s, next_word))
        hist = hist[1:] + [next_word]
    return dy.esum(all_losses)


def generate_sent(rng):
    dy.renew_cg()
    hist, sent = [S] * N, []
    while True:
        p = dy.softmax(calc_score_of_history(hist)).npvalue()
        next_word = rng.choices(range(nwords), weights=p.tolist())[0]
        if next_word == S or len(sent) == 20:
            return sent
        sent.append(next_word)
        hist = hist[1:] + [next_word]


random.seed(4)
for ITER in range(5):
    random.shuffle(train)
    for sent in train:
        my_loss = calc_sent_loss(sent)
        report.loss(my_loss.value())
        my_loss.backward()
        trainer.update()
    trainer.learning_rate = trainer.learning_rate * 0.9

assert all(0 < word < nwords for _ in range(5) for word in generate_sent(random.Random(1)))
dev_loss = sum(calc_sent_loss(sent).value() for sent in dev)
report.end(math.exp(dev_loss / sum(len(sent) + 1 for sent in dev)))
