"""A signal handler computes the graph while a node is being recorded: the node keeps the values it was given."""

import itertools
import sys

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ParameterCollection, recorder, renew_cg, reset_random_seed
from dynet_core.compute.engine import Engine
from dynet_core.graph import current, templates

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


def lines_of(act, handle, line, files=FILES):
    """Call `act`, and `handle` at its n-th line in `files`. Return the result, and if there are that many lines."""
    left, before = line, sys.gettrace()

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.endswith(files):
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


@pytest.mark.parametrize("reads", [False, True], ids=["records", "records and computes"])
def test_nodes_are_recorded_during_a_pass(graph, reads):
    """The memory of the records and of the inputs may move, and other buffers may be replaced."""
    W = ParameterCollection().parameters_from_numpy(np.array([[2.0, 1.0]]))
    line, is_inside = 0, True
    while is_inside:
        line += 1
        renew_cg()
        x, found = dy.inputVector([1.0, 3.0]), []
        loss = dy.squared_norm(dy.tanh(W * x))

        def handle(found=found):
            """Record more than there was before, at another address."""
            ys = [dy.inputVector([float(k)] * 1000) for k in range(100)]
            found.append((dy.esum(ys), 4950.0))
            if reads:
                assert found[0][0].npvalue()[7] == 4950

        def act(loss=loss):
            current().records.unprepare()  # compiled code leaves the pass to Python
            value = loss.value()
            current().records.unprepare()
            loss.backward()
            return value, W.grad_as_array().tolist()

        (value, gradient), is_inside = lines_of(act, handle, line, ("engine.py", "graph.py"))
        assert value == pytest.approx(np.tanh(5) ** 2)
        slope = 2 * np.tanh(5) * (1 - np.tanh(5) ** 2)
        assert np.allclose(gradient, [[slope, 3 * slope]], rtol=1e-3)
        W.scale_gradient(0)
        for y, expected in found:
            assert y.npvalue()[3] == expected
    assert line > 20


def test_a_pass_is_not_run_with_old_addresses(graph, monkeypatch):
    """After new nodes, those of the records and inputs may be old: the pass begins anew."""
    run, found, statuses = Engine._run, [], []

    def disturbed(self, *arguments, **keywords):
        if len(found) == 3:
            return run(self, *arguments, **keywords)
        found.append(dy.inputVector([len(found) + 1.0]))
        if len(found) == 3:
            found[-1].value()
        statuses.append(run(self, *arguments, **keywords))
        return statuses[-1]

    monkeypatch.setattr(Engine, "_run", disturbed)
    current().records.unprepare()
    assert (dy.inputVector([1.0, 2.0]) * 3).value() == [3, 6]
    assert statuses == [None] * 3
    assert [x.value() for x in found] == [1, 2, 3]


@pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the recorder in Python has no templates")
def test_nodes_recorded_after_an_op_are_not_part_of_its_template(graph, monkeypatch):
    make = templates.template_between

    def disturbed(*arguments, **keywords):
        dy.inputVector([7.0] * 50)
        return make(*arguments, **keywords)

    monkeypatch.setattr(templates, "template_between", disturbed)
    size = next(sizes)
    for _ in range(5):
        x = dy.inputVector(np.arange(float(size)))
        assert dy.average([x, x]).npvalue().tolist() == [*range(size)]
