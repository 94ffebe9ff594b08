"""Helpers shared by the scripts: values from a fixed generator, and the report on stdout."""

import json

import numpy as np


def numbers(shape, seed=1, low=-1.0, high=1.0):
    """Uniform random values, the same under every version of Python and numpy."""
    return np.random.RandomState(seed).uniform(low, high, shape)


def listed(expression):
    """An expression's or parameter's value as nested lists."""
    return np.asarray(expression.npvalue(), dtype=float).tolist()


def gradients(parameters):
    return [np.asarray(parameter.grad_as_array(), dtype=float).tolist() for parameter in parameters]


def values(parameters):
    return [np.asarray(parameter.as_array(), dtype=float).tolist() for parameter in parameters]


def report(results):
    print(json.dumps(results))
