"""Graphs of a few nodes, by what the program still holds of the last graph when it renews; also a graph of 20 steps,
each read before the next is recorded."""

from tasks.small import NUMBERS
from training import Steps

ROWS = [
    ("3, nothing held", (1,), {"kind": "nothing"}),
    ("3, input held", (1,), {"kind": "input"}),
    ("3, all held", (1,), {"kind": "all"}),
    ("20 tanh of 1, read", (1,), {"kind": "reads", "size": 1}),
    ("20 tanh of 128, read", (1,), {"kind": "reads", "size": 128}),
]


def make(dy, minibatch, seed, kind, size=0):
    numbers = [0.5] * size
    x = y = loss = None

    def nothing():
        dy.renew_cg()
        return dy.sum_elems(dy.tanh(dy.inputVector(NUMBERS)))

    def input_held():
        nonlocal x
        dy.renew_cg()
        x = dy.inputVector(NUMBERS)
        return dy.sum_elems(dy.tanh(x))

    def all_held():
        nonlocal x, y, loss
        dy.renew_cg()
        x = dy.inputVector(NUMBERS)
        y = dy.tanh(x)
        loss = dy.sum_elems(y)
        return loss

    def reads():
        dy.renew_cg()
        y = dy.inputVector(numbers)
        for _ in range(20):
            y = dy.tanh(y)
            y.value()
        return y

    build = {"nothing": nothing, "input": input_held, "all": all_held, "reads": reads}[kind]

    def run():
        return build().value()

    return Steps(run, run, build)
