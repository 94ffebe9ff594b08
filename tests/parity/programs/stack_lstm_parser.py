"""A transition parser that keeps its stack and buffer in LSTMs, to which words are pushed and popped; arc-standard."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=23)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

WORD_DIM, LSTM_DIM, ACTION_DIM = 64, 100, 32
SHIFT, REDUCE_L, REDUCE_R = range(3)


class StackRNN:
    def __init__(self, rnn, p_empty_embedding):
        self.s = [(rnn.initial_state(), None)]
        self.empty = p_empty_embedding

    def push(self, expr, extra=None):
        self.s.append((self.s[-1][0].add_input(expr), extra))

    def pop(self):
        return self.s.pop()[1]

    def embedding(self):
        return self.s[-1][0].output() if len(self.s) > 1 else self.empty

    def __len__(self):
        return len(self.s) - 1


def oracle(heads):
    """The transitions that build a projective tree."""
    children = [0] * (len(heads) + 1)
    for head in heads:
        children[head] += 1
    stack, actions, buffer = [], [], list(range(1, len(heads) + 1))
    while buffer or len(stack) > 1:
        if len(stack) > 1 and heads[stack[-2] - 1] == stack[-1]:
            actions.append(REDUCE_L)
            children[stack[-1]] -= 1
            stack.pop(-2)
        elif len(stack) > 1 and heads[stack[-1] - 1] == stack[-2] and not children[stack[-1]]:
            actions.append(REDUCE_R)
            children[stack[-2]] -= 1
            stack.pop()
        else:
            actions.append(SHIFT)
            stack.append(buffer.pop(0))
    return actions


class TransitionParser:
    def __init__(self, model, vocab):
        self.vocab = vocab
        self.pW_comp = model.add_parameters((LSTM_DIM, LSTM_DIM * 2))
        self.pb_comp = model.add_parameters((LSTM_DIM,))
        self.pW_s2h = model.add_parameters((LSTM_DIM, LSTM_DIM * 3))
        self.pb_s2h = model.add_parameters((LSTM_DIM,))
        self.pW_act = model.add_parameters((3, LSTM_DIM))
        self.pb_act = model.add_parameters((3,))
        self.stackRNN = dy.CoupledLSTMBuilder(1, LSTM_DIM, LSTM_DIM, model)
        self.buffRNN = dy.VanillaLSTMBuilder(1, WORD_DIM, LSTM_DIM, model)
        self.actRNN = dy.GRUBuilder(1, ACTION_DIM, LSTM_DIM, model)
        self.pempty = model.add_parameters((LSTM_DIM,))
        self.WORDS_LOOKUP = model.add_lookup_parameters((len(vocab), WORD_DIM))
        self.ACTIONS_LOOKUP = model.add_lookup_parameters((3, ACTION_DIM))

    def parse(self, words, oracle_actions=None):
        """Losses and heads; with an oracle, its transitions are followed, otherwise the best."""
        dy.renew_cg()
        W_comp, b_comp, W_s2h, b_s2h, W_act, b_act, empty = dy.parameter(
            self.pW_comp, self.pb_comp, self.pW_s2h, self.pb_s2h, self.pW_act, self.pb_act, self.pempty
        )
        stack, buffer = StackRNN(self.stackRNN, empty), StackRNN(self.buffRNN, empty)
        acts = self.actRNN.initial_state()
        for k in range(len(words), 0, -1):
            emb = self.WORDS_LOOKUP[self.vocab[words[k - 1]]]
            buffer.push(emb, k)
        tokens, heads, losses = [], [0] * len(words), []
        oracle_actions = list(reversed(oracle_actions or []))
        while len(buffer) > 0 or len(stack) > 1:
            valid = [SHIFT] * (len(buffer) > 0) + [REDUCE_L, REDUCE_R] * (len(stack) > 1)
            action, log_probs = valid[0], None
            summary = empty if acts.prev() is None else acts.output()
            if len(valid) > 1:
                p_t = dy.concatenate([buffer.embedding(), stack.embedding(), summary])
                h = dy.rectify(W_s2h * p_t + b_s2h)
                penalties = dy.inputVector([0 if a in valid else -1e3 for a in range(3)])
                log_probs = dy.log_softmax(W_act * h + b_act + penalties)
                action = max(enumerate(log_probs.vec_value()), key=lambda x: x[1])[0]
            if oracle_actions:
                action = oracle_actions.pop()
            if log_probs is not None:
                losses.append(dy.pick(log_probs, action))
            acts = acts.add_input(self.ACTIONS_LOOKUP[action])
            if action == SHIFT:
                state, _ = buffer.s[-1]
                k = buffer.pop()
                tokens.append(state.output())
                stack.push(tokens[-1], (tokens[-1], k))
            else:
                right, left = stack.pop(), stack.pop()
                head, modifier = (left, right) if action == REDUCE_R else (right, left)
                composed = dy.tanh(W_comp * dy.concatenate([head[0], modifier[0]]) + b_comp)
                stack.push(composed, (composed, head[1]))
                heads[modifier[1] - 1] = head[1]
        return -dy.esum(losses), heads


report = Report()
train, dev = toy_language.sentences(250, 1), toy_language.sentences(60, 2)
model = dy.Model()
parser = TransitionParser(model, {w: i for i, w in enumerate(sorted({w for s in train + dev for w in s.words}))})
trainer = dy.AdamTrainer(model, 0.002)
random.seed(11)
for epoch in range(4):
    random.shuffle(train)
    for sent in train:
        loss, _ = parser.parse(sent.words, oracle(sent.heads))
        report.loss(loss.scalar_value() / len(sent.words))
        loss.backward()
        trainer.update()
right = [h == g for s in dev for h, g in zip(parser.parse(s.words)[1], s.heads)]
report.end(np.mean(right))
