"""A tagger with a small transformer encoder: 2 layers of 128, 4 heads, feed-forward layers of 256, 9 tags.

A sentence is a matrix with a column for each word. For layer normalization and the losses, it is reshaped to a
minibatch of its words, because `dy.layer_norm` normalizes over a whole matrix, but separately for each batch element.
Normalization follows the residual connections, as in Vaswani et al. (2017); position vectors are learned.
"""

import math
import random

from synthetic import VOCABULARY, minibatches_by_length, sentences
from training import training_steps

ROWS = [("transformer", (1, 16, 64), {})]
LAYERS, MODEL, HEADS, INNER, LONGEST, TAGS = 2, 128, 4, 256, 60, 9
HEAD = MODEL // HEADS


def examples(minibatch, seed):
    rng = random.Random(seed)
    pool = [[(word, rng.randrange(TAGS)) for word in sentence] for sentence in sentences(rng)]
    return minibatches_by_length(pool, minibatch, rng)


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, MODEL))
    positions = parameters.add_parameters((MODEL, LONGEST))
    layers = [Layer(dy, parameters) for _ in range(LAYERS)]
    W = parameters.add_parameters((TAGS, MODEL))
    b = parameters.add_parameters(TAGS)
    batches = examples(minibatch, seed)

    def loss_of_sentence(sentence):
        length = len(sentence)
        x = dy.concatenate_cols([words[word] for word, _ in sentence]) + dy.pick_range(positions, 0, length, 1)
        for layer in layers:
            x = layer(x, length)
        scores = dy.reshape(dy.affine_transform([b, W, x]), (TAGS,), batch_size=length)
        return dy.sum_batches(dy.pickneglogsoftmax_batch(scores, [tag for _, tag in sentence]))

    def loss_of(batch):
        return dy.esum([loss_of_sentence(sentence) for sentence in batch])

    return training_steps(dy, parameters, batches, loss_of)


class Layer:
    """Self-attention and a feed-forward network, on a matrix of (MODEL, length)."""

    def __init__(self, dy, parameters):
        self.dy = dy
        self.query, self.key, self.value, self.joined = (Affine(dy, parameters, MODEL, MODEL) for _ in range(4))
        self.norms = [LayerNorm(dy, parameters) for _ in range(2)]
        self.inner, self.outer = Affine(dy, parameters, MODEL, INNER), Affine(dy, parameters, INNER, MODEL)

    def __call__(self, x, length):
        dy = self.dy
        x = self.norms[0](x + self.attended(x), length)
        return self.norms[1](x + self.outer(dy.rectify(self.inner(x))), length)

    def attended(self, x):
        dy = self.dy
        q, k, v = self.query(x), self.key(x), self.value(x)
        heads = []
        for start in range(0, MODEL, HEAD):
            one_q, one_k, one_v = (dy.pick_range(part, start, start + HEAD) for part in (q, k, v))
            weights = dy.softmax(dy.transpose(one_k) * one_q * (1 / math.sqrt(HEAD)))
            heads.append(one_v * weights)
        return self.joined(dy.concatenate(heads))


class Affine:
    """W x + b. If x is a matrix, b is added to each column."""

    def __init__(self, dy, parameters, inputs, outputs):
        self.dy = dy
        self.W, self.b = parameters.add_parameters((outputs, inputs)), parameters.add_parameters(outputs)

    def __call__(self, x):
        return self.dy.affine_transform([self.b, self.W, x])


class LayerNorm:
    """Normalizes each column of a matrix, then scales and shifts it."""

    def __init__(self, dy, parameters):
        self.dy = dy
        self.gain, self.bias = parameters.add_parameters(MODEL, init=1), parameters.add_parameters(MODEL, init=0)

    def __call__(self, x, length):
        dy = self.dy
        columns = dy.reshape(x, (MODEL,), batch_size=length)
        return dy.reshape(dy.layer_norm(columns, self.gain, self.bias), (MODEL, length))
