"""The arc scorer of a biaffine dependency parser (Dozat and Manning 2017), which finds each word's head.

Two BiLSTM layers of 128 each way read the sentence, after the artificial word ROOT. One MLP makes a vector of each word
as a head, another one as a dependent, and a biaffine form scores every pair. The loss is the softmax cross entropy of
each word's head. The scores of a sentence are one matrix, whose columns become batch elements for the loss.
"""

import random

from synthetic import VOCABULARY, minibatches, minibatches_by_length, projective_heads, sentences
from training import training_steps

ROWS = [
    ("biaffine", (1, 10, 64), {"by_length": True}),
    ("biaffine, any lengths", (10, 64), {"by_length": False}),
]
EMBEDDING, HIDDEN, MLP = 128, 128, 128


def examples(minibatch, seed, by_length=True):
    """Return minibatches of pairs: ROOT and the words, and the position of each word's head."""
    rng, root = random.Random(seed), VOCABULARY
    pool = [([root, *sentence], projective_heads(len(sentence), rng)) for sentence in sentences(rng)]
    if by_length:
        return minibatches_by_length(pool, minibatch, rng, lambda example: len(example[0]))
    return minibatches(pool, minibatch, rng)


def make(dy, minibatch, seed, by_length=True):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY + 1, EMBEDDING))
    reader = dy.BiRNNBuilder(2, EMBEDDING, 2 * HIDDEN, parameters, dy.VanillaLSTMBuilder)
    head_W = parameters.add_parameters((MLP, 2 * HIDDEN))
    head_b = parameters.add_parameters(MLP)
    dependent_W = parameters.add_parameters((MLP, 2 * HIDDEN))
    dependent_b = parameters.add_parameters(MLP)
    U = parameters.add_parameters((MLP, MLP))
    u = parameters.add_parameters(MLP)
    batches = examples(minibatch, seed, by_length)

    def loss_of_sentence(sentence, heads):
        read = reader.transduce([words[word] for word in sentence])
        # One column for each word; ROOT can only be a head.
        as_heads = dy.rectify(dy.affine_transform([head_b, head_W, dy.concatenate_cols(read)]))
        as_dependents = dy.rectify(dy.affine_transform([dependent_b, dependent_W, dy.concatenate_cols(read[1:])]))
        scores = dy.transpose(as_heads) * dy.affine_transform([u, U, as_dependents])
        scores = dy.reshape(scores, (len(sentence),), batch_size=len(heads))
        return dy.sum_batches(dy.pickneglogsoftmax_batch(scores, heads))

    def loss_of(batch):
        return dy.esum([loss_of_sentence(*example) for example in batch])

    return training_steps(dy, parameters, batches, loss_of)
