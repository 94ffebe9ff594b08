"""A helper thread may plan the backward pass during the forward pass: results stay the same."""

import os
import threading
import time

import numpy as np
import pytest
from tested_ops import each_sample

import dynet_ops as dy
from dynet_core import Model, cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph import current
from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import sharing
from dynet_ops.testing import Computed, draw, record, weighted_sum, weights_for

NUMBERS = (2, 3, 7)  # numbers of threads


def slot(name):
    return current().engine.slots[CONTEXT[name]]


def is_planned():
    """Whether a backward pass from the last node is planned."""
    return slot("backward_plan") == slot("plan") and slot("backward_loss") == slot("node_count") - 1


@pytest.fixture(autouse=True, scope="module")
def planner():
    """Load the planner, which helpers need."""
    renew_cg()
    dy.exp(dy.inputVector([1.0])).value()


@pytest.fixture
def expecting():
    """Two threads that share everything, and a graph that expects its next backward pass to be as usual."""
    with sharing.using(2, 0, 0):
        expect_backward()
        yield
    current().engine.discard_plans()


def wait_for_helpers():
    """Sleep until all helpers are waiting for work."""
    for part in range(1, sharing.thread_count()):
        row = part * at.HELPER_ROW
        while sharing._helpers[row + at.HELPER.state] == at.STARTED:
            time.sleep(1e-3)


def expect_backward():
    """Differentiate a graph from its last node. This also makes room for the gradients of other graphs."""
    wait_for_helpers()
    renew_cg()
    current().engine.discard_plans()
    W = Model().parameters_from_numpy([1.0])
    dy.squared_norm(dy.tanh(W * dy.inputVector(np.ones(1 << 16)))).backward()


def gradients(threads, op, sample):
    """Gradients of parameters whose nodes run together, some of them with the same operands."""
    with sharing.using(threads, 0, 0):
        expect_backward()
        renew_cg()
        leaves = [[Computed(array) for array in draw(op, sample, seed)] for seed in range(2)]
        operands = [[leaf.expression for leaf in these] for these in leaves]
        results = [record(op, sample, these) for these in (*operands, operands[0])]
        loss = dy.esum([weighted_sum(result, weights_for(result, seed)) for seed, result in enumerate(results)])
        loss.value()
        assert is_planned() == (threads > 1 and slot("one_numbering") == 1)
        loss.backward()
    current().engine.discard_plans()
    return b"".join(leaf.gradient().tobytes() for these in leaves for leaf in these)


@pytest.mark.few(each=3)
@pytest.mark.parametrize(("op", "sample"), each_sample())
def test_every_op(op, sample):
    expected = gradients(1, op, sample)
    for threads in NUMBERS:
        assert gradients(threads, op, sample) == expected


def test_programs_that_only_predict_plan_one_pass_too_many(expecting):
    w = Model().parameters_from_numpy([2.0])
    for number in range(3):
        renew_cg()
        dy.esum([w * float(k) for k in range(number + 1)]).value()
        assert is_planned() == (number == 0)


@pytest.mark.parametrize("end", ["earlier", "full", "later"])
def test_another_pass_than_the_expected_one(expecting, end):
    W = Model().parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    h = W * x
    first = dy.squared_norm(h)
    loss = dy.exp(first * 0.01)
    value = loss.value()
    assert is_planned()
    factor = 0.01 * value
    if end == "earlier":
        first.backward()
        factor = 1.0
    elif end == "full":
        loss.backward(full=True)
        np.testing.assert_allclose(x.gradient(), 2 * factor * W.as_array().T @ h.npvalue(), rtol=1e-5)
    else:
        (loss * 2.0).backward()
        factor *= 2
    expected = 2 * factor * np.outer(h.npvalue(), [1.0, 2.0])
    np.testing.assert_allclose(W.grad_as_array(), expected, rtol=1e-5)


