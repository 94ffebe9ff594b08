"""A signal handler computes the graph while a node is being recorded: the node keeps the values it was given."""

import itertools
import sys

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg, reset_random_seed

FILES = "record.py", "python_recorder.py", "python_records.py", "records.py"
sizes = itertools.count(7001)  # the compiled recorder records nodes of a new size in Python
OPS = {
    "number": (lambda x: x * 3.0, lambda x: 3 * x),
    # Compiled code leaves arrays of int16 to Python.
    "inputVector": (lambda x: dy.inputVector(np.arange(x.dim()[0][0], dtype="int16")), lambda x: np.arange(len(x))),
    "constant": (lambda x: dy.constant(x.dim()[0], 2.5), lambda x: np.full(len(x), 2.5)),
    "average": (lambda x: dy.average([x, x]), lambda x: x),
    "hinge": (lambda x: dy.hinge(x, 1, m=5.0), lambda x: np.delete(5 - x[1] + x, 1).sum()),
    "poisson_loss": (lambda x: dy.poisson_loss(x[0], [2, 1]), lambda x: np.e - np.array([2 - np.log(2), 1])),
    "std_dim": (lambda x: dy.std_dim(x, [0], False), np.std),
    "random_uniform": (lambda x: dy.random_uniform(x.dim()[0], 2.0, 2.0), lambda x: np.full(len(x), 2.0)),
    "dropout": (lambda x: dy.dropout(x, 1e-30), lambda x: x),
}


@pytest.fixture
def graph():
    reset_random_seed(1)  # the lowest rate of dropout is 2 ** -24; with this seed nothing is dropped
    renew_cg()
    yield
    renew_cg()


def lines_of(act, handle, line):
    """Call `act`, and `handle` at its n-th line in FILES. Return the result, and whether `act` has that many lines."""
    left, before = line, sys.gettrace()

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.endswith(FILES):
            return None
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(None)
                handle()
        return trace

    sys.settrace(trace)
    try:
        return act(), left <= 0
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("records", [False, True], ids=["computes", "records and computes"])
@pytest.mark.parametrize("name", OPS)
def test_numbers_are_not_lost(graph, name, records):
    op, reference = OPS[name]
    for line in range(1, 500):
        renew_cg()
        values = np.linspace(1, 2, next(sizes), dtype=np.float32)
        first = dy.inputVector([5, 6])
        assert first.value() == [5, 6]  # later values are in other memory
        x = dy.inputVector(values)
        held = []

        def handle(first=first, held=held):
            if records:
                held.append(first * 7.0)
            first.forward()
            for y in held:
                y.value()

        y, more = lines_of(lambda x=x: op(x), handle, line)
        np.testing.assert_allclose(y.npvalue().ravel(), reference(values), rtol=1e-4)
        assert [z.value() for z in held] == [[35, 42]] * len(held)
        if not more:
            break
    assert 3 < line < 400


def test_an_input_that_a_pass_was_in_front_of_can_be_set(graph):
    x = dy.inputVector([1, 2])
    y, found = lines_of(lambda: dy.inputVector(np.ones(next(sizes))), x.forward, 12)
    assert found
    z = dy.sum_elems(y)
    for number in (1, 2):
        y.set(np.full(y.dim()[0], number))
        assert z.value() == number * y.dim()[0][0]
        x.set([number, number])
        assert x.value() == [number, number]
