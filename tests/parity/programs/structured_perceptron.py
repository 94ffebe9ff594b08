"""A tagger trained by its best wrong sequence, with a margin: Viterbi in the graph. It begins with `import _dynet`."""

import random

import _dynet

dyparams = _dynet.DynetParams()
dyparams.set_mem(512)
dyparams.set_random_seed(21)
dyparams.init()

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB, HID = 64, 100

report = Report()
train, dev = toy_language.sentences(300, 1), toy_language.sentences(80, 2)
w2i = {w: i for i, w in enumerate(sorted({w for s in train + dev for w in s.words}))}
i2t = sorted({t for s in train for t in s.tags}) + ["<s>"]
t2i = {t: i for i, t in enumerate(i2t)}
S_T, ntags = t2i["<s>"], len(i2t)

model = _dynet.ParameterCollection()
LOOKUP = model.add_lookup_parameters((len(w2i), EMB))
TRANS_LOOKUP = model.add_lookup_parameters((ntags, ntags), init=_dynet.ConstInitializer(0))
LSTM = _dynet.VanillaLSTMBuilder(1, EMB, HID, model)
W_SM = model.add_parameters((ntags, HID + EMB))
trainer = _dynet.AdamTrainer(model, 0.003)


def calc_scores(words):
    dy.renew_cg()
    word_reps = LSTM.initial_state().transduce([LOOKUP[w2i[x]] for x in words])
    following = [LOOKUP[w2i[x]] for x in words[1:]] + [_dynet.zeroes((EMB,))]
    return [W_SM * _dynet.tanh(dy.concatenate([h, x])) for h, x in zip(word_reps, following)]


def viterbi_decoding(word_scores, gold=None, margin=0.0):
    """The best tags and the graph of their score; with gold, those that are not it are better by a margin."""
    tag_trans = [TRANS_LOOKUP[tag] for tag in range(ntags)]
    for_expr = dy.inputVector([-1e4] * S_T + [0])
    backpointers = []
    for k, score in enumerate(word_scores):
        if gold is not None and margin > 0:
            score = score + dy.inputVector([0.0 if i == gold[k] else margin for i in range(ntags)])
        my_best_ids, my_best_exprs = [], []
        for next_tag in range(ntags):
            next_single = for_expr + tag_trans[next_tag]
            values = next_single.npvalue()
            my_best_id = np.argmax(values)
            my_best_ids.append(my_best_id)
            my_best_exprs.append(dy.pick(next_single, my_best_id))
        for_expr = dy.concatenate(my_best_exprs) + score
        backpointers.append(my_best_ids)
    for_expr = for_expr + tag_trans[S_T]
    best_id = np.argmax(for_expr.npvalue())
    best_expr = dy.pick(for_expr, best_id)
    path = [best_id]
    for ids in reversed(backpointers):
        path.append(ids[path[-1]])
    assert path.pop() == S_T
    return path[::-1], best_expr


def viterbi_sent_loss(words, tags, margin=1.0):
    gold = [t2i[t] for t in tags]
    word_scores = np.array(calc_scores(words))
    tags_hat, score_hat = viterbi_decoding(list(word_scores), gold, margin)
    if list(tags_hat) == gold:
        return None
    before = [S_T] + gold
    scores = [dy.pick(word_scores[k], gold[k]) for k in range(len(gold))]
    scores += [dy.pick(TRANS_LOOKUP[b], a) for a, b in zip(before, gold + [S_T])]
    return score_hat - dy.esum(scores)


random.seed(9)
for epoch in range(4):
    random.shuffle(train)
    for sent in train:
        loss = viterbi_sent_loss(sent.words, sent.tags)
        if loss is None:
            report.loss(0)
            continue
        report.loss(loss.scalar_value() / len(sent.words))
        loss.backward()
        trainer.update()

right = total = 0
for sent in dev:
    found, _ = viterbi_decoding(calc_scores(sent.words))
    right += sum(i2t[i] == t for i, t in zip(found, sent.tags))
    total += len(found)
report.end(right / total)
