"""A BiLSTM-CRF tagger: the tagger's network, and a score for every pair of adjacent tags.

The loss of a sentence is log Z minus the score of the correct tags. Z sums over all tag sequences; the forward
algorithm computes it word by word.
"""

import random

from synthetic import VOCABULARY, minibatches_by_length, sentences
from training import training_steps

ROWS = [("crf", (1, 10, 64), {})]
EMBEDDING, HIDDEN, MLP, TAGS = 128, 50, 32, 9


def examples(minibatch, seed):
    rng = random.Random(seed)
    pool = [list(zip(sentence, chain(len(sentence), rng))) for sentence in sentences(rng)]
    return minibatches_by_length(pool, minibatch, rng)


def chain(length, rng):
    """Return random tags. With probability 1/2, a tag is the successor of the previous one."""
    tags = [rng.randrange(TAGS)]
    while len(tags) < length:
        tags.append(rng.choice(((tags[-1] + 1) % TAGS, rng.randrange(TAGS))))
    return tags


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, EMBEDDING))
    forward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    backward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    H = parameters.add_parameters((MLP, 2 * HIDDEN))
    O = parameters.add_parameters((TAGS, MLP))  # noqa: E741
    pairs = parameters.add_parameters((TAGS, TAGS))  # row: previous tag, column: next tag
    first, last = parameters.add_parameters(TAGS), parameters.add_parameters(TAGS)
    batches = examples(minibatch, seed)

    def scores_of(sentence):
        """Return a vector of tag scores for each word."""
        vectors = [words[word] for word, _ in sentence]
        before = forward.initial_state().transduce(vectors)
        after = reversed(backward.initial_state().transduce(reversed(vectors)))
        return [O * dy.tanh(H * dy.concatenate([f, b])) for f, b in zip(before, after)]

    def log_sum(scores):
        alpha = first + scores[0]
        for score in scores[1:]:
            alpha = dy.logsumexp_dim(dy.colwise_add(pairs, alpha), 0) + score
        return dy.logsumexp_dim(alpha + last, 0)

    def right_score(scores, tags):
        parts = [dy.pick(score, tag) for score, tag in zip(scores, tags)]
        parts += [dy.pick(dy.pick(pairs, before), after) for before, after in zip(tags, tags[1:])]
        return dy.esum([dy.pick(first, tags[0]), *parts, dy.pick(last, tags[-1])])

    def loss_of(batch):
        losses = []
        for sentence in batch:
            scores = scores_of(sentence)
            losses.append(log_sum(scores) - right_score(scores, [tag for _, tag in sentence]))
        return dy.esum(losses)

    return training_steps(dy, parameters, batches, loss_of)
