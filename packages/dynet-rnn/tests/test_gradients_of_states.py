"""gradient() of a state's values includes all gradients that flow to them, also through other values of the state."""

import numpy as np
import pytest

import dynet_core
import dynet_rnn as rnn
from dynet_core import renew_cg
from dynet_ops import cmult, dot_product, inputVector, squared_norm

X = [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [0.5, -1.0, 0.25]]
WEIGHTS = [0.5, -2.0]
SEQUENCES = ["VanillaLSTMBuilder", "CompactVanillaLSTMBuilder"]


def network(name):
    """A builder with the same weights in DyNet 2.1 and here."""
    made = getattr(rnn, name)(1, 3, 2, dynet_core.ParameterCollection())
    for row in made.get_parameters():
        for k, p in enumerate(row):
            p.set_value(np.cos(np.arange(np.prod(p.shape())) + k).reshape(p.shape()))
    return made


def through_h(h, c):
    """The derivative of h = o tanh(c) with respect to c."""
    tanh = np.tanh(c.npvalue())
    return h.npvalue() / tanh * (1 - tanh**2)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", SEQUENCES)
def test_the_last_cell_state(name, full):
    renew_cg()
    state = network(name).initial_state().add_input(inputVector(X[0]))
    h, (c,) = state.output(), state.s()[:1]
    loss = squared_norm(h) + dot_product(c, inputVector(WEIGHTS))
    loss.value()
    loss.backward(full=full)
    np.testing.assert_allclose(h.gradient(), 2 * h.npvalue(), rtol=1e-5)
    np.testing.assert_allclose(c.gradient(), WEIGHTS + 2 * h.npvalue() * through_h(h, c), rtol=1e-5)
    np.testing.assert_allclose(h.gradient(), 2 * h.npvalue(), rtol=1e-5)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", SEQUENCES)
def test_earlier_cell_states(name, full):
    builder = network(name)
    renew_cg()
    states = builder.initial_state().add_inputs([inputVector(x) for x in X])
    h, c = states[1].output(), states[1].s()[0]
    loss = squared_norm(states[2].output()) + squared_norm(cmult(c, c))
    loss.value()
    loss.backward(full=full)
    found, by_h = c.gradient(), h.gradient()
    # The same with the state of the second step as inputs, from which no gradient flows back.
    values, derivative = (c.npvalue(), h.npvalue()), through_h(h, c)
    renew_cg()
    c0, h0 = (inputVector(value) for value in values)
    last = builder.initial_state([c0, h0]).add_input(inputVector(X[2]))
    loss = squared_norm(last.output()) + squared_norm(cmult(c0, c0))
    loss.value()
    loss.backward(full=True)
    np.testing.assert_allclose(by_h, h0.gradient(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found, c0.gradient() + h0.gradient() * derivative, rtol=1e-4, atol=1e-6)


def test_cell_states_that_later_products_read():
    """In a coupled LSTM, matrices multiply the cell state. Expected values are from DyNet 2.1."""
    renew_cg()
    state = network("CoupledLSTMBuilder").initial_state().add_input(inputVector(X[0]))
    c, h = state.s()[0], state.output()
    loss = squared_norm(state.add_input(inputVector(X[1])).output())
    loss.value()
    loss.backward()
    np.testing.assert_allclose(c.gradient(), [0.01801662, 0.17064148], rtol=1e-4)
    np.testing.assert_allclose(h.gradient(), [0.02577268, 0.08254856], rtol=1e-4)


@pytest.mark.parametrize("full", [False, True])
def test_the_cell_state_of_a_tree(full):
    renew_cg()
    builder = rnn.ChildSumTreeLSTMBuilder(1, 3, 2, dynet_core.ParameterCollection())
    root = builder.initial_state()
    nodes = [root.add_input(inputVector(X[0]), []), root.add_input(inputVector(X[1]), [])]
    top = root.add_input(inputVector(X[2]), nodes)
    h, c = top.output(), top.s()[0]
    loss = squared_norm(h) + dot_product(c, inputVector(WEIGHTS))
    loss.value()
    loss.backward(full=full)
    np.testing.assert_allclose(c.gradient(), WEIGHTS + 2 * h.npvalue() * through_h(h, c), rtol=1e-4)
