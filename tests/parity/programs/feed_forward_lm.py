"""A feed-forward language model of three words at a time; the embeddings of words are also those of its output."""

import dynet_config

dynet_config.set(random_seed=16, mem=256)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

N, EMB_SIZE, HID_SIZE, BATCH = 3, 64, 128, 16

report = Report()
vocab = {"<s>": 0}
for sentence in toy_language.sentences(1000, 1):
    for word in sentence.words:
        vocab.setdefault(word, len(vocab))


def examples(sentences):
    """Arrays of histories and next words."""
    histories, nexts = [], []
    for sentence in sentences:
        ids = [0] * N + [vocab[w] for w in sentence.words] + [0]
        for i in range(N, len(ids)):
            histories.append(ids[i - N : i])
            nexts.append(ids[i])
    return np.array(histories), np.array(nexts)


model = dy.ParameterCollection()
W_emb = model.add_lookup_parameters((len(vocab), EMB_SIZE))
W_h_p = model.add_parameters((HID_SIZE, EMB_SIZE * N))
b_h_p = model.add_parameters((HID_SIZE))
W_o_p = model.add_parameters((EMB_SIZE, HID_SIZE))
b_sm_p = model.add_parameters((len(vocab)), init=dy.ConstInitializer(0.0))
trainer = dy.AdamTrainer(model)


def calc_scores(histories, train=True):
    W_h, b_h, W_o, b_sm = (dy.parameter(p) for p in (W_h_p, b_h_p, W_o_p, b_sm_p))
    embs = dy.concatenate([dy.lookup_batch(W_emb, histories[:, k]) for k in range(N)])
    h = dy.tanh(dy.affine_transform([b_h, W_h, embs]))
    if train == "dropout":
        h = dy.dropout(h, 0.05)
    return dy.transpose(dy.parameter(W_emb)) * (W_o * h) + b_sm


histories, nexts = examples(toy_language.sentences(1000, 1))
rng, step = np.random.RandomState(5), 0
for epoch in range(5):
    order = rng.permutation(len(nexts))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        places = order[start : start + BATCH]
        dy.renew_cg()
        scores = calc_scores(histories[places], "dropout" if step > 20 else True)
        loss = dy.sum_batches(dy.pickneglogsoftmax_batch(scores, nexts[places])) / BATCH
        report.loss(loss.value())
        loss.backward()
        trainer.update()
        step += 1

histories, nexts = examples(toy_language.sentences(100, 2))
dy.renew_cg()
losses = dy.pickneglogsoftmax_batch(calc_scores(histories, False), nexts)
report.end(np.exp(np.mean(losses.npvalue())))
