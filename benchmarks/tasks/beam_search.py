"""Decoding by beam search with the untrained translator of `seq2seq.py`: a beam of 5, one sentence at a time.

A search reads the log-probabilities of all words after every step, because the next step depends on them. Nothing is
trained, so `train` of this task's `Steps` is the search itself; the loss is the best translation's negative
log-probability. `build` also searches, and returns this value as an input.
"""

import random
from operator import itemgetter

import numpy as np

from synthetic import minibatches, sentences
from tasks.seq2seq import END, TARGETS, Translator
from training import Steps

ROWS = [("beam_search", (1,), {})]
STEPS = {1: 24}
"""Sentences per turn, the same for all competitors because lengths differ."""
BEAM = 5
total_of = itemgetter(0)


def examples(minibatch, seed):
    rng = random.Random(seed)
    return minibatches(sentences(rng), minibatch, rng)


def longest(sentence):
    """Return the maximum number of words in a translation of the sentence, without END."""
    return len(sentence) + 5


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    translator = Translator(dy, parameters)
    batches = examples(minibatch, seed)

    def search(sentence):
        """Return the best translation and its log-probability, among finished and truncated translations."""
        memory, state = translator.read(sentence)
        beam = [(0.0, [END], state)]  # log-probability, words so far, decoder state before the last word
        finished = []
        for _ in range(longest(sentence)):
            steps = [translator.step(memory, state, words[-1]) for _, words, state in beam]
            logs = dy.concatenate_cols([dy.log_softmax(scores) for _, scores in steps]).npvalue()
            totals = logs.T.reshape(-1, TARGETS) + np.array([[total] for total, _, _ in beam])
            continued = []
            for place in np.argpartition(totals, -BEAM, axis=None)[-BEAM:]:
                number, word = divmod(int(place), TARGETS)
                hypothesis = totals[number, word], [*beam[number][1], word], steps[number][0]
                (finished if word == END else continued).append(hypothesis)
            beam = continued
            if not beam or (finished and max(map(total_of, finished)) >= max(map(total_of, beam))):
                break
        total, words, _ = max(finished + beam, key=total_of)
        return words[1:], float(total)

    def run():
        dy.renew_cg()
        (sentence,) = next(batches)
        _, total = search(sentence)
        return -total

    return Steps(run, run, lambda: dy.scalarInput(run()), parameters=parameters)
