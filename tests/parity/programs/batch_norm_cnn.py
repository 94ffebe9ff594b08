"""A minibatched image classifier: convolution, pooling, batch normalization with learned scales, momentum."""

import dynet_config

dynet_config.set(mem=512, random_seed=32)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, FILTERS, HIDDEN, CLASSES, BATCH = 8, 16, 64, 16, 16

report = Report()
model = dy.Model()
filters = model.add_parameters((3, 3, 1, FILTERS))
filter_bias = model.add_parameters((FILTERS,))
W1 = model.add_parameters((HIDDEN, SIZE // 2 * SIZE // 2 * FILTERS))
gamma, beta = model.add_parameters((HIDDEN,), init=dy.ConstInitializer(1)), model.add_parameters((HIDDEN,), init=0)
W2 = model.add_parameters((CLASSES, HIDDEN))
b2 = model.add_parameters((CLASSES,))
trainer = dy.MomentumSGDTrainer(model, learning_rate=0.05)
running = {"mean": np.zeros(HIDDEN), "var": np.ones(HIDDEN)}


def classify(pictures, train):
    dy.renew_cg()
    x = dy.inputTensor(np.moveaxis(pictures, 0, -1)[:, :, None, :], batched=True)
    x = dy.conv2d_bias(x, filters, filter_bias, [1, 1], is_valid=False)
    x = dy.rectify(dy.maxpooling2d(x, [2, 2], [2, 2]))
    count = len(pictures)
    x = W1 * dy.reshape(x, (SIZE // 2 * SIZE // 2 * FILTERS,), batch_size=count)
    if train:
        mean = dy.moment_dim(x, [], 1, True)
        x_minus = x - mean
        var = dy.mean_batches(dy.square(x_minus))
        running["mean"] = running["mean"] * 0.9 + mean.npvalue() * 0.1
        running["var"] = running["var"] * 0.9 + var.npvalue() * 0.1
        x = dy.cdiv(x_minus, dy.sqrt(var + 1e-3))
    else:
        x = dy.cdiv(x - dy.inputVector(running["mean"]), dy.inputVector(np.sqrt(running["var"] + 1e-3)))
    return W2 * dy.rectify(dy.cmult(gamma, x) + beta) + b2


train, labels = toy_language.bars(3200, 1, size=SIZE)
test, answers = toy_language.bars(400, 2, size=SIZE)
rng = np.random.RandomState(10)
for epoch in range(2):
    order = rng.permutation(len(train))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        losses = dy.pickneglogsoftmax_batch(classify(train[places], True), labels[places])
        loss = dy.sum_batches(losses) / float(len(places))
        report.loss(loss.value())
        loss.backward()
        trainer.update()

probs = dy.softmax(classify(test, False)).npvalue()
report.end(np.mean(probs.argmax(axis=0) == answers))
