"""The smallest useful graph, three nodes: the overhead of each graph that a program evaluates."""

from training import Steps

ROWS = [("small", (1,), {})]
NUMBERS = [0.1, 0.2, 0.3]


def make(dy, minibatch, seed):
    def build():
        dy.renew_cg()
        return dy.sum_elems(dy.tanh(dy.inputVector(NUMBERS)))

    def run():
        dy.renew_cg()
        return dy.sum_elems(dy.tanh(dy.inputVector(NUMBERS))).scalar_value()

    return Steps(run, run, build)
