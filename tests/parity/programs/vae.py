"""A variational autoencoder for small images, in minibatches; noise is numpy's in training, DyNet's afterwards."""

import dynet_config

dynet_config.set(random_seed=29, mem=512)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

PIXELS, HIDDEN, CODE, MINIBATCH = 36, 128, 6, 20


class Layer:
    def __init__(self, pc, inputs, outputs):
        self.W = pc.add_parameters((outputs, inputs))
        self.b = pc.add_parameters((outputs,), init=dy.ConstInitializer(0))

    def __call__(self, x):
        return dy.parameter(self.b) + dy.parameter(self.W) * x


class Autoencoder:
    def __init__(self, pc):
        self.read, self.write = Layer(pc, PIXELS, HIDDEN), Layer(pc, CODE, HIDDEN)
        self.mean, self.log_variance = Layer(pc, HIDDEN, CODE), Layer(pc, HIDDEN, CODE)
        self.pixels = Layer(pc, HIDDEN, PIXELS)

    def decode(self, code):
        return dy.logistic(self.pixels(dy.rectify(self.write(code))))

    def bound(self, x, noise):
        """The batch mean of the reconstruction loss and of the code's divergence from noise."""
        h = dy.rectify(self.read(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        y = self.decode(mean + dy.cmult(noise, dy.exp(log_variance * 0.5)))
        likelihood = dy.cmult(x, dy.log(y + 1e-10)) + dy.cmult(-x + 1, dy.log(-y + 1.0 + 1e-10))
        divergence = dy.sum_elems(dy.square(mean) + dy.exp(log_variance) - log_variance - 1) * 0.5
        return dy.mean_batches(divergence - dy.sum_elems(likelihood))


report = Report()
train, test = [toy_language.bars(count, seed)[0].reshape(count, PIXELS) for count, seed in ((3000, 1), (400, 2))]
pc = dy.ParameterCollection()
autoencoder = Autoencoder(pc)
trainer = dy.AdamTrainer(pc, alpha=0.002)
rng = np.random.RandomState(8)
for epoch in range(6):
    order = rng.permutation(len(train))
    for start in range(0, len(order), MINIBATCH):
        dy.renew_cg()
        x = dy.inputTensor(train[order[start : start + MINIBATCH]].T, batched=True)
        loss = autoencoder.bound(x, dy.inputTensor(rng.standard_normal((CODE, MINIBATCH)), batched=True))
        report.loss(loss.value())
        loss.backward()
        trainer.update()

dy.renew_cg()
made = autoencoder.decode(dy.random_normal((CODE,), 0.0, 1.0, 10))
assert made.dim() == ((PIXELS,), 10) and 0 <= made.npvalue().min() <= made.npvalue().max() <= 1
dy.renew_cg()
noise = dy.random_normal((CODE,), batch_size=len(test))
report.end(autoencoder.bound(dy.inputTensor(test.T, batched=True), noise).value())
