"""Graphs: when values are computed, incremental computation, and the gradients of a graph."""

import gc

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import GradientError, Model, StaleExpressionError, cg_version, graph, renew_cg
from dynet_core.graph import current


@pytest.fixture(autouse=True)
def fresh_graph():
    renew_cg()


def test_values_half_way_change_nothing():
    def build(read):
        renew_cg()
        x, values = dy.inputVector([0.5, -1.0, 2.0]), []
        for k in range(10):
            x = dy.tanh(x * (0.5 + k)) + dy.inputVector([0.1 * k, 0.2, 0.3])
            if read:
                values.append(x.value())
        return x.value(), values

    whole, _ = build(read=False)
    stepwise, values = build(read=True)
    assert whole == stepwise == values[-1]


def test_a_value_is_computed_once():
    x = dy.inputVector([1.0, 2.0])
    y = dy.tanh(x)
    first = y.value()
    done = current().records.computed
    assert y.value() == first
    assert current().records.computed == done
    z = y * 2.0
    assert current().records.computed == done
    assert z.value() == pytest.approx([2 * v for v in first])
    assert y.value() == first


def test_arrays_that_were_given_stay_as_they_are():
    x = dy.inputVector([1.0, 2.0])
    y = x * 3.0
    array = y.npvalue()
    array[0] = 99.0
    assert y.value() == [3.0, 6.0]
    renew_cg()
    (dy.inputVector([7.0, 7.0]) * 5.0).value()
    assert array.tolist() == [99.0, 6.0]


def test_recalculation_takes_up_new_inputs():
    x, y = dy.scalarInput(1.0), dy.vecInput(2)
    y.set([10.0, 20.0])
    z = dy.cmult(x, y) + dy.constant((2,), 1.0)
    assert z.value() == [11.0, 21.0]
    x.set(2.0)
    assert z.value() == [21.0, 41.0]
    assert z.value(recalculate=True) == [21.0, 41.0]
    x.set(1.0)
    y.set([0.0, 1.0])
    dy.scalarInput(3.0)
    x.set(2.0)
    assert z.npvalue(recalculate=True).tolist() == [1.0, 3.0]
    assert dy.sum_elems(z).scalar_value() == 4.0
    x.set(-1.0)
    assert dy.sum_elems(z).scalar_value(recalculate=True) == 1.0
    x.set(0.0)
    z.forward(recalculate=True)
    assert z.vec_value() == [1.0, 1.0]


def test_set_before_the_first_value():
    x = dy.vecInput(2)
    y = x * 2.0
    x.set([1.0, 2.0])
    assert y.value() == [2.0, 4.0]


def test_recalculation_sees_parameters_as_they_are_now():
    p = Model().parameters_from_numpy([1.0, 2.0])
    y = p * 2.0
    assert y.value() == [2.0, 4.0]
    p.set_value([5.0, 6.0])
    assert p.value() == [5.0, 6.0]
    assert y.value(recalculate=True) == [10.0, 12.0]


def test_recalculation_forgets_gradients():
    x = dy.vecInput(2)
    loss = dy.squared_norm(x)
    x.set([1.0, 2.0])
    loss.backward(full=True)
    assert x.gradient().tolist() == [2.0, 4.0]
    x.set([3.0, 4.0])
    assert loss.value(recalculate=True) == 25.0
    with pytest.raises(GradientError):
        x.gradient()
    loss.backward(full=True)
    assert x.gradient().tolist() == [6.0, 8.0]


def test_shapes_of_values():
    assert dy.inputVector([1.0]).value() == 1.0
    assert dy.inputVector([1.0, 2.0]).value() == [1.0, 2.0]
    assert dy.zeros((2, 1)).value().shape == (2, 1)
    x = dy.inputTensor(np.arange(12.0).reshape(2, 3, 2), batched=True)
    assert x.dim() == ((2, 3), 2)
    assert x.npvalue().shape == (2, 3, 2)
    assert x.vec_value() == np.arange(12.0).reshape(2, 3, 2).ravel(order="F").tolist()
    assert len(x) == 2


# Graphs follow each other -----------------------------------------------------------------------------------


def test_versions_count_up():
    first = cg_version()
    renew_cg()
    assert cg_version() > first


def test_an_old_graph_is_gone_and_the_new_one_starts_empty():
    x = dy.tanh(dy.inputVector([1.0]))
    x.value()
    renew_cg()
    y = dy.inputVector([5.0])
    assert y.value() == 5.0
    assert current().records.length == 2
    with pytest.raises(StaleExpressionError, match="renew_cg"):
        x.value()
    assert repr(x).endswith("(1,)")  # still describes itself
    assert x.dim() == ((1,), 1)


