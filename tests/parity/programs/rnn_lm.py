"""A character language model by a recurrent network, which also makes up words."""

import random

import dynet_config

dynet_config.set(random_seed=17, mem=256)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

LAYERS, INPUT_DIM, HIDDEN_DIM = 2, 32, 64

report = Report()
EOS = "<EOS>"
lines = [" ".join(sentence.words) for sentence in toy_language.sentences(300, 1, longest=6)]
held_out = [" ".join(sentence.words) for sentence in toy_language.sentences(30, 2, longest=6)]
characters = sorted(set("".join(lines))) + [EOS]
int2char = list(characters)
char2int = {c: i for i, c in enumerate(characters)}
VOCAB_SIZE = len(characters)

pc = dy.ParameterCollection()
srnn = dy.SimpleRNNBuilder(LAYERS, INPUT_DIM, HIDDEN_DIM, pc)
params = {}
params["lookup"] = pc.add_lookup_parameters((VOCAB_SIZE, INPUT_DIM))
params["R"] = pc.add_parameters((VOCAB_SIZE, HIDDEN_DIM))
params["bias"] = pc.add_parameters((VOCAB_SIZE))


def do_one_sentence(rnn, sentence):
    dy.renew_cg()
    s0 = rnn.initial_state()
    R = dy.parameter(params["R"])
    bias = dy.parameter(params["bias"])
    lookup = params["lookup"]
    sentence = [EOS] + list(sentence) + [EOS]
    sentence = [char2int[c] for c in sentence]
    s = s0
    loss = []
    for char, next_char in zip(sentence, sentence[1:]):
        s = s.add_input(lookup[char])
        probs = dy.softmax(R * s.output() + bias)
        loss.append(-dy.log(dy.pick(probs, next_char)))
    loss = dy.esum(loss)
    return loss


def generate(rnn, rng):
    def sample(probs):
        rnd = rng.random()
        for i, p in enumerate(probs):
            rnd -= p
            if rnd <= 0:
                break
        return i

    dy.renew_cg()
    s0 = rnn.initial_state()
    s = s0.add_input(params["lookup"][char2int[EOS]])
    out = []
    while len(out) < 80:
        probs = dy.softmax(params["R"] * s.output() + params["bias"])
        probs = probs.vec_value()
        next_char = sample(probs)
        out.append(int2char[next_char])
        if out[-1] == EOS:
            break
        s = s.add_input(params["lookup"][next_char])
    return "".join(out[:-1])


trainer = dy.RMSPropTrainer(pc, 0.003)
for epoch in range(4):
    for line in lines:
        loss = do_one_sentence(srnn, line)
        loss_value = loss.value()
        report.loss(loss_value / len(line))
        loss.backward()
        trainer.update()
    assert set(generate(srnn, random.Random(epoch))) <= set(characters)

total = sum(do_one_sentence(srnn, line).value() for line in held_out)
report.end(np.exp(total / sum(len(line) + 1 for line in held_out)))
