"""A small transformer tagger: attention heads, layer normalization, and batch normalization before its output."""

import random

import dynet_config

dynet_config.set(mem=1024, random_seed=31)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

DIM, HEADS, INNER, LAYERS = 64, 4, 128, 2


class LayerNorm(object):
    def __init__(self, dim, pc):
        self.gain = pc.add_parameters(dim=dim, init=dy.ConstInitializer(1.0))
        self.shift = pc.add_parameters(dim=dim, init=dy.ConstInitializer(0.0))

    def __call__(self, columns):
        return [dy.layer_norm(x, self.gain, self.shift) for x in columns]


class BatchNorm(object):
    def __init__(self, dim, pc):
        self.gamma, self.beta = pc.add_parameters(dim, init=1.0), pc.add_parameters(dim, init=0.0)
        self.mean, self.std = np.zeros(dim), np.ones(dim)

    def __call__(self, batch, train):
        """A batch of vectors, with each element normalized over the batch; evaluation uses the running means."""
        if not train:
            normalised = dy.cdiv(batch - dy.inputVector(self.mean), dy.inputVector(self.std + 1e-5))
        else:
            mean, std = dy.mean_batches(batch), dy.std_batches(batch)
            self.mean = 0.95 * self.mean + 0.05 * mean.npvalue()
            self.std = 0.95 * self.std + 0.05 * std.npvalue()
            normalised = dy.cdiv(batch - mean, std + 1e-5)
        return dy.cmult(normalised, self.gamma) + self.beta


class EncoderLayer(object):
    def __init__(self, pc):
        pc = pc.add_subcollection("layer")
        self.W = [pc.add_parameters((DIM, DIM)) for _ in "qkvo"]
        self.ff_W = [pc.add_parameters((INNER, DIM)), pc.add_parameters((DIM, INNER))]
        self.ff_b = [pc.add_parameters((INNER,), init=0), pc.add_parameters((DIM,), init=0)]
        self.norms = [LayerNorm(DIM, pc), LayerNorm(DIM, pc)]

    def __call__(self, x, mask):
        """x is a matrix with one column per word."""
        query, key, value = [W * x for W in self.W[:3]]
        size, attended = DIM // HEADS, []
        for k in range(HEADS):
            q, ky, v = [dy.pick_range(m, k * size, (k + 1) * size) for m in (query, key, value)]
            scores = (dy.transpose(ky) * q) * (1 / np.sqrt(size))
            attended.append(v * dy.softmax(scores + mask))
        x = x + self.W[3] * dy.concatenate(attended)
        x = dy.concatenate_cols(self.norms[0]([dy.pick(x, i, 1) for i in range(x.dim()[0][1])]))
        inner = dy.rectify(dy.colwise_add(self.ff_W[0] * x, self.ff_b[0]))
        x = x + dy.colwise_add(self.ff_W[1] * inner, self.ff_b[1])
        return dy.concatenate_cols(self.norms[1]([dy.select_cols(x, [i]) for i in range(x.dim()[0][1])]))


class Tagger(object):
    def __init__(self, words, tags):
        self.w2i, self.t2i = {w: i for i, w in enumerate(words)}, {t: i for i, t in enumerate(tags)}
        self.pc = dy.ParameterCollection()
        self.E = self.pc.add_lookup_parameters((len(words), DIM))
        self.layers = [EncoderLayer(self.pc) for _ in range(LAYERS)]
        self.bn = BatchNorm(DIM, self.pc)
        self.W, self.b = self.pc.add_parameters((len(tags), DIM)), self.pc.add_parameters((len(tags),))
        angles = np.outer(1.0 / 100 ** (np.arange(DIM // 2) / (DIM // 2)), np.arange(50))
        self.positions = np.concatenate([np.sin(angles), np.cos(angles)])

    def scores(self, words, train):
        """Return a batch of vectors, one per word."""
        count = len(words)
        x = dy.concatenate_cols([self.E[self.w2i[w]] for w in words]) * np.sqrt(DIM)
        x = x + dy.inputTensor(self.positions[:, :count])
        mask = dy.inputTensor(np.zeros((count, count)))
        for layer in self.layers:
            x = layer(x, mask)
        batch = dy.reshape(x, (DIM,), batch_size=count)
        return dy.affine_transform([self.b, self.W, self.bn(batch, train)])


report = Report()
train, dev = toy_language.sentences(250, 1), toy_language.sentences(60, 2)
words = sorted({w for s in train + dev for w in s.words})
tagger = Tagger(words, sorted({t for s in train for t in s.tags}))
trainer = dy.AdamTrainer(tagger.pc, 0.001)
random.seed(17)
for epoch in range(8):
    random.shuffle(train)
    trainer.learning_rate = 0.001 / (1 + epoch / 2.0)
    for sentence in train:
        dy.renew_cg()
        tags = [tagger.t2i[t] for t in sentence.tags]
        loss = dy.mean_batches(dy.pickneglogsoftmax_batch(tagger.scores(sentence.words, True), tags))
        report.loss(loss.value())
        loss.backward()
        trainer.update()
right = total = 0
for sentence in dev:
    dy.renew_cg()
    best = tagger.scores(sentence.words, False).tensor_value().argmax().as_numpy()
    right += np.sum(np.ravel(best) == [tagger.t2i[t] for t in sentence.tags])
    total += len(sentence.tags)
report.end(right / total)
