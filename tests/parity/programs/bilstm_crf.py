"""A BiLSTM tagger with a conditional random field: the forward algorithm in the graph, Viterbi outside."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=20)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMBEDDING_SIZE, HIDDEN_SIZE = 64, 100


class BiLSTMCRF:
    def __init__(self, words, tags):
        self.w2i = {w: i for i, w in enumerate(words)}
        self.i2t = list(tags) + ["<START>", "<STOP>"]
        self.t2i = {t: i for i, t in enumerate(self.i2t)}
        self.tagset_size = len(self.i2t)
        self.model = dy.ParameterCollection()
        self.embeddings = self.model.add_lookup_parameters((len(words), EMBEDDING_SIZE), init="glorot")
        self.bi_lstm = dy.BiRNNBuilder(1, EMBEDDING_SIZE, HIDDEN_SIZE / 1, self.model, dy.VanillaLSTMBuilder)
        self.W = self.model.add_parameters((self.tagset_size, HIDDEN_SIZE))
        self.b = self.model.add_parameters(self.tagset_size)
        # The row of a tag: how well it follows each other one.
        self.transitions = self.model.add_lookup_parameters((self.tagset_size, self.tagset_size))

    def observations(self, words):
        dy.renew_cg()
        embeddings = [self.embeddings[self.w2i[w]] for w in words]
        W, b = dy.parameter(self.W), dy.parameter(self.b)
        return [dy.affine_transform([b, W, x]) for x in self.bi_lstm.transduce(embeddings)]

    def score_sentence(self, observations, tags):
        score_seq, score = [0], dy.scalarInput(0)
        tags = [self.t2i["<START>"]] + [self.t2i[t] for t in tags]
        for i, obs in enumerate(observations):
            score = score + dy.pick(self.transitions[tags[i + 1]], tags[i]) + dy.pick(obs, tags[i + 1])
            score_seq.append(score.value())
        return score + dy.pick(self.transitions[self.t2i["<STOP>"]], tags[-1])

    def forward(self, observations):
        def log_sum_exp(scores):
            npval = scores.npvalue()
            argmax_score = np.argmax(npval)
            max_score_expr = dy.pick(scores, argmax_score)
            max_score_expr_broadcast = dy.concatenate([max_score_expr] * self.tagset_size)
            return max_score_expr + dy.logsumexp_dim((scores - max_score_expr_broadcast), 0)

        init_alphas = [-1e10] * self.tagset_size
        init_alphas[self.t2i["<START>"]] = 0
        for_expr = dy.inputVector(init_alphas)
        for obs in observations:
            alphas_t = []
            for next_tag in range(self.tagset_size):
                obs_broadcast = dy.concatenate([dy.pick(obs, next_tag)] * self.tagset_size)
                next_tag_expr = for_expr + self.transitions[next_tag] + obs_broadcast
                alphas_t.append(log_sum_exp(next_tag_expr))
            for_expr = dy.concatenate(alphas_t)
        terminal_expr = for_expr + self.transitions[self.t2i["<STOP>"]]
        return dy.logsumexp([dy.pick(terminal_expr, i) for i in range(self.tagset_size)])

    def neg_log_loss(self, words, tags):
        observations = self.observations(words)
        return self.forward(observations) - self.score_sentence(observations, tags)

    def viterbi(self, words):
        observations = [obs.npvalue() for obs in self.observations(words)]
        transitions = np.array([self.transitions[i].npvalue() for i in range(self.tagset_size)])
        scores = np.full(self.tagset_size, -1e10)
        scores[self.t2i["<START>"]] = 0
        backpointers = []
        for obs in observations:
            following = transitions + scores
            backpointers.append(following.argmax(axis=1))
            scores = following.max(axis=1) + obs
        best = int(np.argmax(scores + transitions[self.t2i["<STOP>"]]))
        path = [best]
        for pointers in reversed(backpointers[1:]):
            path.append(int(pointers[path[-1]]))
        return [self.i2t[i] for i in reversed(path)]


report = Report()
train, dev = toy_language.sentences(200, 1), toy_language.sentences(80, 2)
crf = BiLSTMCRF(sorted({w for s in train + dev for w in s.words}), sorted({t for s in train for t in s.tags}))
trainer = dy.MomentumSGDTrainer(crf.model, learning_rate=0.01)
random.seed(8)
for epoch in range(3):
    random.shuffle(train)
    for sent in train:
        loss = crf.neg_log_loss(sent.words, sent.tags)
        report.loss(loss.value() / len(sent.words))
        loss.backward()
        trainer.update()
right = [t == g for s in dev for t, g in zip(crf.viterbi(s.words), s.tags)]
report.end(sum(right) / len(right))
