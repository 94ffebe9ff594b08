"""An LSTM language model in minibatches of sentences, with masks for sentences that have ended."""

import dynet_config

dynet_config.set(mem=512, random_seed=18)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, HIDDEN, MINIBATCH, END = 64, 128, 16, 0

report = Report()
train, test = [[s.words for s in toy_language.sentences(count, seed)] for count, seed in ((640, 1), (100, 2))]
number = {word: k for k, word in enumerate(["</s>"] + sorted({w for words in train + test for w in words}))}


def minibatches(sentences):
    """Pairs of arrays, one column per sentence: words, after an END, and whether they belong to the sentence."""
    sentences = sorted(sentences, key=len)
    for start in range(0, len(sentences), MINIBATCH):
        chosen = sentences[start : start + MINIBATCH]
        words = np.full((len(chosen[-1]) + 2, len(chosen)), END)
        inside = np.zeros(words.shape)
        for column, sentence in enumerate(chosen):
            words[1 : len(sentence) + 1, column] = [number[word] for word in sentence]
            inside[1 : len(sentence) + 2, column] = 1
        yield words, inside


model = dy.Model()
lookup = model.add_lookup_parameters((len(number), SIZE))
network = dy.VanillaLSTMBuilder(2, SIZE, HIDDEN, model)
W, b = model.add_parameters((len(number), HIDDEN)), model.add_parameters(len(number))
trainer = dy.AdamTrainer(model)


def loss_of(words, inside):
    """The sum over all words of all sentences."""
    dy.renew_cg()
    state, steps = network.initial_state(), []
    for now, after, real in zip(words, words[1:], inside[1:]):
        state = state.add_input(dy.lookup_batch(lookup, now.tolist()))
        step = dy.pickneglogsoftmax_batch(dy.affine_transform([b, W, state.output()]), after.tolist())
        if not real.all():
            step = step * dy.reshape(dy.inputVector(real), (1,), len(real))
        steps.append(step)
    return dy.sum_batches(dy.esum(steps))


batches, rng = list(minibatches(train)), np.random.RandomState(6)
for epoch in range(10):
    if epoch == 4:
        network.set_dropout(0.05)
    for k in rng.permutation(len(batches)):
        words, inside = batches[k]
        loss = loss_of(words, inside)
        report.loss(loss.scalar_value() / inside.sum())
        loss.backward()
        trainer.update()
network.disable_dropout()

surprise = sum(loss_of(*batch).scalar_value() for batch in minibatches(test))
report.end(np.exp(surprise / sum(len(words) + 1 for words in test)))
