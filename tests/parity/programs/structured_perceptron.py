"""A tagger trained on its best wrong sequence, with a margin: Viterbi in the graph. It begins with `import _dynet`."""

import random

import _dynet

settings = _dynet.DynetParams()
settings.set_mem(512)
settings.set_random_seed(21)
settings.init()

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, HIDDEN, MARGIN = 64, 100, 1.0

report = Report()
train, dev = toy_language.sentences(300, 1), toy_language.sentences(80, 2)
words, tags = [sorted({x for s in train + dev for x in s[field]}) for field in (0, 1)]
EDGE = len(tags)  # the tag before the first word and after the last

model = _dynet.ParameterCollection()
vectors = model.add_lookup_parameters((len(words), SIZE))
follows = model.add_lookup_parameters((EDGE + 1, EDGE + 1), init=_dynet.ConstInitializer(0))
reader = _dynet.VanillaLSTMBuilder(1, SIZE, HIDDEN, model)
W = model.add_parameters((EDGE + 1, HIDDEN + SIZE))
trainer = _dynet.AdamTrainer(model, 0.003)


def fits_of(sentence):
    """How well the tags fit each word, given the neighboring words: an array of expressions."""
    dy.renew_cg()
    seen = [vectors[words.index(word)] for word in sentence.words]
    past = reader.initial_state().transduce(seen)
    future = seen[1:] + [_dynet.zeroes((SIZE,))]
    return np.array([W * _dynet.tanh(dy.concatenate([p, f])) for p, f in zip(past, future)])


def best_path(fits):
    """The best tags, and the expression of their score."""
    table = [follows[tag] for tag in range(EDGE + 1)]
    reached, pointers = dy.inputVector([-1e4] * EDGE + [0]), []
    for fit in fits:
        ways = [reached + row for row in table]
        pointers.append([np.argmax(way.npvalue()) for way in ways])
        reached = fit + dy.concatenate([dy.pick(way, k) for way, k in zip(ways, pointers[-1])])
    last = reached + table[EDGE]
    path = [np.argmax(last.npvalue())]
    score = dy.pick(last, path[0])
    for pointer in pointers[:0:-1]:
        path.insert(0, pointer[path[0]])
    return path, score


def loss_of(sentence):
    """By how much a wrong sequence beats the right one; None if the right one is best by the margin."""
    fits, gold = fits_of(sentence), [tags.index(tag) for tag in sentence.tags]
    handicaps = MARGIN * (1 - np.eye(EDGE + 1)[gold])
    found, score = best_path([fit + dy.inputVector(h) for fit, h in zip(fits, handicaps)])
    if list(found) == gold:
        return None
    right = [dy.pick(fit, tag) for fit, tag in zip(fits, gold)]
    right += [dy.pick(follows[after], before) for before, after in zip([EDGE] + gold, gold + [EDGE])]
    return score - dy.esum(right)


random.seed(9)
for epoch in range(4):
    random.shuffle(train)
    for sentence in train:
        loss = loss_of(sentence)
        report.loss(loss.scalar_value() / len(sentence.words) if loss is not None else 0)
        if loss is not None:
            loss.backward()
            trainer.update()

right = total = 0
for sentence in dev:
    path, _ = best_path(fits_of(sentence))
    right += sum(tags[k] == tag for k, tag in zip(path, sentence.tags) if k < EDGE)
    total += len(path)
report.end(right / total)
