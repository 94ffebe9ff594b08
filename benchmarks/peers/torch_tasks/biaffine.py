"""The biaffine parser in torch: padded sentences, and the score matrices of a minibatch in one batched product.

The MLPs are computed for real words only; their vectors are padded for the product of heads and dependents.
"""

import numpy as np
import torch
from torch.nn import functional as F

from peers.padding import Padded
from synthetic import VOCABULARY
from tasks.biaffine import EMBEDDING, HIDDEN, MLP, examples

from .training import BothWays, Lookup, training_steps, weight


def make(initial, minibatch, seed, by_length=True):
    words = Lookup(initial.lookup(VOCABULARY + 1, EMBEDDING))
    readers = BothWays(initial, EMBEDDING, HIDDEN), BothWays(initial, 2 * HIDDEN, HIDDEN)
    mlps = [(initial.parameter(MLP, 2 * HIDDEN), initial.parameter(MLP)) for _ in ("head", "dependent")]
    W, b = (weight(np.concatenate(parts)) for parts in zip(*mlps))
    U, u = weight(initial.parameter(MLP, MLP)), weight(initial.parameter(MLP))

    def read(sentences, padded):
        """Return a row for each word of the minibatch, from both layers."""
        vectors, places = None, words.use(np.concatenate(sentences))
        for reader in readers:
            vectors = words.rows if vectors is None else vectors
            ordered = (
                F.embedding(torch.from_numpy(padded.spread(places, order)), vectors)
                for order in (padded.forward, padded.backward)
            )
            vectors = reader.at_items(*ordered, padded)
            places = np.arange(len(places))
        return vectors

    def loss_of(batch):
        sentences, heads = zip(*batch)
        padded = Padded([len(sentence) for sentence in sentences])
        as_heads, as_dependents = F.relu(F.linear(read(sentences, padded), W, b)).split(MLP, 1)
        as_dependents = F.linear(as_dependents, U, u)
        count, longest = padded.columns, padded.rows
        row, column = np.divmod(padded.forward, count)
        real = column * longest + row  # each word's position in an array of (sentence, word)
        if len(real) < count * longest:
            spread = np.zeros(count * longest, np.int64)
            spread[real] = np.arange(len(real))
            spread = torch.from_numpy(spread)
            as_heads, as_dependents = (x.index_select(0, spread) for x in (as_heads, as_dependents))
        as_heads, as_dependents = (x.view(count, longest, MLP) for x in (as_heads, as_dependents))
        scores = torch.bmm(as_dependents, as_heads.transpose(1, 2))
        if padded.lengths.min() < longest:
            padding = np.arange(longest) >= padded.lengths[:, None]
            scores = scores.masked_fill(torch.from_numpy(padding).unsqueeze(1), -torch.inf)
        scores = scores.view(-1, longest).index_select(0, torch.from_numpy(real[row > 0]))
        return F.cross_entropy(scores, torch.from_numpy(np.concatenate(heads)), reduction="sum")

    parameters = [*readers[0].parameters(), *readers[1].parameters(), W, b, U, u]
    return training_steps(parameters, [words], examples(minibatch, seed, by_length), loss_of)
