"""Translation by an encoder, a decoder with attention, and beam search; dropout comes in after the first steps."""

import random

import dynet_config

dynet_config.set(mem=1024, random_seed=22)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMBED, HIDDEN, ATTENTION, BEAM = 64, 96, 48, 3
EOS = "</s>"


class Vocab:
    def __init__(self, sentences):
        self.i2w = [EOS] + sorted({w for words in sentences for w in words})
        self.w2i = {w: i for i, w in enumerate(self.i2w)}

    def ids(self, words):
        return [self.w2i[w] for w in words] + [self.w2i[EOS]]


class AttentionModel:
    def __init__(self, source, target):
        self.source, self.target = source, target
        self.model = dy.ParameterCollection()
        self.enc_fwd = dy.VanillaLSTMBuilder(1, EMBED, HIDDEN / 2, self.model)
        self.enc_bwd = dy.VanillaLSTMBuilder(1, EMBED, HIDDEN / 2, self.model)
        self.dec = dy.VanillaLSTMBuilder(1, HIDDEN + EMBED, HIDDEN, self.model)
        self.input_lookup = self.model.add_lookup_parameters((len(source.i2w), EMBED))
        self.output_lookup = self.model.add_lookup_parameters((len(target.i2w), EMBED))
        self.attention_w1 = self.model.add_parameters((ATTENTION, HIDDEN))
        self.attention_w2 = self.model.add_parameters((ATTENTION, HIDDEN * 2))
        self.attention_v = self.model.add_parameters((1, ATTENTION))
        self.decoder_w = self.model.add_parameters((len(target.i2w), HIDDEN * 2))
        self.decoder_b = self.model.add_parameters((len(target.i2w)))

    def encode(self, words):
        dy.renew_cg()
        embedded = [self.input_lookup[i] for i in self.source.ids(words)]
        fwd = self.enc_fwd.initial_state().transduce(embedded)
        bwd = self.enc_bwd.initial_state().transduce(embedded[::-1])[::-1]
        self.encoded = dy.concatenate_cols([dy.concatenate([f, b]) for f, b in zip(fwd, bwd)])
        self.w1dt = dy.parameter(self.attention_w1) * self.encoded
        last = dy.concatenate([fwd[-1], bwd[0]])
        start = self.dec.initial_state([last, dy.tanh(last)])
        return start.add_input(dy.concatenate([dy.vecInput(HIDDEN), self.output_lookup[0]]))

    def attend(self, state):
        w2dt = dy.parameter(self.attention_w2) * dy.concatenate(list(state.s()))
        unnormalized = dy.transpose(dy.parameter(self.attention_v) * dy.tanh(dy.colwise_add(self.w1dt, w2dt)))
        att_weights = dy.softmax(unnormalized)
        return self.encoded * att_weights

    def scores(self, state, context):
        return self.decoder_w * dy.concatenate([state.output(), context]) + self.decoder_b

    def loss(self, source, target, dropout=0.0):
        s = self.encode(source)
        losses = []
        for word in self.target.ids(target):
            context = self.attend(s)
            out = self.scores(s, context)
            if dropout:
                out = self.scores(s, dy.dropout(context, dropout))
            losses.append(dy.pickneglogsoftmax(out, word))
            s = s.add_input(dy.concatenate([context, self.output_lookup[word]]))
        return dy.esum(losses) / len(losses)

    def translate(self, source):
        """The best of a beam."""
        beam, finished = [(0.0, self.encode(source), [])], []
        for _ in range(2 * len(source) + 2):
            candidates = []
            for logprob, s, words in beam:
                context = self.attend(s)
                next_scores = dy.log_softmax(self.scores(s, context)).npvalue()
                for k in np.argsort(next_scores)[::-1][:BEAM]:
                    candidates.append((logprob + next_scores[k], s, context, words + [k]))
            candidates.sort(key=lambda c: -c[0])
            beam = []
            for logprob, s, context, words in candidates[:BEAM]:
                if words[-1] == 0:
                    finished.append((logprob / len(words), words[:-1]))
                else:
                    state = s.add_input(dy.concatenate([context, self.output_lookup[words[-1]]]))
                    beam.append((logprob, state, words))
            if not beam:
                break
        return [self.target.i2w[k] for k in max(finished or [(0, [])])[1]]


report = Report()
train, dev = toy_language.translations(400, 1), toy_language.translations(60, 2)
network = AttentionModel(*[Vocab(sentences) for sentences in zip(*train, *dev)])
trainer = dy.AdamTrainer(network.model, 0.003)
trainer.set_clip_threshold(5)
random.seed(10)
step = 0
for ITER in range(7):
    random.shuffle(train)
    trainer.learning_rate = 0.003 if ITER < 3 else 0.0015 / (ITER - 2)
    for source, target in train:
        loss = network.loss(source, target, 0.1 if step > 10 else 0)
        report.loss(loss.value())
        loss.backward()
        trainer.update()
        step += 1
report.end(np.mean([network.translate(source) == target for source, target in dev]))
