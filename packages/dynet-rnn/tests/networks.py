"""Helpers shared by the network tests: every builder with its reference, inputs, and gradient checks."""

from __future__ import annotations

import numpy as np
from rnn_reference import run

import dynet_ops as dy
from dynet_core import ParameterCollection, renew_cg
from dynet_ops import testing
from dynet_rnn.registry import BUILDERS

INPUT, HIDDEN = 2, 3


NETWORKS = BUILDERS
"""Every builder, with the arguments that it is tested with."""


def make(name: str, layers: int, model: ParameterCollection):
    """A builder of the table."""
    return NETWORKS[name].kind(layers, INPUT, HIDDEN, model, **NETWORKS[name].arguments)


class Setting:
    """A network in a new graph, with random values for all parameters including biases."""

    def __init__(self, name: str, layers: int = 1, seed: int = 0):
        renew_cg()
        self.network, self.layers = NETWORKS[name], layers
        self.values = len(self.network.kind._cell.state)  # 1: h; 2: h and c
        self.random = np.random.default_rng(seed)
        self.model = ParameterCollection()
        self.builder = make(name, layers, self.model)
        for parameter in self.model.parameters_list():
            values = self.random.uniform(-1, 1, parameter.shape())
            parameter.set_value(values if parameter.is_updated() else values < 0.3)  # a mask is not trained

    def arrays(self, count, size=INPUT, batch=1):
        """Convert vectors to the reference's form."""
        return [self.random.uniform(-1, 1, (size, batch)).astype(np.float32) for _ in range(count)]

    @property
    def parameters(self):
        """The parameters of each layer, including those that get_parameters does not list."""
        return self.builder._parameters

    def reference(self, xs, start=None, masks=None, parameters=None):
        found = parameters or [[p.as_array().astype(np.float64) for p in layer] for layer in self.parameters]
        return run(self.network.step, self.values, self.builder.spec[2], found, xs, start, masks)


def expression(array):
    """An input with the batch as its last axis, or without a batch."""
    return dy.inputTensor(array, batched=True) if array.shape[1] > 1 else dy.inputTensor(array[:, 0])


def value_of(x):
    """The value with the batch as its last axis."""
    (size, *_), batch = x.dim()
    return x.npvalue().reshape(size, batch)


def assert_close(actual, expected, tolerance=2e-6):
    __tracebackhide__ = True
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max()
    assert error <= max(tolerance, testing.ROUNDING) * max(1.0, np.abs(expected).max()), f"off by {error}"


def assert_state(state, expected):
    """Compare every vector of a state with the reference's [h] or [h, c] of each layer."""
    for layer, vectors in enumerate(expected):
        assert_close(value_of(state.h()[layer]), vectors[0])
        if len(vectors) > 1:
            assert_close(value_of(state.s()[layer]), vectors[1])
    count = len(expected)
    assert [value_of(v).tolist() for v in state.s()[-count:]] == [value_of(v).tolist() for v in state.h()]


def as_state(vectors, layers):
    """Convert vectors in the order of `s` (c of each layer, then h) to the reference's form; None if there are none."""
    values = len(vectors) // layers
    if not values:
        return None
    return [[vectors[layers * (values - 1 - v) + k] for v in range(values)] for k in range(layers)]


def weights(shape, number):
    return np.random.default_rng(1000 + number).uniform(-1, 1, shape).astype(np.float32)


def loss_of(expressions):
    """A random linear function of several expressions."""
    terms = []
    for number, x in enumerate(expressions):
        (size,), batch = x.dim()
        terms.append(dy.sum_batches(dy.dot_product(x, expression(weights((size, batch), number)))))
    return dy.esum(terms)


def loss_of_arrays(arrays):
    return sum((weights(array.shape, number) * array).sum() for number, array in enumerate(arrays))


def differences(function, arrays, step=1e-5):
    """Central differences, in float64, of a function without arguments that reads the arrays."""
    found = []
    for array in arrays:
        gradient = np.empty_like(array)
        for place in np.ndindex(array.shape):
            middle = array[place]
            array[place] = middle + step
            above = function()
            array[place] = middle - step
            gradient[place] = (above - function()) / (2 * step)
            array[place] = middle
        found.append(gradient)
    return found


def assert_gradients(actual, expected):
    __tracebackhide__ = True
    for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
        error = np.abs(one.reshape(other.shape) - other).max()
        size = np.abs(other).max()
        allowed = max(1e-4 * max(1e-1, size), testing.ROUNDING * max(1.0, size))
        assert error <= allowed, f"gradient {number} is off by {error}"
