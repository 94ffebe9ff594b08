"""The network and data of `treelstm`, with `NaryTreeLSTMBuilder`, which DyNet 2.1 lacks in Python."""

from synthetic import VOCABULARY
from tasks.treelstm import CLASSES, examples
from training import training_steps

ROWS = [("treelstm_nary_builder", (1, 10, 64), {})]
SIZE = 128


def make(dy, minibatch, seed):
    if not hasattr(dy, "NaryTreeLSTMBuilder"):
        return None
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, SIZE))
    lstm = dy.NaryTreeLSTMBuilder(1, SIZE, SIZE, parameters, 2)
    classes = parameters.add_parameters((CLASSES, SIZE))
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

    return training_steps(dy, parameters, batches, loss_of)
