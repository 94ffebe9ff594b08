"""A binary TreeLSTM (N-ary, Tai et al. 2015) over random trees of 20 words; five classes at every node."""

import random

from synthetic import VOCABULARY, binary_tree, minibatches, sentences
from training import training_steps

ROWS = [("treelstm 128", (1, 10, 64), {"size": 128}), ("treelstm 256", (1, 10, 64), {"size": 256})]
CLASSES = 5


def examples(minibatch, seed, form=lambda tree: tree):
    rng = random.Random(seed)
    pool = [form(labelled(binary_tree(sentence, rng), rng)) for sentence in sentences(rng)]
    return minibatches(pool, minibatch, rng)


def make(dy, minibatch, seed, size, functions=False):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, size))
    leaf = Leaf(dy, parameters, size)
    join = Join(dy, parameters, size)
    if functions:
        leaf, join = dy.function(leaf.__call__), dy.function(join.__call__)
    classes = parameters.add_parameters((CLASSES, size))
    batches = examples(minibatch, seed)

    def read(node, losses):
        label, *parts = node
        if len(parts) == 1:
            h, c = leaf(words[parts[0]])
        else:
            h, c = join(*read(parts[0], losses), *read(parts[1], losses))
        losses.append(dy.pickneglogsoftmax(classes * h, label))
        return h, c

    def loss_of(batch):
        losses = []
        for tree in batch:
            read(tree, losses)
        return dy.esum(losses)

    return training_steps(dy, parameters, batches, loss_of)


def labelled(tree, rng):
    """Return (label, word) for a leaf, (label, left, right) for an inner node."""
    label = rng.randrange(CLASSES)
    if isinstance(tree, int):
        return label, tree
    return (label, *(labelled(part, rng) for part in tree))


class Leaf:
    """Computes the state of a single word: input, output gate and candidate from its vector."""

    def __init__(self, dy, parameters, size):
        self.dy = dy
        self.gates = [(parameters.add_parameters((size, size)), parameters.add_parameters(size)) for _ in "iou"]

    def __call__(self, x):
        dy = self.dy
        i, o, u = (dy.affine_transform([b, W, x]) for W, b in self.gates)
        c = dy.cmult(dy.logistic(i), dy.tanh(u))
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c


class Join:
    """Computes the state of a node from its two children, with a forget gate for each."""

    def __init__(self, dy, parameters, size):
        self.dy = dy
        self.gates = [
            (
                parameters.add_parameters((size, size)),
                parameters.add_parameters((size, size)),
                parameters.add_parameters(size),
            )
            for _ in "iolru"
        ]

    def __call__(self, h1, c1, h2, c2):
        dy = self.dy
        i, o, left, right, u = (dy.affine_transform([b, W1, h1, W2, h2]) for W1, W2, b in self.gates)
        kept = dy.cmult(dy.logistic(left), c1) + dy.cmult(dy.logistic(right), c2)
        c = dy.cmult(dy.logistic(i), dy.tanh(u)) + kept
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c
