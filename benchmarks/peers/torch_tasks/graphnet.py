"""The graph network in torch: the graphs of a minibatch form one graph, whose edges are sorted by kind.

A round computes the messages of each kind in one product, then adds all of them to their targets in one operation.
"""

import numpy as np
import torch
from torch.nn import functional as F

from synthetic import VOCABULARY
from tasks.graphnet import CLASSES, KINDS, ROUNDS, SIZE, examples

from .training import Lookup, training_steps, weight


class Network:
    """The parameters, the update of nodes, and the loss."""

    def __init__(self, initial):
        self.words = Lookup(initial.lookup(VOCABULARY, SIZE))
        self.kinds = [(weight(initial.parameter(SIZE, SIZE)), weight(initial.parameter(SIZE))) for _ in range(KINDS)]
        gates = [(initial.parameter(SIZE, SIZE), initial.parameter(SIZE, SIZE), initial.parameter(SIZE)) for _ in "zru"]
        W, U, b = (np.concatenate(parts) for parts in zip(*gates))
        self.W, self.b = weight(W), weight(b)
        self.U, self.candidate_U = weight(U[: 2 * SIZE]), weight(U[2 * SIZE :])
        self.classes = weight(initial.parameter(CLASSES, SIZE))
        self.parameters = [*sum(self.kinds, ()), self.W, self.U, self.candidate_U, self.b, self.classes]

    def update(self, messages, h):
        of_gates, of_candidate = F.linear(messages, self.W, self.b).split([2 * SIZE, SIZE], 1)
        z, r = torch.sigmoid(of_gates + F.linear(h, self.U)).chunk(2, 1)
        return torch.lerp(h, torch.tanh(of_candidate + F.linear(r * h, self.candidate_U)), z)

    def messages(self, sent, counts):
        """Return the messages along edges from the states of their sources, which are sorted by the edge's kind."""
        return torch.cat([F.linear(part, A, b) for part, (A, b) in zip(sent.split(counts), self.kinds) if len(part)])

    def loss(self, h, labels):
        return F.cross_entropy(F.linear(h, self.classes), labels, reduction="sum")


def make(initial, minibatch, seed):
    network = Network(initial)

    def edges_of(batch):
        """Return the sources and targets of all edges by their kind, and how many edges of each kind there are."""
        starts = np.cumsum([0, *(len(sentence) for sentence, _, _ in batch)])
        edges = np.concatenate([np.array(edges) + (start, 0, start) for (_, _, edges), start in zip(batch, starts)])
        sources, kind, targets = edges[np.argsort(edges[:, 1], kind="stable")].T
        counts = np.bincount(kind, minlength=KINDS).tolist()
        return torch.from_numpy(sources.copy()), torch.from_numpy(targets.copy()), counts

    def loss_of(batch):
        sources, targets, counts = edges_of(batch)
        words = network.words
        h = words(words.use(np.concatenate([sentence for sentence, _, _ in batch])))
        for _ in range(ROUNDS):
            messages = network.messages(h.index_select(0, sources), counts)
            h = network.update(torch.zeros_like(h).index_add(0, targets, messages), h)
        return network.loss(h, torch.from_numpy(np.concatenate([labels for _, labels, _ in batch])))

    return training_steps(network.parameters, [network.words], examples(minibatch, seed), loss_of)
