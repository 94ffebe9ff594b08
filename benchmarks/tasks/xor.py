"""An MLP with eight hidden units learns xor, one example or 64 to a graph."""

import random

from synthetic import minibatches
from training import training_steps

ROWS = [("xor", (1, 64), {})]
HIDDEN = 8


def examples(minibatch, seed):
    table = [([x, y], float(x != y)) for x in (0.0, 1.0) for y in (0.0, 1.0)]
    return minibatches(table * 64, minibatch, random.Random(seed))


def make(dy, minibatch, seed, functions=False):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    W = parameters.add_parameters((HIDDEN, 2))
    b = parameters.add_parameters(HIDDEN)
    V = parameters.add_parameters((1, HIDDEN))
    c = parameters.add_parameters(1)
    batches = examples(minibatch, seed)

    def loss_of_one(inputs, answer):
        hidden = dy.tanh(dy.affine_transform([b, W, dy.inputVector(inputs)]))
        guess = dy.logistic(dy.affine_transform([c, V, hidden]))
        return dy.squared_distance(guess, dy.scalarInput(answer))

    if functions:
        loss_of_one = dy.function(loss_of_one)

    def loss_of(batch):
        return dy.esum([loss_of_one(inputs, answer) for inputs, answer in batch])

    return training_steps(dy, parameters, batches, loss_of)
