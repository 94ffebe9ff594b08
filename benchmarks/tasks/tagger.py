"""A BiLSTM tagger: embeddings of 128, 50 hidden units each way, an MLP of 32, 9 tags."""

import random

from synthetic import VOCABULARY, minibatches, minibatches_by_length, sentences
from training import training_steps

ROWS = [
    ("tagger", (1, 10, 64), {"by_length": True}),
    ("tagger, any lengths", (10, 64), {"by_length": False}),
    # In the other rows, DyNet and this project clip gradients, which DyNet's trainers do by default; the peers do not.
    ("tagger, all clip", (10,), {"clip": True}),
    ("tagger, none clip", (10,), {"clip": False}),
]
EMBEDDING, HIDDEN, MLP, TAGS = 128, 50, 32, 9


def examples(minibatch, seed, by_length=True):
    rng = random.Random(seed)
    pool = [[(word, rng.randrange(TAGS)) for word in sentence] for sentence in sentences(rng)]
    return (minibatches_by_length if by_length else minibatches)(pool, minibatch, rng)


def make(dy, minibatch, seed, by_length=True, clip=True):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, EMBEDDING))
    forward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    backward = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    H = parameters.add_parameters((MLP, 2 * HIDDEN))
    O = parameters.add_parameters((TAGS, MLP))  # noqa: E741
    batches = examples(minibatch, seed, by_length)

    def losses_of(sentence):
        vectors = [words[word] for word, _ in sentence]
        before = forward.initial_state().transduce(vectors)
        after = reversed(backward.initial_state().transduce(reversed(vectors)))
        for (_, tag), f, b in zip(sentence, before, after):
            scores = O * dy.tanh(H * dy.concatenate([f, b]))
            yield dy.pickneglogsoftmax(scores, tag)

    def loss_of(batch):
        return dy.esum([loss for sentence in batch for loss in losses_of(sentence)])

    return training_steps(dy, parameters, batches, loss_of, clip)