def test_a_graph_for_a_block():
    with graph() as first:
        x = dy.inputVector([1.0])
        assert x.version == first.version()
    with pytest.raises(StaleExpressionError):
        x.value()
    with pytest.raises(ZeroDivisionError), graph():
        y = dy.inputVector([1.0])
        raise ZeroDivisionError
    with pytest.raises(StaleExpressionError):
        y.value()


def test_parameters_go_from_graph_to_graph():
    p = Model().parameters_from_numpy([1.0, 2.0])
    for _ in range(3):
        renew_cg()
        dy.squared_norm(p).backward()
    assert p.grad_as_array().tolist() == [6.0, 12.0]


def test_memory_of_a_parameter_that_is_gone_is_kept_for_the_graph():
    def node(value):
        p = Model().parameters_from_numpy(np.full(1000, value))
        return dy.sum_elems(p)

    nodes = [node(value) for value in range(50)]
    gc.collect()
    others = [np.full(1000, np.nan, np.float32) for _ in range(50)]  # would reuse its memory
    assert [y.value() for y in nodes] == [1000.0 * value for value in range(50)]
    dy.esum(nodes).backward()
    assert nodes[0].value(recalculate=True) == 0.0
    assert [y.value() for y in nodes] == [1000.0 * value for value in range(50)]
    assert len(current().engine.kept_memory) >= 50 == len(others)
    renew_cg()
    assert not current().engine.kept_memory


# Gradients --------------------------------------------------------------------------------------------------


def test_backward_adds_up_in_parameters_and_not_in_nodes():
    p = Model().parameters_from_numpy([1.0, 2.0])
    y = p * 3.0
    loss = dy.squared_norm(y)
    for times in range(1, 4):
        loss.backward()
        assert p.grad_as_array().tolist() == [18.0 * times, 36.0 * times]
        assert y.gradient().tolist() == [6.0, 12.0]


def test_backward_from_several_places():
    p = Model().parameters_from_numpy([1.0, 2.0])
    y = p * 3.0
    first, other = dy.sum_elems(y), dy.squared_norm(y)
    other.backward()
    assert y.gradient().tolist() == [6.0, 12.0]
    first.backward()
    assert y.gradient().tolist() == [1.0, 1.0]
    assert other.gradient() == 0.0
    assert first.gradient() == 1.0
    assert p.grad_as_array().tolist() == [21.0, 39.0]


def test_nodes_after_backward():
    p = Model().parameters_from_numpy([1.0, 2.0])
    y = p * 3.0
    dy.sum_elems(y).backward()
    z = dy.squared_norm(y)
    assert z.gradient() == 0.0
    assert z.value() == 45.0
    z.backward()
    assert y.gradient().tolist() == [6.0, 12.0]


def test_intermediate_nodes_and_inputs():
    p, x = Model().parameters_from_numpy([1.0, 2.0]), dy.inputVector([3.0, 4.0])
    y = dy.cmult(p, x)
    loss = dy.squared_norm(y)
    loss.backward()
    assert y.gradient().tolist() == [6.0, 16.0]
    assert loss.gradient().tolist() == [1.0]
    assert x.gradient().tolist() == [0.0, 0.0]  # only on demand
    loss.backward(full=True)
    assert x.gradient().tolist() == [6.0, 32.0]
    assert p.grad_as_array().tolist() == [36.0, 128.0]


def test_the_gradient_of_a_parameter_is_its_own():
    p = Model().parameters_from_numpy([1.0, 2.0])
    dy.squared_norm(p).backward()
    assert p.gradient().tolist() == [2.0, 4.0]


def test_nodes_that_the_loss_does_not_depend_on():
    p, q = (Model().parameters_from_numpy([1.0, 2.0]) for _ in range(2))
    y, dead = p * 2.0, dy.cmult(dy.tanh(q), p)
    loss = dy.sum_elems(y)
    later = dy.sum_elems(y * 100.0)
    loss.backward()
    assert later.value() == 600.0
    assert p.grad_as_array().tolist() == [2.0, 2.0]
    assert not q.grad_as_array().any()
    assert not dead.gradient().any()
    assert not later.gradient().any()


def test_a_loss_without_parameters():
    x = dy.inputVector([1.0, 2.0])
    loss = dy.squared_norm(x)
    loss.backward()
    assert x.gradient().tolist() == [0.0, 0.0]
    loss.backward(full=True)
    assert x.gradient().tolist() == [2.0, 4.0]


def test_a_loss_that_is_an_input_or_a_parameter():
    x = dy.scalarInput(1.0)
    x.backward(full=True)
    assert x.gradient() == 1.0
    p = Model().parameters_from_numpy([1.0])
    p.backward()
    p.backward()
    assert p.gradient() == 2.0


