"""One-hot and sparse inputs, inputs in memory order, and constants from parameters."""

import sys

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    GradientError,
    Model,
    StaleExpressionError,
    cg_checkpoint,
    cg_revert,
    renew_cg,
)


def test_one_hot():
    assert dy.one_hot(4, 2).value() == [0.0, 0.0, 1.0, 0.0]
    assert dy.one_hot(1, 0).value() == 1.0
    for places in ([1], [1, 0, 1], (2, 0), np.array([0, 2])):
        y = dy.one_hot(3, places)
        assert y.dim() == ((3,), len(places))
        np.testing.assert_array_equal(y.npvalue().reshape(3, -1), np.eye(3)[:, list(places)])
    assert dy.one_hot(np.int64(3), np.int64(1)).value() == [0.0, 1.0, 0.0]


def test_a_one_hot_vector_picks_a_column():
    W = Model().parameters_from_numpy(np.arange(6.0).reshape(2, 3))
    y = W * dy.one_hot(3, 2)
    assert y.value() == [2.0, 5.0]
    dy.sum_elems(y).backward()
    np.testing.assert_array_equal(W.grad_as_array(), [[0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize("batched", [False, True])
def test_sparse_input(batched):
    y = dy.sparse_inputTensor(([0, 1], [1, 2]), [5, 6], (2, 3), batched=batched, defval=-1)
    assert y.dim() == (((2,), 3) if batched else ((2, 3), 1))
    np.testing.assert_array_equal(y.npvalue(), [[-1, 5, -1], [-1, -1, 6]])


def test_sparse_input_of_vectors_and_tensors():
    assert dy.sparse_inputTensor([[2]], [1.5], (4,)).value() == [0.0, 0.0, 1.5, 0.0]
    assert dy.sparse_inputTensor([[1]], [1.5], 3, batched=True).dim() == ((1,), 3)
    expected = np.zeros((2, 3, 4))
    expected[1, 2, 3], expected[0, 1, 2] = 1.0, -2.0
    places = (np.array([1, 0]), np.array([2, 1]), np.array([3, 2]))
    np.testing.assert_array_equal(dy.sparse_inputTensor(places, np.array([1.0, -2.0]), (2, 3, 4)).npvalue(), expected)


def test_the_last_of_several_values_at_one_place_counts():
    assert dy.sparse_inputTensor(([1, 1],), [5, 6], (2,)).value() == [0.0, 6.0]


def test_input_in_stored_order():
    array = np.arange(24.0)
    for dims, batch in (((24,), 1), ((4, 6), 1), ((2, 3), 4), ((3,), 8), ((2, 3, 4), 1)):
        y = dy.inputTensorTranspose(array, dims, batch)
        assert y.dim() == (dims, batch)
        np.testing.assert_array_equal(y.npvalue().ravel(order="F"), array)
    assert dy.inputTensorTranspose(array).dim() == ((24,), 1)
    assert dy.inputTensorTranspose(array, batch_size=6).dim() == ((4,), 6)
    assert dy.inputTensorTranspose([1, 2], 2).value() == [1.0, 2.0]
    matrix = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(dy.inputTensorTranspose(matrix.ravel(), (3, 2)).npvalue(), matrix.T)


def test_constant_parameters_are_not_trained():
    model = Model()
    p, q = model.parameters_from_numpy([1.0, 2.0]), model.parameters_from_numpy([3.0, 4.0])
    table = model.lookup_parameters_from_numpy(np.ones((3, 2)))
    renew_cg()
    first, second = dy.const_parameter(p, q)
    dy.dot_product(first, p).backward()
    dy.sum_elems(dy.cmult(second, first)).backward()
    np.testing.assert_array_equal(p.grad_as_array(), [1.0, 2.0])
    np.testing.assert_array_equal(q.grad_as_array(), [0.0, 0.0])
    assert dy.const_parameter(table).dim() == ((2, 3), 1)
    with pytest.raises(GradientError):
        second.gradient()


def test_the_only_device():
    x = dy.inputVector([1.0, 2.0])
    assert dy.to_device(x, "CPU").value() == [1.0, 2.0]
    assert dy.to_device(x, "").value() == [1.0, 2.0]


def test_inputs_are_found_wherever_they_stand():
    """Scalars, vectors and arrays, among records with several nodes or with lists of operands."""
    renew_cg()
    found = []
    for k in range(4):
        x, v, m = dy.scalarInput(k), dy.inputVector([k, 1]), dy.inputTensor(np.full((2, 2), k))
        y = dy.esum([x, dy.sum_elems(v), dy.sum_elems(m)]) * 2.0
        found.append((x, v, m, y))
    for k, (x, v, m, y) in enumerate(found):
        assert y.value() == 2 * (6 * k + 1)
        m.set(np.zeros((2, 2)))
        x.set(10)
        v.set([1, 2])
        assert y.value() == 26
        for other in (y, dy.tanh(x)):
            with pytest.raises(ArgumentError, match="is computed"):
                other.set([1.0])


def test_inputs_after_a_revert():
    renew_cg()
    x = dy.scalarInput(1)
    cg_checkpoint()
    y = dy.scalarInput(2) + x
    x.set(3)
    assert y.value() == 5
    cg_revert()
    with pytest.raises(StaleExpressionError):
        y.set(1)
    z, w = dy.inputVector([1, 2]), dy.scalarInput(7)
    total = dy.sum_elems(z) + w + x
    z.set([4, 5])
    w.set(8)
    assert total.value() == 9 + 8 + 3


def test_inputs_of_the_next_graph():
    """A search in a graph without inputs, or with stale inputs, does not affect the next graph."""
    p = Model().parameters_from_numpy(np.ones(3))
    renew_cg()
    y = dy.tanh(dy.tanh(dy.tanh(p)))
    with pytest.raises(ArgumentError, match="is computed"):
        y.set([1, 2, 3])
    renew_cg()
    x = dy.inputVector([1, 2, 3])
    x.set([4, 5, 6])
    assert x.value() == [4, 5, 6]
    renew_cg()
    cg_checkpoint()
    dy.vecInput(3)
    cg_revert()
    renew_cg()
    q = dy.tanh(p)
    with pytest.raises(ArgumentError, match="is computed"):
        q.set([1, 2, 3])


def test_numbers_are_there_when_they_are_computed_at_once():
    renew_cg(immediate_compute=True)
    try:
        assert dy.scalarInput(2.5).value() == 2.5
        assert (dy.scalarInput(1.25) + dy.scalarInput(4)).value() == 5.25
        assert dy.inputVector([1, 2]).value() == [1, 2]
        assert dy.esum([dy.scalarInput(3)]).value() == 3
        x, p = dy.inputVector([1, 2]), Model().parameters_from_numpy(np.ones(1))
        assert dy.concatenate([x, p, x, x]).value() == [1, 2, 1, 1, 2, 1, 2]
    finally:
        renew_cg()


def test_to_find_inputs_takes_one_look_at_each_record(monkeypatch):
    looks = []
    module = sys.modules["dynet_core.graph.nodes"]
    every = module.decoded

    def counted(*arguments, **named):
        for node in every(*arguments, **named):
            looks.append(node)
            yield node

    monkeypatch.setattr(module, "decoded", counted)
    renew_cg()
    inputs = []
    for k in range(50):
        inputs.append(dy.scalarInput(k))
        dy.tanh(inputs[-1])
        for x in inputs:
            x.set(1.0)
    assert len(looks) <= 100  # fewer if compiled code finds some of them
    before, x = len(looks), dy.vecInput(2)
    for values in ([1, 2], [3, 4]):
        x.set(values)
        assert len(looks) <= before + 101


def test_numbers_that_come_one_by_one():
    renew_cg()
    numbers = {"a": 1.0, "b": 2}
    for values in (numbers.values(), map(float, [1, 2]), (k + 1 for k in range(2)), iter([1, 2]), range(1, 3)):
        assert dy.inputVector(values).value() == [1, 2]
    x = dy.vecInput(2)
    x.set(map(float, "34"))
    assert x.value() == [3, 4]
    with pytest.raises(ArgumentTypeError, match="^inputVector: expected real numbers, got list"):
        dy.inputVector(iter("ab"))
