"""A graph with the same records as its predecessor reuses its plan, but changes made in between take effect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current
from dynet_kernels.layout import CONTEXT


def plan_number():
    return current().engine.slots[CONTEXT.plan]


def backward_plan():
    return current().engine.slots[CONTEXT.backward_plan]


@pytest.fixture
def net():
    model = Model()
    W, V = model.parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]]), model.parameters_from_numpy([[1.0, 0.5]])
    return W, V


def loss_of(net, values):
    renew_cg()
    W, V = net
    hidden = dy.tanh(W * dy.inputVector(values))
    return hidden, V * hidden


def expected(net, values):
    W, V = (parameter.as_array().astype(np.float64) for parameter in net)
    hidden = np.tanh(W @ values)
    d_hidden = V[0] * (1 - hidden**2)
    return (V @ hidden).item(), np.outer(d_hidden, values), hidden[None]


def check(net, values):
    for parameter in net:
        parameter.scale_gradient(0)
    _, loss = loss_of(net, values)
    value, dW, dV = expected(net, values)
    np.testing.assert_allclose(loss.value(), value, rtol=1e-5)
    loss.backward()
    np.testing.assert_allclose(net[0].grad_as_array(), dW, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net[1].grad_as_array(), dV, rtol=1e-4, atol=1e-6)


def test_the_plan_is_kept_and_inputs_are_new(net):
    check(net, [0.1, 0.2])
    number, backward = plan_number(), backward_plan()
    for values in ([0.3, -0.1], [0.0, 1.0]):
        check(net, values)
    assert plan_number() == number
    assert backward_plan() == backward


def test_another_graph_in_between(net):
    check(net, [0.1, 0.2])
    renew_cg()
    assert dy.exp(dy.inputVector([0.0, 0.0, 0.0])).value() == [1.0, 1.0, 1.0]
    check(net, [0.3, -0.1])


def test_the_same_graph_with_a_number_more_or_less(net):
    for values in ([1.0], [1.0, 2.0], [1.0], [3.0, 4.0]):
        renew_cg()
        assert (dy.inputVector(values) * 2.0).vec_value() == [2 * value for value in values]


def test_numbers_in_the_graph_are_new():
    x = None
    for number in (1.0, 2.0, 5.0):
        renew_cg()
        x = dy.inputVector([1.0, 2.0]) * number
        assert x.value() == [number, 2 * number]


def test_a_graph_computed_in_parts(net):
    for values in ([0.1, 0.2], [0.3, 0.4], [0.5, 0.6]):
        hidden, loss = loss_of(net, values)
        hidden.value()
        np.testing.assert_allclose(loss.value(), expected(net, values)[0], rtol=1e-5)
    check(net, [0.1, 0.2])


def test_another_loss_in_the_same_graph(net):
    W, V = net
    for backward_from in (0, 1, 0):
        results = loss_of(net, [0.1, 0.2])
        W.scale_gradient(0), V.scale_gradient(0)
        results[1].value()
        dy.sum_elems(results[backward_from]).backward()
        assert (np.abs(V.grad_as_array()).max() > 0) == bool(backward_from)


def test_gradients_of_everything_after_some(net):
    for full in (False, True, False, True):
        hidden, loss = loss_of(net, [0.1, 0.2])
        loss.value()
        loss.backward(full=full)
        if full:
            np.testing.assert_allclose(hidden.gradient(), [1.0, 0.5], rtol=1e-6)


def test_a_parameter_that_is_no_longer_trained(net):
    W, V = net
    for trained in (True, False, True):
        V.set_updated(trained)
        V.scale_gradient(0)
        _, loss = loss_of(net, [0.1, 0.2])
        loss.value()
        loss.backward()
        assert (np.abs(V.grad_as_array()).max() > 0) == trained


def test_rows_of_tables_are_noted_each_time():
    E = Model().lookup_parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
    for _ in range(3):
        renew_cg()
        E.scale_gradient(0)
        loss = dy.sum_elems(E[1])
        loss.value()
        loss.backward()
        np.testing.assert_array_equal(E.grad_as_array(), [[0, 0], [1, 1]])


def test_recalculation_takes_new_inputs(net):
    renew_cg()
    x = dy.vecInput(2)
    y = x * 2.0
    for values in ([1.0, 2.0], [3.0, 4.0]):
        x.set(values)
        assert y.vec_value(recalculate=True) == [2 * value for value in values]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), st.booleans(), st.booleans()), min_size=2, max_size=8))
def test_any_sequence_of_graphs_gives_what_each_gives_alone(graphs):
    rng = np.random.default_rng(0)
    model = Model()
    parameters = [model.add_parameters((3, 3)) for _ in range(2)]

    def run(layers, which, parts, forget, values):
        renew_cg()
        if forget:
            current().engine.discard_plans()
        h = dy.inputVector(values)
        for _ in range(layers):
            h = dy.tanh(parameters[which - 1] * h)
            if parts:
                h.value()
        loss = dy.squared_norm(h)
        result = loss.value()
        for parameter in parameters:
            parameter.scale_gradient(0)
        loss.backward()
        return [result, *[parameter.grad_as_array() for parameter in parameters]]

    inputs = [rng.uniform(-1, 1, 3).tolist() for _ in graphs]
    kept = [run(*graph[:3], False, values) for graph, values in zip(graphs, inputs)]
    alone = [run(*graph[:3], True, values) for graph, values in zip(graphs, inputs)]
    for one, other in zip(kept, alone):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)
