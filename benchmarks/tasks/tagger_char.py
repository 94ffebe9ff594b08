"""The tagger, with vectors of rare words from a BiLSTM over their characters."""

import random

from synthetic import VOCABULARY, minibatches, minibatches_by_length, sentences, zipf
from training import training_steps

ROWS = [
    ("tagger_char", (1, 10, 64), {"by_length": True}),
    ("tagger_char, any lengths", (10, 64), {"by_length": False}),
]
EMBEDDING, CHAR_EMBEDDING, HIDDEN, MLP, TAGS = 128, 20, 50, 32, 9
CHARACTERS = 60
FREQUENT = 1_000
"""Words below this rank, about three quarters of all tokens, have their own vectors."""


def examples(minibatch, seed, by_length=True):
    """Return the letters of each word, and minibatches."""
    rng = random.Random(seed)
    char = zipf(CHARACTERS)
    spelling = [[char(rng) for _ in range(rng.randint(3, 9))] for _ in range(VOCABULARY)]
    pool = [[(word, rng.randrange(TAGS)) for word in sentence] for sentence in sentences(rng)]
    return spelling, (minibatches_by_length if by_length else minibatches)(pool, minibatch, rng)


def make(dy, minibatch, seed, by_length=True):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((FREQUENT, EMBEDDING))
    chars = parameters.add_lookup_parameters((CHARACTERS, CHAR_EMBEDDING))
    spell_forward = dy.VanillaLSTMBuilder(1, CHAR_EMBEDDING, EMBEDDING // 2, parameters)
    spell_backward = dy.VanillaLSTMBuilder(1, CHAR_EMBEDDING, EMBEDDING // 2, parameters)
    forward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    backward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    H = parameters.add_parameters((MLP, 2 * HIDDEN))
    O = parameters.add_parameters((TAGS, MLP))  # noqa: E741
    spelling, batches = examples(minibatch, seed, by_length)

    def vector(word):
        if word < FREQUENT:
            return words[word]
        letters = [chars[letter] for letter in spelling[word]]
        return dy.concatenate(
            [
                spell_forward.initial_state().transduce(letters)[-1],
                spell_backward.initial_state().transduce(reversed(letters))[-1],
            ]
        )

    def losses_of(sentence):
        vectors = [vector(word) for word, _ in sentence]
        before = forward.initial_state().transduce(vectors)
        after = reversed(backward.initial_state().transduce(reversed(vectors)))
        for (_, tag), f, b in zip(sentence, before, after):
            scores = O * dy.tanh(H * dy.concatenate([f, b]))
            yield dy.pickneglogsoftmax(scores, tag)

    def loss_of(batch):
        return dy.esum([loss for sentence in batch for loss in losses_of(sentence)])

    return training_steps(dy, parameters, batches, loss_of)
