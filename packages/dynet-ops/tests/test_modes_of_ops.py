"""Every op gives the same results in every graph mode: immediate, checked, reverted, in another thread."""

import threading

import numpy as np
import pytest
from tested_ops import each_sample

import dynet_ops as dy
from dynet_core import cg_checkpoint, cg_revert, renew_cg
from dynet_core.random import noise
from dynet_ops.testing import Computed, Input, draw, magnitude, record, value_of, weighted_sum, weights_for


def recorded(op, sample, kind):
    noise.reset(7)
    leaves = [kind(array) for array in draw(op, sample)]
    return leaves, record(op, sample, [leaf.expression for leaf in leaves])


def found(leaves, result):
    """The value and the gradients."""
    value = value_of(result)
    weighted_sum(result, weights_for(result)).backward(full=True)
    return [value, *[leaf.gradient() for leaf in leaves]]


def plain(op, sample, kind):
    renew_cg()
    return found(*recorded(op, sample, kind))


def immediate(op, sample, kind):
    renew_cg(immediate_compute=True)
    return found(*recorded(op, sample, kind))


def checked(op, sample, kind):
    renew_cg(check_validity=True)
    return found(*recorded(op, sample, kind))


def immediate_and_checked(op, sample, kind):
    renew_cg(True, True)
    return found(*recorded(op, sample, kind))


def after_a_revert(op, sample, kind):
    """The op is recorded, computed and reverted; then other nodes are recorded, and the op again."""
    renew_cg()
    dy.tanh(dy.inputVector([1.0, 2.0]))
    cg_checkpoint()
    recorded(op, sample, kind)[1].value()
    cg_revert()
    dy.tanh(dy.inputVector([3.0])).value()
    return found(*recorded(op, sample, kind))


def below_a_checkpoint(op, sample, kind):
    renew_cg()
    leaves, result = recorded(op, sample, kind)
    cg_checkpoint()
    dy.tanh(dy.sum_elems(result)).value()
    cg_revert()
    return found(leaves, result)


def evaluated_again(op, sample, kind):
    renew_cg()
    leaves, result = recorded(op, sample, kind)
    result.value()
    noise.reset(7)  # random nodes are drawn again from the same keys
    result.value(recalculate=True)
    return found(leaves, result)


def read_node_by_node(op, sample, kind):
    """Each part of the graph is planned separately."""
    renew_cg()
    noise.reset(7)
    leaves = [kind(array) for array in draw(op, sample)]
    for leaf in leaves:
        leaf.expression.value()
    result = record(op, sample, [leaf.expression for leaf in leaves])
    return found(leaves, result)


def in_another_thread(op, sample, kind):
    results = []
    thread = threading.Thread(target=lambda: results.append(plain(op, sample, kind)))
    thread.start()
    thread.join()
    return results[0]


MODES = [
    immediate, checked, immediate_and_checked, after_a_revert, below_a_checkpoint, evaluated_again, read_node_by_node,
    in_another_thread,
]  # fmt: skip


@pytest.mark.parametrize(("op", "sample"), each_sample())
def test_every_op(op, sample):
    for kind in (Input, Computed):
        expected = plain(op, sample, kind)
        for mode in MODES:
            actual = mode(op, sample, kind)
            for one, other in zip(actual, expected, strict=True):
                error, allowed = magnitude(one - other), op.tolerance * max(1.0, magnitude(other))
                assert error <= allowed, f"{mode.__name__}: off by {error}"


NUMBERS = {
    "x + 1.0": lambda x: x + 1.0,
    "1 - x": lambda x: 1 - x,
    "x - 2": lambda x: x - 2,
    "x / 2": lambda x: x / 2,
    "2 / x": lambda x: 2 / x,
    "x * .3": lambda x: x * 0.3,
    "2 * x": lambda x: 2 * x,
    "x ** 2": lambda x: x**2,
    "2 ** x": lambda x: 2**x,
    "average": lambda x: dy.average([x, dy.inputVector([1.0]), x * 3.0]),
    "silu": lambda x: dy.silu(x, 2.0),
    "elu": lambda x: dy.elu(x, 0.5),
    "pow": lambda x: dy.pow(x, dy.scalarInput(3.0)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_operators_with_plain_numbers_in_immediate_graphs(name):
    values = np.array([0.5, 1.5, 2.5], np.float32)
    renew_cg()
    expected = NUMBERS[name](dy.inputVector(values)).npvalue()
    for number in range(3):
        renew_cg(immediate_compute=True, check_validity=True)
        for _ in range(number):
            dy.scalarInput(9.0)
        np.testing.assert_array_equal(NUMBERS[name](dy.inputVector(values)).npvalue(), expected)
