"""The network and data of `lattice`, with `ChildSumTreeLSTMBuilder`, which DyNet 2.1 lacks in Python."""

from synthetic import VOCABULARY
from tasks.lattice import CLASSES, SIZE, examples
from training import training_steps

ROWS = [("lattice_child_sum_builder", (1, 10, 64), {})]


def make(dy, minibatch, seed):
    if not hasattr(dy, "ChildSumTreeLSTMBuilder"):
        return None
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, SIZE))
    lstm = dy.ChildSumTreeLSTMBuilder(1, SIZE, SIZE, parameters)
    classes = parameters.add_parameters((CLASSES, SIZE))
    batches = examples(minibatch, seed)

    def loss_of(batch):
        losses, start = [], lstm.initial_state()
        for nodes in batch:
            states = []
            for word, before, label in nodes:
                states.append(start.add_input(words[word], [states[other] for other in before]))
                losses.append(dy.pickneglogsoftmax(classes * states[-1].output(), label))
        return dy.esum(losses)

    return training_steps(dy, parameters, batches, loss_of)
