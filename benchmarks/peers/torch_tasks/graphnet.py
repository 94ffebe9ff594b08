"""The graph network in torch: the graphs of a minibatch form one graph, whose edges are sorted by kind.

A round computes the messages of each kind in one product, then adds all of them to their targets in one operation.
"""

import numpy as np
import torch
from torch.nn import functional as F

from synthetic import VOCABULARY
from tasks.graphnet import CLASSES, KINDS, ROUNDS, SIZE, examples

from .training import Lookup, training_steps, weight


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, SIZE))
    kinds = [(weight(initial.parameter(SIZE, SIZE)), weight(initial.parameter(SIZE))) for _ in range(KINDS)]
    gates = [(initial.parameter(SIZE, SIZE), initial.parameter(SIZE, SIZE), initial.parameter(SIZE)) for _ in "zru"]
    W, U, b = (np.concatenate(parts) for parts in zip(*gates))
    W, b, candidate_U, U = weight(W), weight(b), weight(U[2 * SIZE :]), weight(U[: 2 * SIZE])
    classes = weight(initial.parameter(CLASSES, SIZE))

    def edges_of(batch):
        """Return the sources and targets of all edges by their kind, and how many edges of each kind there are."""
        starts = np.cumsum([0, *(len(sentence) for sentence, _, _ in batch)])
        edges = np.concatenate([np.array(edges) + (start, 0, start) for (_, _, edges), start in zip(batch, starts)])
        sources, kind, targets = edges[np.argsort(edges[:, 1], kind="stable")].T
        counts = np.bincount(kind, minlength=KINDS).tolist()
        return torch.from_numpy(sources.copy()), torch.from_numpy(targets.copy()), counts

    def update(messages, h):
        of_gates, of_candidate = F.linear(messages, W, b).split([2 * SIZE, SIZE], 1)
        z, r = torch.sigmoid(of_gates + F.linear(h, U)).chunk(2, 1)
        return torch.lerp(h, torch.tanh(of_candidate + F.linear(r * h, candidate_U)), z)

    def loss_of(batch):
        sources, targets, counts = edges_of(batch)
        h = words(words.use(np.concatenate([sentence for sentence, _, _ in batch])))
        for _ in range(ROUNDS):
            sent = h.index_select(0, sources).split(counts)
            messages = torch.cat([F.linear(part, A, b) for part, (A, b) in zip(sent, kinds) if len(part)])
            h = update(torch.zeros_like(h).index_add(0, targets, messages), h)
        labels = torch.from_numpy(np.concatenate([labels for _, labels, _ in batch]))
        return F.cross_entropy(F.linear(h, classes), labels, reduction="sum")

    parameters = [*sum(kinds, ()), W, U, candidate_U, b, classes]
    return training_steps(parameters, [words], examples(minibatch, seed), loss_of)
