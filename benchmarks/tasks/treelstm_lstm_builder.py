"""A TreeLSTM built from DyNet's LSTM builder: at every node, an LSTM reads the outputs of the node's children.

DyNet 2.1 has TreeLSTM builders only in C++. This is the network of its `UnidirectionalTreeLSTMBuilder`, written in
Python: the LSTM reads the node's own vector first, which is the word's at a leaf and `phrase` at an inner node. The
trees and the five classes are the same as in `treelstm`.
"""

from synthetic import VOCABULARY
from tasks.treelstm import CLASSES, examples
from training import training_steps

ROWS = [("treelstm_lstm_builder", (1, 10, 64), {})]
SIZE = 128


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, SIZE))
    lstm = dy.VanillaLSTMBuilder(1, SIZE, SIZE, parameters)
    phrase = parameters.add_parameters(SIZE)
    classes = parameters.add_parameters((CLASSES, SIZE))
    batches = examples(minibatch, seed)

    def loss_of(batch):
        losses = []
        start = lstm.initial_state()
        inner = start.add_input(phrase)

        def read(node):
            label, *parts = node
            if len(parts) == 1:
                state = start.add_input(words[parts[0]])
            else:
                state = inner.add_input(read(parts[0])).add_input(read(parts[1]))
            h = state.output()
            losses.append(dy.pickneglogsoftmax(classes * h, label))
            return h

        for tree in batch:
            read(tree)
        return dy.esum(losses)

    return training_steps(dy, parameters, batches, loss_of)
