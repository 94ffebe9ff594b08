"""An LSTM over word lattices: a child-sum TreeLSTM (Tai et al. 2015) whose nodes have any number of predecessors.

A lattice is a directed acyclic graph. Its nodes are the words of a sentence, and longer words that span 2 to 4 of them;
a node's predecessors are the words that end where it starts. The state of a node is computed from its word and from the
sum of its predecessors' outputs, with a forget gate for each predecessor. Every node has one of nine classes.
"""

import random

from synthetic import VOCABULARY, lattice, minibatches, sentences, zipf
from training import training_steps

ROWS = [("lattice", (1, 10, 64), {})]
SIZE, CLASSES = 128, 9


def examples(minibatch, seed):
    """Return minibatches of lattices. A lattice lists (word, positions of its predecessors, class)."""
    rng = random.Random(seed)
    extra = zipf(VOCABULARY)
    pool = [
        [(word, before, rng.randrange(CLASSES)) for word, before in lattice(sentence, rng, extra)]
        for sentence in sentences(rng)
    ]
    return minibatches(pool, minibatch, rng)


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, SIZE))
    node = Node(dy, parameters)
    classes = parameters.add_parameters((CLASSES, SIZE))
    batches = examples(minibatch, seed)

    def losses_of(nodes):
        states = []
        for word, before, label in nodes:
            states.append(node(words[word], [states[other] for other in before]))
            yield dy.pickneglogsoftmax(classes * states[-1][0], label)

    def loss_of(batch):
        return dy.esum([loss for nodes in batch for loss in losses_of(nodes)])

    return training_steps(dy, parameters, batches, loss_of)


class Node:
    """Computes the state (h, c) of a node from its word's vector and its predecessors' states."""

    def __init__(self, dy, parameters):
        self.dy = dy
        self.gates = [
            (
                parameters.add_parameters((SIZE, SIZE)),
                parameters.add_parameters((SIZE, SIZE)),
                parameters.add_parameters(SIZE),
            )
            for _ in "iouf"
        ]

    def __call__(self, x, before):
        dy = self.dy
        *gates, (forget_W, forget_U, forget_b) = self.gates
        if before:
            h = dy.esum([h for h, _ in before])
            i, o, u = (dy.affine_transform([b, W, x, U, h]) for W, U, b in gates)
        else:
            i, o, u = (dy.affine_transform([b, W, x]) for W, _, b in gates)
        terms = [dy.cmult(dy.logistic(i), dy.tanh(u))]
        if before:
            of_word = dy.affine_transform([forget_b, forget_W, x])
            terms += [dy.cmult(dy.logistic(of_word + forget_U * h), c) for h, c in before]
        c = dy.esum(terms)
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c
