"""A feed-forward language model over three words, with tied input and output embeddings."""

import dynet_config

dynet_config.set(random_seed=16, mem=256)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

ORDER, SIZE, HIDDEN, MINIBATCH = 3, 64, 128, 16

report = Report()
train, dev = [[s.words for s in toy_language.sentences(count, seed)] for count, seed in ((1000, 1), (100, 2))]
number = {word: k for k, word in enumerate(["</s>"] + sorted({w for words in train + dev for w in words}))}


def windows(sentences):
    """An array with one row per word: the previous words and the word itself."""
    rows = []
    for words in sentences:
        ids = [0] * ORDER + [number[word] for word in words] + [0]
        rows += [ids[k - ORDER : k + 1] for k in range(ORDER, len(ids))]
    return np.array(rows)


model = dy.ParameterCollection()
E = model.add_lookup_parameters((len(number), SIZE))
p_W, p_b = model.add_parameters((HIDDEN, SIZE * ORDER)), model.add_parameters((HIDDEN))
p_V, p_c = model.add_parameters((SIZE, HIDDEN)), model.add_parameters(len(number), init=dy.ConstInitializer(0.0))
trainer = dy.AdamTrainer(model)


def losses_of(rows, dropout=0.0):
    """Return a batch of losses."""
    dy.renew_cg()
    W, b, V, c = [dy.parameter(p) for p in (p_W, p_b, p_V, p_c)]
    before = dy.concatenate([dy.lookup_batch(E, rows[:, k]) for k in range(ORDER)])
    h = dy.tanh(dy.affine_transform([b, W, before]))
    if dropout:
        h = dy.dropout(h, dropout)
    scores = dy.transpose(dy.parameter(E)) * (V * h) + c
    return dy.pickneglogsoftmax_batch(scores, rows[:, ORDER])


rows, rng = windows(train), np.random.RandomState(5)
for epoch in range(5):
    rng.shuffle(rows)
    for start in range(0, len(rows) - MINIBATCH + 1, MINIBATCH):
        losses = losses_of(rows[start : start + MINIBATCH], 0.05 if epoch else 0)
        loss = dy.sum_batches(losses) / MINIBATCH
        report.loss(loss.value())
        loss.backward()
        trainer.update()

report.end(np.exp(np.mean(losses_of(windows(dev)).npvalue())))
