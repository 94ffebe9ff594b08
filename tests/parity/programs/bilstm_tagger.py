"""A tagger by two LSTMs over words, with LSTMs over the characters of rare words; it saves and reads its model."""

import os
import random
import tempfile
from collections import Counter

import dynet_config

dynet_config.set(mem=512, random_seed=19)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD_DIM, CHAR_DIM, HIDDEN, MLP = 64, 20, 100, 32

report = Report()
train = [list(zip(s.words, s.tags)) for s in toy_language.sentences(400, 1)]
dev = [list(zip(s.words, s.tags)) for s in toy_language.sentences(80, 2)]
wc = Counter(w for sent in train for w, _ in sent)
frequent = sorted(w for w in wc if wc[w] > 40) + ["_UNK_"]
chars = sorted({c for w in wc for c in w}) + ["<*>"]
tags = sorted({t for sent in train for _, t in sent})
vw, vc, vt = ({name: i for i, name in enumerate(names)} for names in (frequent, chars, tags))
UNK = vw["_UNK_"]
nwords, nchars, ntags = len(vw), len(vc), len(vt)


def make():
    model = dy.Model()
    p = {
        "words": model.add_lookup_parameters((nwords, WORD_DIM)),
        "chars": model.add_lookup_parameters((nchars, CHAR_DIM)),
        "H": model.add_parameters((MLP, HIDDEN)),
        "O": model.add_parameters((ntags, MLP)),
        "fwd": dy.VanillaLSTMBuilder(1, WORD_DIM, HIDDEN / 2, model),
        "bwd": dy.VanillaLSTMBuilder(1, WORD_DIM, HIDDEN / 2, model),
        "cfwd": dy.GRUBuilder(1, CHAR_DIM, WORD_DIM / 2, model),
        "cbwd": dy.GRUBuilder(1, CHAR_DIM, WORD_DIM / 2, model),
    }
    return model, p


def word_rep(w, p, cf_init, cb_init):
    if wc[w] > 40:
        return p["words"][vw[w]]
    pad_char = vc["<*>"]
    char_ids = [pad_char] + [vc.get(c, pad_char) for c in w] + [pad_char]
    char_embs = [p["chars"][cid] for cid in char_ids]
    fw_exps = cf_init.transduce(char_embs)
    bw_exps = cb_init.transduce(reversed(char_embs))
    return dy.concatenate([fw_exps[-1], bw_exps[-1]])


def build_tagging_graph(words, p):
    H = dy.parameter(p["H"])
    O = dy.parameter(p["O"])  # noqa: E741
    f_init, b_init = p["fwd"].initial_state(), p["bwd"].initial_state()
    cf_init, cb_init = p["cfwd"].initial_state(), p["cbwd"].initial_state()
    wembs = [word_rep(w, p, cf_init, cb_init) for w in words]
    fws = [state.output() for state in f_init.add_inputs(wembs)]
    bws = [state.output() for state in b_init.add_inputs(reversed(wembs))]
    bi = [dy.concatenate([f, b]) for f, b in zip(fws, reversed(bws))]
    return [O * (dy.tanh(H * x)) for x in bi]


def sent_loss_precalc(words, golds, vecs):
    return dy.esum([dy.pickneglogsoftmax(v, vt[t]) for v, t in zip(vecs, golds)])


def tag_sent(words, p):
    dy.renew_cg()
    vecs = [dy.softmax(v) for v in build_tagging_graph(words, p)]
    return [tags[np.argmax(v.npvalue())] for v in vecs]


model, p = make()
trainer = dy.AdamTrainer(model, 0.003)
random.seed(7)
for ITER in range(3):
    random.shuffle(train)
    for s in train:
        words, golds = [w for w, t in s], [t for w, t in s]
        dy.renew_cg()
        loss_exp = sent_loss_precalc(words, golds, build_tagging_graph(words, p))
        report.loss(loss_exp.scalar_value() / len(golds))
        loss_exp.backward()
        trainer.update()

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "tagger.model")
    model.save(path)
    again, p = make()
    again.populate(path)
good = bad = 0.0
for sent in dev:
    for tag, (_, gold) in zip(tag_sent([w for w, _ in sent], p), sent):
        good, bad = good + (tag == gold), bad + (tag != gold)
report.end(good / (good + bad))
