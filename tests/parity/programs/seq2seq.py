"""Translation with an encoder, an attention decoder, and beam search; dropout begins after the first steps."""

import random

import dynet_config

dynet_config.set(mem=1024, random_seed=22)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

SIZE, HIDDEN, INNER, BEAM, STOP = 64, 96, 48, 3, "."


class Translator:
    def __init__(self, pairs):
        self.words = [[STOP] + sorted({w for text in texts for w in text}) for texts in zip(*pairs)]
        self.model = model = dy.ParameterCollection()
        self.onwards = dy.VanillaLSTMBuilder(1, SIZE, HIDDEN / 2, model)
        self.back = dy.VanillaLSTMBuilder(1, SIZE, HIDDEN / 2, model)
        self.writer = dy.VanillaLSTMBuilder(1, HIDDEN + SIZE, HIDDEN, model)
        self.vectors = [model.add_lookup_parameters((len(words), SIZE)) for words in self.words]
        self.of_source, self.of_state = [model.add_parameters((INNER, n * HIDDEN)) for n in (1, 2)]
        self.relevance = model.add_parameters((1, INNER))
        self.W, self.b = (
            model.add_parameters((len(self.words[1]), 2 * HIDDEN)),
            model.add_parameters(len(self.words[1])),
        )

    def read(self, source):
        """The decoder's first state; the source stays in the new graph, with one column per word."""
        dy.renew_cg()
        seen = [self.vectors[0][self.words[0].index(word)] for word in source + [STOP]]
        before = self.onwards.initial_state().transduce(seen)
        after = self.back.initial_state().transduce(seen[::-1])[::-1]
        self.source = dy.concatenate_cols([dy.concatenate([b, a]) for b, a in zip(before, after)])
        self.keys = dy.parameter(self.of_source) * self.source
        summary = dy.concatenate([before[-1], after[0]])
        state = self.writer.initial_state([summary, dy.tanh(summary)])
        return self.wrote(state, dy.vecInput(HIDDEN), 0)

    def wrote(self, state, context, number):
        return state.add_input(dy.concatenate([context, self.vectors[1][number]]))

    def attend(self, state):
        query = dy.parameter(self.of_state) * dy.concatenate(list(state.s()))
        scores = dy.parameter(self.relevance) * dy.tanh(dy.colwise_add(self.keys, query))
        return self.source * dy.softmax(dy.transpose(scores))

    def scores(self, state, context):
        return self.W * dy.concatenate([state.output(), context]) + self.b

    def loss(self, source, target, dropout):
        state, losses = self.read(source), []
        for word in target + [STOP]:
            number, context = self.words[1].index(word), self.attend(state)
            seen = dy.dropout(context, dropout) if dropout else context
            losses.append(dy.pickneglogsoftmax(self.scores(state, seen), number))
            state = self.wrote(state, context, number)
        return dy.esum(losses) / len(losses)

    def translate(self, source):
        """The best hypothesis of a beam, by the mean of its words' log probabilities."""
        beam, done = [(0.0, [], self.read(source))], []
        while beam and len(beam[0][1]) < 2 * len(source):
            longer = []
            for score, numbers, state in beam:
                context = self.attend(state)
                chances = dy.log_softmax(self.scores(state, context)).npvalue()
                for k in np.argsort(chances)[::-1][:BEAM]:
                    longer.append((score + chances[k], numbers + [k], state, context))
            best = sorted(longer, key=lambda item: item[0], reverse=True)[:BEAM]
            done += [(score / len(numbers), numbers) for score, numbers, _, _ in best if numbers[-1] == 0]
            beam = [(x, ks, self.wrote(state, context, ks[-1])) for x, ks, state, context in best if ks[-1] != 0]
        return [self.words[1][k] for k in max(done)[1][:-1]] if done else []


report = Report()
train, dev = toy_language.translations(400, 1), toy_language.translations(60, 2)
translator = Translator(train + dev)
trainer = dy.AdamTrainer(translator.model, 0.003)
trainer.set_clip_threshold(5)
random.seed(10)
for epoch in range(7):
    random.shuffle(train)
    trainer.learning_rate = 0.003 if epoch < 3 else 0.0015 / (epoch - 2)
    for source, target in train:
        loss = translator.loss(source, target, 0.1 if len(report.losses) > 10 else 0)
        report.loss(loss.value())
        loss.backward()
        trainer.update()
report.end(np.mean([translator.translate(source) == target for source, target in dev]))
