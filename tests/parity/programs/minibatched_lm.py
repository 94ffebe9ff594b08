"""An LSTM language model in minibatches of sentences, with masks for those that have ended."""

import dynet_config

dynet_config.set(mem=512, random_seed=18)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMBED_SIZE, HIDDEN_SIZE, MB_SIZE = 64, 128, 16

report = Report()
vocab = {"<s>": 0}
train = [[vocab.setdefault(w, len(vocab)) for w in s.words] for s in toy_language.sentences(640, 1)]
test = [[vocab.setdefault(w, len(vocab)) for w in s.words] for s in toy_language.sentences(100, 2)]
train.sort(key=lambda x: -len(x))
test.sort(key=lambda x: -len(x))
S, nwords = 0, len(vocab)

model = dy.Model()
trainer = dy.AdamTrainer(model)
WORDS_LOOKUP = model.add_lookup_parameters((nwords, EMBED_SIZE))
RNN = dy.VanillaLSTMBuilder(2, EMBED_SIZE, HIDDEN_SIZE, model)
W_sm = model.add_parameters((nwords, HIDDEN_SIZE))
b_sm = model.add_parameters(nwords)


def calc_lm_loss(sents):
    dy.renew_cg()
    f_init = RNN.initial_state()
    wids, masks, tot_words = [], [], 0
    for i in range(len(sents[0]) + 1):
        wids.append([(sent[i] if len(sent) > i else S) for sent in sents])
        mask = [(1 if len(sent) >= i else 0) for sent in sents]
        masks.append(mask)
        tot_words += sum(mask)
    init_ids = [S] * len(sents)
    s = f_init.add_input(dy.lookup_batch(WORDS_LOOKUP, init_ids))
    losses = []
    for wid, mask in zip(wids, masks):
        score = dy.affine_transform([b_sm, W_sm, s.output()])
        loss = dy.pickneglogsoftmax_batch(score, wid)
        if mask[-1] != 1:
            mask_expr = dy.inputVector(mask)
            mask_expr = dy.reshape(mask_expr, (1,), len(sents))
            loss = loss * mask_expr
        losses.append(loss)
        s = s.add_input(dy.lookup_batch(WORDS_LOOKUP, wid))
    return dy.sum_batches(dy.esum(losses)), tot_words


train_order = [x * MB_SIZE for x in range((len(train) - 1) // MB_SIZE + 1)]
test_order = [x * MB_SIZE for x in range((len(test) - 1) // MB_SIZE + 1)]
rng = np.random.RandomState(6)
for epoch in range(10):
    if epoch == 4:
        RNN.set_dropout(0.05)
    rng.shuffle(train_order)
    for sid in train_order:
        loss_exp, mb_words = calc_lm_loss(train[sid : sid + MB_SIZE])
        report.loss(loss_exp.scalar_value() / mb_words)
        loss_exp.backward()
        trainer.update()
RNN.disable_dropout()

test_loss = test_words = 0
for sid in test_order:
    loss_exp, mb_words = calc_lm_loss(test[sid : sid + MB_SIZE])
    test_loss += loss_exp.scalar_value()
    test_words += mb_words
report.end(np.exp(test_loss / test_words))
