"""Parameters and lookup tables in graphs: which gradients they get, and which they do not."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ArgumentTypeError, GradientError, Model, renew_cg
from dynet_ops.testing import value_of, weighted_sum, weights_for


@pytest.fixture(autouse=True)
def fresh_graph():
    renew_cg()


@pytest.fixture
def table():
    return Model().lookup_parameters_from_numpy(np.arange(10.0).reshape(5, 2), name="words")


def touched_rows(table):
    """The rows that an update will visit."""
    touched = table._storage.touched_list
    return sorted(touched[1 : 1 + touched[0]].tolist())


def test_a_parameter_is_an_expression():
    p = Model().parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
    assert p.expr() is p
    assert dy.parameter(p) is p
    assert (p * dy.inputVector([1.0, 1.0])).value() == [3.0, 7.0]
    assert dy.transpose(p).npvalue().tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert p.npvalue().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert p.dim() == ((2, 2), 1)


@pytest.mark.parametrize("constant", [lambda p: p.expr(update=False), lambda p: dy.parameter(p, update=False)])
def test_without_update_a_parameter_gets_no_gradient(constant):
    p = Model().parameters_from_numpy([1.0, 2.0])
    c = constant(p)
    assert c.value() == [1.0, 2.0]
    y = dy.cmult(p, c) + dy.cmult(c, c)
    for full in (False, True):
        dy.sum_elems(y).backward(full=full)
    assert p.grad_as_array().tolist() == [2.0, 4.0]
    with pytest.raises(GradientError, match=r"/_0 .*update=False"):
        c.gradient()
    p.set_value([5.0, 6.0])
    assert c.value() == [5.0, 6.0]


def test_set_updated():
    m = Model()
    p, q = m.parameters_from_numpy([1.0, 2.0]), m.parameters_from_numpy([3.0, 4.0])
    assert p.is_updated()
    p.set_updated(False)
    assert not p.is_updated()
    W = m.add_parameters((2, 2))
    W.set_updated(False)
    dy.sum_elems(W * p + W * q).backward()
    assert not W.grad_as_array().any()
    assert not p.grad_as_array().any()
    assert q.grad_as_array() == pytest.approx(W.as_array().sum(0))
    W.set_updated(True)
    renew_cg()
    dy.sum_elems(W * p).backward()
    assert W.grad_as_array().tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_rows_of_a_table(table):
    assert table[1].value() == dy.lookup(table, 1).value() == [2.0, 3.0]
    assert dy.lookup_batch(table, [4, 0, 4]).npvalue().tolist() == [[8.0, 0.0, 8.0], [9.0, 1.0, 9.0]]
    assert dy.lookup_batch(table, np.array([3])).value() == [6.0, 7.0]
    assert table[np.int64(2)].value() == [4.0, 5.0]


def test_rows_get_gradients_and_are_noted(table):
    loss = dy.squared_norm(table[1]) + dy.dot_product(table[1], table[3])
    assert touched_rows(table) == []
    loss.backward()
    expected = np.zeros((5, 2))
    expected[1] = [2 * 2 + 6, 2 * 3 + 7]
    expected[3] = [2, 3]
    assert table.grad_as_array().tolist() == expected.tolist()
    assert touched_rows(table) == [1, 3]
    loss.backward()
    assert table.grad_as_array().tolist() == (2 * expected).tolist()
    assert touched_rows(table) == [1, 3]


def test_a_row_repeated_in_a_batch(table):
    x = dy.lookup_batch(table, [4, 0, 4])
    weights = dy.inputTensor([[1.0, 10.0, 100.0]] * 2, batched=True)
    dy.sum_batches(dy.dot_product(x, weights)).backward()
    assert table.grad_as_array().tolist() == [[10.0, 10.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [101.0, 101.0]]
    assert touched_rows(table) == [0, 4]


def test_only_rows_of_the_loss_are_noted(table):
    used, unused = dy.squared_norm(table[1]), dy.squared_norm(table[2])
    (used + dy.squared_norm(dy.nobackprop(table[3]))).backward()
    assert unused.value() == 41.0
    assert touched_rows(table) == [1]
    assert np.flatnonzero(table.grad_as_array().any(1)).tolist() == [1]


def test_without_update_rows_get_no_gradient(table):
    x = table.lookup(1, update=False)
    batch = dy.lookup_batch(table, [1, 2], update=False)
    loss = dy.squared_norm(x) + dy.sum_batches(dy.squared_norm(batch)) + dy.squared_norm(table[4])
    for full in (False, True):
        loss.backward(full=full)
    assert np.flatnonzero(table.grad_as_array().any(1)).tolist() == [4]
    assert touched_rows(table) == [4]
    assert x.gradient().tolist() == [4.0, 6.0]


def test_a_table_that_is_not_updated(table):
    table.set_updated(False)
    dy.squared_norm(table[1]).backward()
    assert not table.grad_as_array().any()
    assert touched_rows(table) == []
    table.set_updated(True)
    renew_cg()
    dy.squared_norm(table[1]).backward()
    assert touched_rows(table) == [1]


def test_the_gradient_of_one_use_of_a_row(table):
    first, other = table[1], table[1]
    (dy.sum_elems(first * 2.0) + dy.sum_elems(other * 3.0)).backward(full=True)
    assert first.gradient().tolist() == [2.0, 2.0]
    assert other.gradient().tolist() == [3.0, 3.0]
    assert table.grad_as_array()[1].tolist() == [5.0, 5.0]


def test_a_row_as_the_loss():
    table = Model().lookup_parameters_from_numpy([[1.0], [2.0]])
    for _ in range(2):
        table[1].backward()
    assert table.grad_as_array().tolist() == [[0.0], [2.0]]
    assert touched_rows(table) == [1]


def test_rows_of_matrices():
    values = np.arange(24.0).reshape(4, 2, 3)
    table = Model().lookup_parameters_from_numpy(values)
    assert table.shape() == (4, 2, 3)
    assert table[2].npvalue().tolist() == values[2].tolist()
    assert dy.lookup_batch(table, [3, 1]).npvalue().tolist() == np.moveaxis(values[[3, 1]], 0, -1).tolist()
    dy.sum_elems(dy.cmult(table[2], dy.inputTensor(values[1]))).backward()
    assert table.grad_as_array()[2].tolist() == values[1].tolist()


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("dims", [(1,), (17,), (5, 3), (1, 4, 2)])
def test_rows_batches_and_the_whole_in_one_graph(dims, update):
    """Shapes and values, the gradient of the table, and with full=True the gradient of each expression."""
    values = np.random.default_rng(0).uniform(-1, 1, (6, *dims)).astype(np.float32)
    table = Model().lookup_parameters_from_numpy(values)
    expected = np.zeros(values.shape)
    made = []
    for rows in ([0], [5], [2, 2, 4], [1], [5, 0], [2], [0, 1, 2, 3, 4]):
        x = dy.lookup(table, rows[0], update) if len(rows) == 1 else dy.lookup_batch(table, rows, update)
        assert x.dim() == (dims, len(rows))
        np.testing.assert_array_equal(value_of(x), np.moveaxis(values[rows], 0, -1))
        made.append((x, weights_for(x, seed=len(made))))
        np.add.at(expected, rows, np.moveaxis(made[-1][1], -1, 0))
    whole = dy.parameter(table, update)
    assert whole.dim() == ((*dims, 6), 1)
    np.testing.assert_array_equal(whole.npvalue(), np.moveaxis(values, 0, -1))
    weights = weights_for(whole)
    expected += np.moveaxis(weights[..., 0], -1, 0)
    dy.esum([weighted_sum(x, w) for x, w in [*made, (whole, weights)]]).backward(full=True)
    np.testing.assert_allclose(table.grad_as_array(), expected * update, rtol=1e-6)
    for x, w in made:
        np.testing.assert_array_equal(x.gradient().reshape(w.shape), w)


def test_a_large_table_costs_what_is_used():
    """Neither a graph nor a gradient copies the table."""
    table = Model().add_lookup_parameters((200_000, 16))
    renew_cg()
    losses = [dy.squared_norm(table[k]) for k in range(0, 200_000, 10_000)]
    dy.esum(losses).backward()
    assert touched_rows(table) == list(range(0, 200_000, 10_000))
    gradient = table.grad_as_array()
    assert gradient[10_000].tolist() == (2 * table.as_array()[10_000]).tolist()
    assert np.flatnonzero(gradient.any(1)).tolist() == list(range(0, 200_000, 10_000))


def test_values_set_between_graphs(table):
    assert table[0].value() == [0.0, 1.0]
    table.init_row(0, [5.0, 6.0])
    assert table[0].value(recalculate=True) == [5.0, 6.0]
    table.init_from_array(np.ones((5, 2)))
    renew_cg()
    assert dy.lookup_batch(table, [0, 4]).npvalue().tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_many_parameters():
    m = Model()
    parameters = [m.parameters_from_numpy([float(k), 1.0]) for k in range(500)]
    loss = dy.esum([dy.squared_norm(p) for p in parameters])
    assert loss.value() == pytest.approx(sum(k * k + 1 for k in range(500)))
    loss.backward()
    for k, p in enumerate(parameters):
        assert p.grad_as_array().tolist() == [2.0 * k, 2.0]


def test_a_parameter_made_in_the_middle_of_a_graph():
    m = Model()
    p = m.parameters_from_numpy([1.0, 2.0])
    x = p * 2.0
    assert x.value() == [2.0, 4.0]
    more = [m.parameters_from_numpy([float(k), 0.0]) for k in range(200)]
    y = dy.esum([x, *more])
    assert y.value() == [2.0 + sum(range(200)), 4.0]
    dy.sum_elems(y).backward()
    assert p.grad_as_array().tolist() == [2.0, 2.0]
    assert more[-1].grad_as_array().tolist() == [1.0, 1.0]


def test_several_parameters_at_once_as_in_dynet():
    model = Model()
    W, b, c = (model.parameters_from_numpy(values) for values in ([1.0], [2.0], [3.0]))
    table = model.lookup_parameters_from_numpy([[4.0]])
    assert dy.parameter(W) is W
    assert [x.value() for x in dy.parameter(W, b)] == [1, 2]
    assert [x.value() for x in dy.parameter(W, b, c)] == [1, 2, 3]
    fixed = dy.const_parameter(W, table)
    loss = fixed[0] + dy.sum_elems(fixed[1]) + dy.const_parameter(b) + dy.parameter(c)
    loss.backward()
    assert loss.value() == 10
    assert [p.grad_as_array().sum() for p in (W, b, c, table)] == [0, 0, 1, 0]
    assert dy.const_parameter(table[0] * 2.0).value() == 8
    dy.const_parameter(table[0]).backward()
    dy.parameter(table[0], False).backward()
    assert table.grad_as_array() == 0
    assert dy.const_parameter(dy.const_parameter(b)).value() == dy.parameter(b.expr(False), False).value() == 2
    for bad in (None, 3, "W", [W, None]):
        with pytest.raises(ArgumentTypeError, match="^parameter: expected Parameters"):
            dy.parameter(W, b, bad)
        with pytest.raises(ArgumentTypeError, match="^const_parameter: expected Parameters"):
            dy.const_parameter(W, bad)
        with pytest.raises(ArgumentTypeError, match="^parameter: expected Parameters"):
            dy.parameter(bad)
    with pytest.raises(ArgumentTypeError, match="^parameter: update must be True or False, not None"):
        dy.parameter(W, None)
    before = W.grad_as_array()
    dy.parameter(dy.tanh(W), update=False).backward()
    assert W.grad_as_array() == before


def test_lists_of_parameters_and_expressions_as_in_dynet():
    model = Model()
    W, b = model.parameters_from_numpy([1.0]), model.parameters_from_numpy([2.0])
    x = dy.tanh(W)
    assert dy.parameter(x) is x
    assert dy.parameter([W, (b, x)]) == [W, (b, x)]
    assert dy.parameter((W, b)) == dy.parameter(W, b) == (W, b)
    assert dy.parameter(W, [b]) == (W, [b])
    assert dy.parameter([]) == []
    (fixed,) = dy.parameter([W], update=False)
    (fixed + b).backward()
    assert [p.grad_as_array().item() for p in (W, b)] == [0, 1]
