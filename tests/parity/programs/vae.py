"""A variational autoencoder of small pictures, in minibatches; the noise is numpy's in training, DyNet's afterwards."""

import dynet_config

dynet_config.set(random_seed=29, mem=512)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

DIM, HIDDEN, Z_DIM, BATCH = 36, 128, 6, 20


class DynetLayer(object):
    def __init__(self, pc, in_dim, out_dim):
        self.W = pc.add_parameters((out_dim, in_dim))
        self.b = pc.add_parameters((out_dim,), init=dy.ConstInitializer(0))

    def __call__(self, x):
        return dy.parameter(self.b) + dy.parameter(self.W) * x


class VAE(object):
    def __init__(self, pc):
        self.encoder_layer = DynetLayer(pc, DIM, HIDDEN)
        self.encoder_mu, self.encoder_logvar = DynetLayer(pc, HIDDEN, Z_DIM), DynetLayer(pc, HIDDEN, Z_DIM)
        self.decoder_layer = DynetLayer(pc, Z_DIM, HIDDEN)
        self.decoder_output = DynetLayer(pc, HIDDEN, DIM)

    def encode(self, x):
        h = dy.rectify(self.encoder_layer(x))
        return self.encoder_mu(h), self.encoder_logvar(h)

    def decode(self, z):
        return dy.logistic(self.decoder_output(dy.rectify(self.decoder_layer(z))))

    def losses(self, x, eps):
        """How badly x is made again, and how far its code is from noise; a number for each of the batch."""
        mu, logvar = self.encode(x)
        z = mu + dy.cmult(eps, dy.exp(logvar * 0.5))
        recon_x = self.decode(z)
        bce = -dy.sum_elems(dy.cmult(x, dy.log(recon_x + 1e-10)) + dy.cmult(-x + 1, dy.log(-recon_x + 1.0 + 1e-10)))
        kld = dy.sum_elems(dy.square(mu) + dy.exp(logvar) - logvar - 1) * 0.5
        return bce, kld


report = Report()
train, _ = toy_language.bars(3000, 1)
test, _ = toy_language.bars(400, 2)
train, test = [data.reshape(len(data), DIM) for data in (train, test)]
pc = dy.ParameterCollection()
vae = VAE(pc)
trainer = dy.AdamTrainer(pc, alpha=0.002)
rng = np.random.RandomState(8)
for epoch in range(6):
    order = rng.permutation(len(train))
    for start in range(0, len(order), BATCH):
        dy.renew_cg()
        x = dy.inputTensor(train[order[start : start + BATCH]].T, batched=True)
        eps = dy.inputTensor(rng.standard_normal((Z_DIM, BATCH)), batched=True)
        bce, kld = vae.losses(x, eps)
        loss = dy.mean_batches(bce + kld)
        report.loss(loss.value())
        loss.backward()
        trainer.update()

dy.renew_cg()
made = vae.decode(dy.random_normal((Z_DIM,), 0.0, 1.0, 10))
assert made.dim() == ((DIM,), 10) and 0 <= made.npvalue().min() <= made.npvalue().max() <= 1
dy.renew_cg()
bce, kld = vae.losses(dy.inputTensor(test.T, batched=True), dy.random_normal((Z_DIM,), batch_size=len(test)))
report.end(dy.mean_batches(bce + kld).value())
