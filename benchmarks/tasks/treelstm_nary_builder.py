"""The network and data of `treelstm`, with `NaryTreeLSTMBuilder`, which DyNet 2.1 lacks in Python.

With `functions`, trees are lists of heads, and the builder gets all trees of a minibatch at once.
"""

from synthetic import VOCABULARY
from tasks.treelstm import CLASSES, examples
from training import training_steps

ROWS = [("treelstm_nary_builder", (1, 10, 64), {"size": 128})]


def make(dy, minibatch, seed, size, functions=False):
    if not hasattr(dy, "NaryTreeLSTMBuilder"):
        return None
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, size))
    lstm = dy.NaryTreeLSTMBuilder(1, size, size, parameters, 2)
    classes = parameters.add_parameters((CLASSES, size))
    batches = examples(minibatch, seed)

    def read(start, node, losses):
        label, *parts = node
        if len(parts) == 1:
            state = start.add_input(words[parts[0]])
        else:
            state = start.add_input(None, [read(start, part, losses) for part in parts])
        losses.append(dy.pickneglogsoftmax(classes * state.output(), label))
        return state

    def loss_of(batch):
        losses, start = [], lstm.initial_state()
        for tree in batch:
            read(start, tree, losses)
        return dy.esum(losses)

    def loss_of_trees(batch):
        nodes, heads, start = [], [], lstm.initial_state()
        for labels_and_words, heads_of_tree in batch:
            heads += [head + len(nodes) if head >= 0 else head for head in heads_of_tree]
            nodes += labels_and_words
        outputs = start.transduce([None if word is None else words[word] for _, word in nodes], heads)
        return dy.esum([loss(h, label) for h, (label, _) in zip(outputs, nodes)])

    if functions:
        loss = dy.function(lambda h, label: dy.pickneglogsoftmax(classes * h, label))
        return training_steps(dy, parameters, examples(minibatch, seed, as_lists), loss_of_trees)
    return training_steps(dy, parameters, batches, loss_of)


def as_lists(tree):
    """Return a tree as a list of (label, word or None) for its nodes, and a list of their heads."""
    nodes, heads, waiting = [], [], [(tree, -1)]
    while waiting:
        (label, *parts), head = waiting.pop()
        nodes.append((label, parts[0] if len(parts) == 1 else None))
        heads.append(head)
        if len(parts) == 2:
            waiting += (parts[1], len(heads) - 1), (parts[0], len(heads) - 1)
    return nodes, heads
