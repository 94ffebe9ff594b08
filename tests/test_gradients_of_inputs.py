"""gradient() of nodes that depend on no trained parameter is zero after a plain backward(), whatever ran with them."""

import numpy as np
import pytest

import dynet as dy
from dynet_core.graph import Graph


@pytest.mark.parametrize("asked_before", [False, True])
def test_an_input_whose_readers_run_with_nodes_that_are_trained(asked_before):
    """One product of the input runs with one that has a gradient, so part of the input's gradient is also computed."""
    model = dy.ParameterCollection()
    p = model.parameters_from_numpy(np.array([1, 2, 3], np.float32))
    table = model.lookup_parameters_from_numpy(np.ones((2, 3), np.float32))
    dy.renew_cg()
    a, x = dy.inputVector([0.1, 0.2, 0.3]), table[0]
    products = [dy.cmult(a, p), dy.tanh(a), dy.cmult(dy.tanh(p), p), dy.cmult(x, p)]
    loss = dy.esum([dy.sum_elems(each) for each in products])
    loss.value()
    loss.backward()
    if asked_before:
        np.testing.assert_allclose(x.gradient(), [1, 2, 3])
    np.testing.assert_allclose(a.gradient(), np.zeros(3))
    loss.backward(full=True)
    np.testing.assert_allclose(a.gradient(), np.array([2, 3, 4]) - np.tanh(a.npvalue()) ** 2, rtol=1e-6)


def test_a_row_that_is_not_trained_after_an_update():
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((3, 4))
    trainer = dy.SimpleSGDTrainer(model, 0.1)
    dy.renew_cg()
    x = dy.lookup(table, 0, update=False)
    loss, other = (dy.squared_norm(dy.tanh(row)) for row in (x, table[0]))
    dy.esum([loss, other]).value()
    other.backward()
    trainer.update()
    loss.backward()
    np.testing.assert_allclose(x.gradient(), np.zeros(4))


def test_a_loss_without_parameters():
    dy.renew_cg()
    x = dy.inputVector([1.0, 2.0])
    loss = dy.squared_norm(x)
    loss.backward()
    assert loss.gradient() == 1
    np.testing.assert_allclose(x.gradient(), np.zeros(2))


def test_a_handler_that_renews_while_a_gradient_is_read_makes_the_expression_stale(monkeypatch):
    gradients = Graph.gradients

    def renewed(graph, *arguments):
        dy.renew_cg()  # as a signal handler may at this point
        return gradients(graph, *arguments)

    dy.renew_cg()
    x = dy.inputVector([1.0, 2.0])
    dy.sum_elems(x * 2).backward(full=True)
    monkeypatch.setattr(Graph, "gradients", renewed)
    with pytest.raises(dy.StaleExpressionError):
        x.gradient()