def test_gradients_stop_at_nobackprop():
    p = Model().parameters_from_numpy([1.0, 2.0])
    y = dy.square(p)
    (dy.sum_elems(dy.nobackprop(y)) + dy.sum_elems(y * 3.0)).backward(full=True)
    assert y.gradient().tolist() == [3.0, 3.0]
    assert p.grad_as_array().tolist() == [6.0, 12.0]
    renew_cg()
    dy.sum_elems(dy.cmult(dy.nobackprop(p), p)).backward()
    assert p.grad_as_array().tolist() == [7.0, 14.0]


# Expressions that alias another expression's memory -----------------------------------------------------------


def test_parts_have_gradients_of_their_own():
    x = dy.tanh(dy.inputVector([1.0, 2.0, 3.0, 4.0]))
    part, whole = dy.pick(x, 1), dy.reshape(x, (2, 2))
    again = dy.pickrange(whole, 0, 1, 1)
    loss = part * 2.0 + dy.sum_elems(x) * 5.0 + dy.sum_elems(whole * 7.0) + dy.sum_elems(again * 11.0)
    loss.backward(full=True)
    assert part.gradient().tolist() == [2.0]
    assert again.gradient().tolist() == [[11.0], [11.0]]
    assert whole.gradient().tolist() == [[18.0, 7.0], [18.0, 7.0]]
    assert x.gradient().tolist() == [23.0, 25.0, 12.0, 12.0]


def test_parts_without_full_are_told_apart_when_asked_for():
    model = Model()
    p = model.parameters_from_numpy([1.0, 2.0])
    x = dy.tanh(p)
    part, other = dy.pick(x, 0), x[0:1]
    (part * 2.0 + other * 5.0 + dy.sum_elems(x)).backward()
    expected = p.gradient().tolist()
    assert x.gradient().tolist() == [8.0, 1.0]
    assert [part.gradient().tolist(), other.gradient().tolist()] == [[2.0], [5.0]]
    assert x.gradient().tolist() == [8.0, 1.0] and p.gradient().tolist() == expected


def test_gradients_of_looked_up_rows_without_full():
    """For example, in programs that change inputs by the signs of their gradients."""
    model = Model()
    table, W = model.add_lookup_parameters((4, 3)), model.add_parameters((3, 3))
    results = []
    for full in (True, False):
        table.scale_gradient(0)
        W.scale_gradient(0)
        renew_cg()
        x, y, z = table[1], table[1], dy.lookup(table, 2)
        h = dy.tanh(W * x) + dy.tanh(W * y) * 2 + dy.cmult(z, W[1]) + dy.tanh(table[3])
        loss = dy.squared_norm(h) + dy.sum_elems(h[1:3])
        loss.backward(full)
        parts = [e.gradient().tolist() for e in (x, y, z, h)]
        results.append([*parts, table.grad_as_array().tolist(), W.grad_as_array().tolist()])
    assert results[0] == results[1]


def test_inputs_get_no_gradient_by_asking_for_that_of_a_part():
    p = Model().parameters_from_numpy([1.0, 2.0])
    x, c = dy.tanh(p), dy.inputVector([3.0, 4.0])
    part = dy.pick(x, 0)
    loss = part * 2.0 + dy.dot_product(x, c)
    loss.backward()
    for _ in range(2):
        assert not c.gradient().any() and part.gradient().tolist() == [2.0]
    loss.backward(full=True)
    assert c.gradient() == pytest.approx(np.tanh([1, 2])) and part.gradient().tolist() == [2.0]
    loss.backward()
    assert not c.gradient().any()


def test_parts_after_an_update_are_refused():
    model = Model()
    table = model.add_lookup_parameters((4, 3))
    x = table[1]
    dy.squared_norm(dy.tanh(x)).backward()
    table.scale(2)
    with pytest.raises(GradientError, match="since backward"):
        x.gradient()


def test_a_part_of_a_parameter_as_the_loss():
    p = Model().parameters_from_numpy([1.0, 2.0])
    dy.sum_elems(p * 3.0).backward()
    for _ in range(2):
        dy.pick(p, 0).backward()
    dy.pick(dy.reshape(p, (2, 1)), 1).backward()
    assert p.grad_as_array().tolist() == [5.0, 4.0]


def test_chains_of_parts():
    p = Model().parameters_from_numpy(np.arange(24.0).reshape(2, 3, 4))
    x = dy.reshape(p, (6, 4))
    for _ in range(3):
        x = dy.reshape(dy.transpose(dy.reshape(x, (24, 1)), (1, 0)), (6, 4))
    y = dy.pick(dy.pickrange(x, 1, 3, 1), 1, 1)
    assert y.value() == np.arange(24.0).reshape(2, 3, 4).reshape(6, 4, order="F")[:, 2].tolist()
    dy.squared_norm(y).backward()
    expected = np.zeros((6, 4))
    expected[:, 2] = 2 * np.array(y.value())
    assert p.grad_as_array().reshape(6, 4, order="F").tolist() == expected.tolist()
