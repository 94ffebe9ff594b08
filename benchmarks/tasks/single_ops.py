"""Single ops: nanoseconds to record one, or to read a value already computed, with the loop and without.

A step renews the graph, then times a chain of 100 nodes of the op and an empty loop. Building operands and renewing are
not timed.
"""

import statistics
import time
import timeit

from training import Steps

CHAIN = 100
SIZE = 10
OPS = {
    "tanh(y)": "y = dy.tanh(y)",
    "tanh(x=y)": "y = dy.tanh(x=y)",
    "x + y": "y = x + y",
    "x * y": "s = s * s",
    "W * x": "y = W * y",
    "x * 2.0": "y = y * 2.0",
    "2.0 * x": "y = 2.0 * y",
    "x + 1": "y = y + 1",
    "1 - x": "y = 1 - y",
    "-x": "y = -y",
    "esum([x, x, y])": "y = dy.esum([x, x, y])",
    "esum((x, y))": "y = dy.esum((x, y))",
    "concatenate([x, x, y])": "dy.concatenate([x, x, y])",
    "concatenate_cols of 8": "dy.concatenate_cols([x, x, x, x, y, y, y, y])",
    "affine_transform([b, W, x])": "y = dy.affine_transform([b, W, y])",
    "dropout(x, 0.5)": "y = dy.dropout(y, 0.5)",
    "pick(x, 3)": "dy.pick(x, 3)",
    "x[3]": "x[3]",
    "x[1:3]": "x[1:3]",
    "pickneglogsoftmax(x, 3)": "dy.pickneglogsoftmax(x, 3)",
    "E[i]": "E[5]",
    "E[numpy.int64]": "E[five]",
    "scalarInput(1.5)": "dy.scalarInput(1.5)",
    "inputVector of 3": "dy.inputVector(numbers)",
    "inputTensor of an array": "dy.inputTensor(matrix)",
    "inputTensor of a list": "dy.inputTensor(rows)",
    "zeros(100)": "dy.zeros(100)",
    "ones((1, 20))": "dy.ones((1, 20))",
    "reshape of a batch": "dy.reshape(columns, (2, 5), 8)",
    "sum_dim": "dy.sum_dim(columns, [0])",
    "mean_dim": "dy.mean_dim(columns, [0], False)",
    "lookup_batch of a list": "dy.lookup_batch(E, indices)",
    "lookup_batch of an array": "dy.lookup_batch(E, array)",
    "pick_batch of a list": "dy.pick_batch(columns, indices)",
    "pick_batch of an array": "dy.pick_batch(columns, array)",
    "pickneglogsoftmax_batch": "dy.pickneglogsoftmax_batch(columns, indices)",
    "lstm add_input(x)": "state = state.add_input(x)",
    "renew_cg()": "dy.renew_cg()",
    "value() of a scalar": "s.value()",
    "scalar_value()": "s.scalar_value()",
    "npvalue() of a vector": "t.npvalue()",
}
"""The repeated statement, by name."""
ROWS = [(name, (1,), {"statement": statement}) for name, statement in OPS.items()]
BEGIN = """
dy.renew_cg()
x = dy.inputVector(vector)
y = W * x + b
s = dy.sum_elems(y)
t = dy.tanh(x)
columns = dy.lookup_batch(E, indices)
s.value(), t.value()
state = lstm.initial_state().add_input(x)
"""
"""Starts a new graph with the operands, some of them computed; also uses each parameter once, outside the loop."""


def make(dy, minibatch, seed, statement):
    import numpy

    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    known = {
        "dy": dy,
        "W": parameters.add_parameters((SIZE, SIZE)),
        "b": parameters.add_parameters(SIZE),
        "E": parameters.add_lookup_parameters((100, SIZE)),
        "lstm": dy.VanillaLSTMBuilder(1, SIZE, SIZE, parameters),
        "vector": [0.1 * number for number in range(SIZE)],
        "numbers": [0.1, 0.2, 0.3],
        "five": numpy.int64(5),
        "matrix": numpy.linspace(0.0, 1.0, SIZE * SIZE).reshape(SIZE, SIZE),
        "rows": numpy.linspace(0.0, 1.0, SIZE * SIZE).reshape(SIZE, SIZE).tolist(),
        "indices": list(range(8)),
        "array": numpy.arange(8),
    }
    chain = Chain(statement, known)
    return Steps(chain, chain, chain, parameters=parameters)


class Chain:
    """A step that records the time of the op and of the empty loop, in nanoseconds per op."""

    def __init__(self, statement, known):
        timer = time.thread_time_ns
        self.timers = {
            "op": timeit.Timer(statement, BEGIN, timer, known),
            "loop": timeit.Timer("pass", BEGIN, timer, known),
        }
        self.times = {part: [] for part in self.timers}

    def __call__(self):
        for part, timer in self.timers.items():
            self.times[part].append(timer.timeit(CHAIN) / CHAIN)

    def take(self):
        """Return the medians since the last call."""
        taken = {part: statistics.median(times) for part, times in self.times.items()}
        self.times = {part: [] for part in self.timers}
        return taken
