"""A gated graph network (Li et al. 2016) over labelled graphs of about 20 words, with nine classes at every node.

A graph is a random dependency tree with arcs of three labels, plus arcs between random words. Each arc is an edge of
one kind from the head to its dependent, and of another kind back. In each of three rounds, a message goes along every
edge through the matrix of the edge's kind, and a GRU updates each node from the sum of its messages.
"""

import random

import numpy as np

from synthetic import VOCABULARY, minibatches, projective_heads, sentences
from training import training_steps

ROWS = [("graphnet", (1, 10, 64), {})]
SIZE, CLASSES, LABELS, ROUNDS = 128, 9, 3, 3
KINDS = 2 * LABELS


def examples(minibatch, seed, edges_as=list):
    """Return minibatches of graphs: words, their classes, and edges (source, kind, target) between positions."""
    rng = random.Random(seed)
    pool = [
        (sentence, [rng.randrange(CLASSES) for _ in sentence], edges_as(edges_of(len(sentence), rng)))
        for sentence in sentences(rng)
    ]
    return minibatches(pool, minibatch, rng)


def edges_of(length, rng):
    heads = projective_heads(length, rng)
    arcs = [(head - 1, word) for word, head in enumerate(heads) if head]
    arcs += [((word + rng.randrange(1, length)) % length, word) for word in range(length) if rng.random() < 0.3]
    edges = []
    for head, dependent in arcs:
        label = rng.randrange(LABELS)
        edges += [(head, label, dependent), (dependent, LABELS + label, head)]
    return edges


def make(dy, minibatch, seed, functions=False, joined=False):
    """With `joined`, `pass_messages` gets the graphs of a minibatch as one graph."""
    if joined and not functions:
        return None
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, SIZE))
    kinds = [(parameters.add_parameters((SIZE, SIZE)), parameters.add_parameters(SIZE)) for _ in range(KINDS)]
    update = Update(dy, parameters)
    if functions:
        update = dy.function(update.__call__)
    classes = parameters.add_parameters((CLASSES, SIZE))
    batches = examples(minibatch, seed)

    def losses_of(sentence, labels, edges):
        states = [words[word] for word in sentence]
        for _ in range(ROUNDS):
            messages = [[] for _ in sentence]
            for source, kind, target in edges:
                A, b = kinds[kind]
                messages[target].append(dy.affine_transform([b, A, states[source]]))
            states = [update(dy.esum(received), h) for received, h in zip(messages, states)]
        for h, label in zip(states, labels):
            yield dy.pickneglogsoftmax(classes * h, label)

    def loss_of(batch):
        return dy.esum([loss for graph in batch for loss in losses_of(*graph)])

    def loss_of_joined(batch):
        starts = np.cumsum([0, *(len(sentence) for sentence, _, _ in batch)])
        edges = np.concatenate([edges + (start, start, 0) for (_, _, edges), start in zip(batch, starts)])
        nodes = [words[word] for sentence, _, _ in batch for word in sentence]
        states = dy.pass_messages(nodes, edges, message, update, rounds=ROUNDS)
        return dy.esum([*map(loss, states, [label for _, labels, _ in batch for label in labels])])

    if joined:
        message = dy.function(lambda h, kind: dy.affine_transform([kinds[kind][1], kinds[kind][0], h]))
        loss = dy.function(lambda h, label: dy.pickneglogsoftmax(classes * h, label))
        batches = examples(minibatch, seed, lambda edges: np.array(edges)[:, [0, 2, 1]])  # the kind last
        return training_steps(dy, parameters, batches, loss_of_joined)
    return training_steps(dy, parameters, batches, loss_of)


class Update:
    """A GRU: the next state of a node from the sum of its messages and its state."""

    def __init__(self, dy, parameters):
        self.dy = dy
        self.gates = [
            (
                parameters.add_parameters((SIZE, SIZE)),
                parameters.add_parameters((SIZE, SIZE)),
                parameters.add_parameters(SIZE),
            )
            for _ in "zru"
        ]

    def __call__(self, message, h):
        dy = self.dy
        z, r, u = self.gates
        z, r = (dy.logistic(dy.affine_transform([b, W, message, U, h])) for W, U, b in (z, r))
        W, U, b = u
        candidate = dy.tanh(dy.affine_transform([b, W, message, U, dy.cmult(r, h)]))
        return h + dy.cmult(z, candidate - h)
