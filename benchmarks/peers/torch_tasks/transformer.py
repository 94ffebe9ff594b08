"""The transformer in torch: padded sentences, torch's own attention, and one product for the scores of all words."""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.transformer import HEADS, INNER, LAYERS, LONGEST, MODEL, TAGS, examples

from .training import Lookup, training_steps, weight


class Layer:
    """Self-attention and a feed-forward network, on states of (sentences, words, MODEL)."""

    def __init__(self, initial):
        parts = [affine(initial, MODEL, MODEL) for _ in range(3)]
        self.qkv = [weight(np.concatenate(part)) for part in zip(*parts)]
        self.joined = [weight(part) for part in affine(initial, MODEL, MODEL)]
        self.norms = [[weight(initial.parameter(MODEL)) for _ in range(2)] for _ in range(2)]
        self.inner = [weight(part) for part in affine(initial, MODEL, INNER)]
        self.outer = [weight(part) for part in affine(initial, INNER, MODEL)]

    def parameters(self):
        return [*self.qkv, *self.joined, *self.norms[0], *self.norms[1], *self.inner, *self.outer]

    def __call__(self, x, mask):
        sentences, length, _ = x.shape
        q, k, v = F.linear(x, *self.qkv).view(sentences, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = F.linear(heads.transpose(1, 2).reshape(x.shape), *self.joined)
        x = F.layer_norm(x + attended, (MODEL,), *self.norms[0], eps=0)
        return F.layer_norm(
            x + F.linear(F.relu(F.linear(x, *self.inner)), *self.outer), (MODEL,), *self.norms[1], eps=0
        )


def affine(initial, inputs, outputs):
    return initial.parameter(outputs, inputs), initial.parameter(outputs)


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, MODEL))
    positions = weight(initial.parameter(MODEL, LONGEST).T.copy())
    layers = [Layer(initial) for _ in range(LAYERS)]
    W, b = (weight(part) for part in affine(initial, MODEL, TAGS))

    def loss_of(batch):
        padded = Padded([len(sentence) for sentence in batch])
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        rows = padded.spread(words.use(numbers), padded.forward).T
        real = np.arange(padded.rows) < padded.lengths[:, None]
        mask = None if real.all() else torch.from_numpy(real)[:, None, None, :]
        x = words(rows) + positions[: padded.rows]
        for layer in layers:
            x = layer(x, mask)
        x = x.flatten(0, 1)
        if mask is not None:
            x = x.index_select(0, torch.from_numpy(real.ravel().nonzero()[0]))
        return F.cross_entropy(F.linear(x, W, b), torch.from_numpy(tags.copy()), reduction="sum")

    parameters = [positions, W, b, *(parameter for layer in layers for parameter in layer.parameters())]
    return training_steps(parameters, [words], examples(minibatch, seed), loss_of)
