"""A translator: a BiLSTM reads the sentence, and an LSTM decoder attends to all words at every step.

The attention is Bahdanau's (2015), an MLP over the last state and each word's state. Embeddings have size 128, with 128
hidden units (in each direction in the encoder), 10,000 source and 2,000 target words. The translation of a word depends
only on the word; some words have none.
"""

import random

from synthetic import VOCABULARY, minibatches_by_length, sentences
from training import training_steps

ROWS = [("seq2seq", (1, 16, 64), {})]
STEPS = {1: 24, 16: 8, 64: 4}
"""Minibatches per turn, the same for all competitors because long sentences take several times as long."""
EMBEDDING, HIDDEN, ATTENTION, READOUT, TARGETS = 128, 128, 64, 128, 2_000
END = 0
"""The target word before and after every translation."""


def examples(minibatch, seed):
    """Return minibatches of (sentence, translation that ends with END), of similar length."""
    rng = random.Random(seed)
    pool = [(sentence, [*translated(sentence, rng), END]) for sentence in sentences(rng)]
    return minibatches_by_length(pool, minibatch, rng, lambda pair: (len(pair[0]), len(pair[1])))


def translated(sentence, rng):
    return [1 + word % (TARGETS - 1) for word in sentence if rng.random() < 0.9]


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    translator = Translator(dy, parameters)
    batches = examples(minibatch, seed)

    def losses_of(sentence, translation):
        memory, state = translator.read(sentence)
        previous = END
        for word in translation:
            state, scores = translator.step(memory, state, previous)
            yield dy.pickneglogsoftmax(scores, word)
            previous = word

    def loss_of(batch):
        return dy.esum([loss for pair in batch for loss in losses_of(*pair)])

    return training_steps(dy, parameters, batches, loss_of)


class Translator:
    """The network, for one sentence at a time.

    Its `memory` of a sentence is two matrices with a column for each word: the word's state, and its projection for the
    attention.
    """

    def __init__(self, dy, parameters):
        self.dy = dy
        self.sources = parameters.add_lookup_parameters((VOCABULARY, EMBEDDING))
        self.targets = parameters.add_lookup_parameters((TARGETS, EMBEDDING))
        self.reader = dy.BiRNNBuilder(1, EMBEDDING, 2 * HIDDEN, parameters, dy.VanillaLSTMBuilder)
        self.writer = dy.VanillaLSTMBuilder(1, EMBEDDING + 2 * HIDDEN, HIDDEN, parameters)
        self.start = parameters.add_parameters((HIDDEN, 2 * HIDDEN))
        self.key = parameters.add_parameters((ATTENTION, 2 * HIDDEN))
        self.query = parameters.add_parameters((ATTENTION, HIDDEN))
        self.energy = parameters.add_parameters((1, ATTENTION))
        self.R = parameters.add_parameters((READOUT, 3 * HIDDEN))
        self.r = parameters.add_parameters(READOUT)
        self.W = parameters.add_parameters((TARGETS, READOUT))
        self.b = parameters.add_parameters(TARGETS)

    def read(self, sentence):
        """Return the memory of a sentence, and the decoder's first state."""
        dy = self.dy
        states = self.reader.transduce([self.sources[word] for word in sentence])
        start = self.start * states[0]
        states = dy.concatenate_cols(states)
        return (states, self.key * states), self.writer.initial_state([start, dy.tanh(start)])

    def step(self, memory, state, previous):
        """Return the decoder's next state, and the scores of all target words, after the word `previous`."""
        dy = self.dy
        states, keys = memory
        energies = self.energy * dy.tanh(dy.colwise_add(keys, self.query * state.h()[0]))
        context = states * dy.softmax(dy.transpose(energies))
        state = state.add_input(dy.concatenate([self.targets[previous], context]))
        hidden = dy.tanh(dy.affine_transform([self.r, self.R, dy.concatenate([state.output(), context])]))
        return state, dy.affine_transform([self.b, self.W, hidden])
