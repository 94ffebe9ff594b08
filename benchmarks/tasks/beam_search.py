"""Decoding by beam search with the translator of `seq2seq.py`, as initialised: a beam of 5, one sentence at a time.

A search reads the log-probabilities of all words after every step, because what it builds next depends on them.
Nothing is trained, so `train` of this task's `Steps` is the search itself; the loss is the best translation's
negative log-probability. `build` searches, too, and returns this number as an input.
"""

import random

import numpy as np

from synthetic import minibatches, sentences
from tasks.seq2seq import END, TARGETS, Translator
from training import Steps

ROWS = [("beam_search", (1,), {})]
STEPS = {1: 24}
"""Sentences of a turn: the same for all competitors, since their lengths differ."""
BEAM = 5


def examples(minibatch, seed):
    rng = random.Random(seed)
    return minibatches(sentences(rng), minibatch, rng)


def longest(sentence):
    """How many words a translation of the sentence has at most, without END."""
    return len(sentence) + 5


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    translator = Translator(dy, parameters)
    batches = examples(minibatch, seed)

    def search(sentence):
        """The best log-probability of a translation, among those that end and those that are cut off."""
        memory, state = translator.read(sentence)
        beam = [(0.0, END, state)]  # log-probability, last word, the writer's state before it
        finished = []
        for _ in range(longest(sentence)):
            steps = [translator.step(memory, state, word) for _, word, state in beam]
            logs = dy.concatenate_cols([dy.log_softmax(scores) for _, scores in steps]).npvalue()
            totals = logs.T.reshape(-1, TARGETS) + np.array([[total] for total, _, _ in beam])
            beam = []
            for place in np.argpartition(totals, -BEAM, axis=None)[-BEAM:]:
                number, word = divmod(int(place), TARGETS)
                if word == END:
                    finished.append(totals[number, word])
                else:
                    beam.append((totals[number, word], word, steps[number][0]))
            going = [total for total, _, _ in beam]
            if not going or (finished and max(finished) >= max(going)):
                break
        return float(max(finished + going))

    def run():
        dy.renew_cg()
        (sentence,) = next(batches)
        return -search(sentence)

    return Steps(run, run, lambda: dy.scalarInput(run()), parameters=parameters)