@pytest.mark.parametrize("freeze", [True, False])
def test_parameters_that_are_frozen_or_trained_after_the_plan(expecting, freeze):
    model = Model()
    W, E = model.parameters_from_numpy([[1.0, 2.0]]), model.lookup_parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
    for parameter in (W, E):
        parameter.set_updated(freeze)
    V = model.parameters_from_numpy([1.0])
    renew_cg()
    loss = dy.squared_norm(V + W * E[1])
    loss.value()
    assert is_planned()
    for parameter in (W, E):
        parameter.set_updated(not freeze)
    loss.backward()
    for parameter in (W, E):
        assert np.any(parameter.grad_as_array()) == (not freeze)
        parameter.set_updated(True)
        assert np.any(parameter.grad_as_array()) == (not freeze)
    np.testing.assert_allclose(V.grad_as_array(), [24.0])


def test_rows_of_tables_are_noted_by_the_pass_alone(expecting):
    E = Model().lookup_parameters_from_numpy(np.ones((5, 2)))
    for backward in (False, True, True):
        expect_backward()
        renew_cg()
        loss = dy.squared_norm(E[1] + E[3])
        loss.value()
        assert is_planned()
        E.scale_gradient(0)
        for times in range(1, 3 * backward):
            loss.backward()
            assert E.grad_as_array()[:, 0].tolist() == [0, 4 * times, 0, 4 * times, 0]
        if not backward:
            assert not np.any(E.grad_as_array())


def test_a_plan_that_needs_more_memory(expecting):
    """If there is too little memory for gradients, the plan is not kept but rebuilt."""
    engine = current().engine
    with engine.replacing_buffers():
        engine._grow_gradients(16)
    W = Model().parameters_from_numpy([1.0])
    renew_cg()
    loss = dy.sum_elems(dy.tanh(W * dy.inputVector(np.ones(1000))))
    loss.value()
    assert slot("backward_plan") == -1
    loss.backward()
    np.testing.assert_allclose(W.grad_as_array(), [1000 * (1 - np.tanh(1) ** 2)], rtol=1e-3)


def in_parts(W, planned):
    renew_cg()
    h = dy.inputVector([1.0, 1.0])
    for number in range(3):
        h = dy.tanh(W * h)
        h.value()
        assert is_planned() == (planned and number == 0)
    cg_checkpoint()
    (h * 2.0).value()
    cg_revert()
    loss = dy.sum_elems(h)
    W.scale_gradient(0)
    loss.backward()
    return W.grad_as_array().tobytes()


def test_graphs_that_are_computed_in_parts(expecting):
    W = Model().parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
    found = in_parts(W, True)
    with sharing.using(1):
        assert found == in_parts(W, False)


@pytest.mark.parametrize("length", [1, 2, pytest.param(30, marks=pytest.mark.thorough)])
def test_the_thread_joins_early_or_late(expecting, length):
    """The graphs are short or long compared with the planning time, and the number of nodes varies."""
    rng = np.random.default_rng(length)
    W, V = (Model().parameters_from_numpy(rng.normal(size=(40, 40)).astype(np.float32) / 6) for _ in range(2))

    def step(number):
        renew_cg()
        hs = [dy.inputVector(np.full(40, k + 1.0)) for k in range(1 + number % 7)]
        for _ in range(length):
            hs = [dy.tanh(W * h) for h in hs]
        loss = dy.squared_norm(dy.esum([V * h for h in hs]))
        loss.value()
        loss.backward()
        found = W.grad_as_array().tobytes() + V.grad_as_array().tobytes()
        for parameter in (W, V):
            parameter.scale_gradient(0)
        return found

    with sharing.using(1):
        expected = [step(number) for number in range(7)]
    for threads in NUMBERS:
        with sharing.using(threads, 0, 0):
            for number in range(200):
                assert step(number) == expected[number % 7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_and_another_thread_plan_when_they_need_it(expecting):
    W = Model().parameters_from_numpy([[1.0, 2.0]])
    renew_cg()
    loss = W * dy.inputVector([1.0, 2.0])
    loss.value()
    assert is_planned()
    child = os.fork()
    if not child:
        loss.backward()
        os._exit(W.grad_as_array().tolist() == [[1.0, 2.0]])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1

    def other():
        renew_cg()
        (W * dy.inputVector([3.0, 4.0])).backward()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    loss.backward()
    assert W.grad_as_array().tolist() == [[4.0, 6.0]]
