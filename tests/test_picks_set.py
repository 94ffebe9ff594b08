"""`set_index` of picks: a graph is reused for other elements. `test_parity_inputs.py` compares it with DyNet's."""

import threading
from typing import Any

import numpy as np
import pytest
from at_lines import lines_of

import dynet as dy

VALUES = np.arange(12.0).reshape(2, 3, 2)  # two rows, three columns, two batch elements
OF_ONE = {
    "pick": (lambda x: dy.pick(x, 0), lambda values, i: values[i]),
    "x[i]": (lambda x: x[1], lambda values, i: values[i]),
    "x[-i]": (lambda x: x[-1], lambda values, i: values[i]),
    "columns": (lambda x: dy.pick(x, 0, 1), lambda values, i: values[:, i]),
    "x[:, i]": (lambda x: x[:, 2], lambda values, i: values[:, i]),
    "x[i, j]": (lambda x: x[1, 2], lambda values, i: values[i, 2]),
}
OF_EACH = {
    "pick_batch": (lambda x: dy.pick_batch(x, [0, 1]), lambda values, i: values[i]),
    "pick": (lambda x: dy.pick(x, (1, 1)), lambda values, i: values[i]),
    "columns": (lambda x: dy.pick_batch(x, [0, 2], 1), lambda values, i: values[:, i]),
}


@pytest.fixture
def model():
    dy.renew_cg()
    yield dy.ParameterCollection()
    dy.renew_cg()


@pytest.fixture
def x(model):
    return dy.inputTensor(VALUES, batched=True)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", OF_ONE)
def test_a_pick_becomes_another(model, kind, batch):
    pick, reference = OF_ONE[kind]
    values = VALUES[..., :batch]
    for _ in range(3):
        dy.renew_cg()
        x = dy.inputTensor(values, batched=True)
        y = pick(x)
        z = y * 2.0
        loss = dy.sum_batches(dy.sum_elems(z))
        for given, index in ((0, 0), (1, 1), (np.int64(0), 0), (1.0, 1), (np.array([0]), 0), (True, 1)):
            assert y.set_index(given) is None
            expected = reference(values, index)
            np.testing.assert_array_equal(z.npvalue().reshape(expected.shape), 2 * expected)
            np.testing.assert_array_equal(y.npvalue().reshape(expected.shape), expected)
            loss.backward(full=True)
            where = np.zeros_like(values)
            reference(where, index)[...] = 2
            np.testing.assert_array_equal(x.gradient().reshape(where.shape), where)


@pytest.mark.parametrize("kind", OF_EACH)
def test_picks_of_a_batch_become_others(x, kind):
    pick, reference = OF_EACH[kind]
    y = pick(x)
    loss = dy.sum_batches(dy.sum_elems(y))
    for given, indices in (
        ([1, 0], [1, 0]), ((1, 1), [1, 1]), (np.array([0, 1]), [0, 1]), ([1.0, np.int32(0)], [1, 0]),
        (iter([0, 0]), [0, 0]),
    ):  # fmt: skip
        y.set_index(given)
        expected = np.stack([reference(VALUES[..., b], index) for b, index in enumerate(indices)], axis=-1)
        np.testing.assert_array_equal(y.npvalue(), expected)
        loss.backward(full=True)
        where = np.zeros_like(VALUES)
        for b, index in enumerate(indices):
            reference(where[..., b], index)[...] = 1
        np.testing.assert_array_equal(x.gradient(), where)


def test_set_index_before_the_first_value(model):
    x = dy.inputVector([1, 2, 3])
    y = x[0]
    y.set_index(1)
    x.set([4, 5, 6])
    z = y + 0.5
    y.set_index(2)
    assert (z.value(), y.value()) == (6.5, 6)


def test_nodes_in_front_keep_their_values(model):
    x = dy.dropout(dy.inputVector(np.ones(1000)), 0.5)
    before = x.value()
    y = x[0]
    y.set_index(2)
    assert y.value() == before[2]
    assert x.value() == before


def test_a_gradient_is_gone_with_the_pick(model):
    W = model.parameters_from_numpy([1.0, 2.0])
    y = W[0]
    loss = y * y
    loss.backward()
    assert (y.gradient(), W.gradient().tolist()) == ([2], [2, 0])
    y.set_index(1)
    with pytest.raises(dy.GradientError):
        y.gradient()
    loss.backward()
    assert (y.gradient(), W.gradient().tolist(), W.grad_as_array().tolist()) == ([4], [0, 4], [2, 4])


OF_X = "what is picked from, which has 3"


@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        (3, dy.OutOfRangeError, f"^set_index: index 3 is out of range for {OF_X}"),
        (-1, dy.OutOfRangeError, f"^set_index: index -1 is out of range for {OF_X}"),
        (10**30, dy.OutOfRangeError, "^set_index: index 10+ is out of range"),
        (1.5, dy.ArgumentError, "^set_index: an index must be a whole number"),
        ([1], dy.ArgumentTypeError, "^set_index: an index must be an int, not list"),
        ("1", dy.ArgumentTypeError, "^set_index: an index must be an int, not str"),
        (None, dy.ArgumentTypeError, "^set_index: an index must be an int"),
    ],
)
def test_what_is_no_index(model, wrong, kind, message):
    y = dy.inputVector([1, 2, 3])[1]
    z = y * 1.0
    z.backward(full=True)
    for _ in range(2):
        with pytest.raises(kind, match=message):
            y.set_index(wrong)
        assert (y.value(), z.value()) == (2, 2)
    assert y.gradient() == [1]  # it still exists


@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        ([1, 3], dy.OutOfRangeError, f"^set_index: index 3 is out of range for {OF_X}"),
        ([1], dy.ShapeError, "^set_index: 1 indices for a batch of 2"),
        ([1, 2, 0], dy.ShapeError, "^set_index: 3 indices for a batch of 2"),
        ([], dy.ArgumentError, "^set_index: no indices"),
        (1, dy.ArgumentTypeError, "^set_index: indices must be a sequence of ints"),
        ([2, "a"], dy.ArgumentTypeError, "^set_index: an index must be an int, not str"),
    ],
)
def test_what_are_no_indices(x, wrong, kind, message):
    y = dy.pick_batch(x, [0, 2], 1)
    before = y.npvalue().tolist()
    with pytest.raises(kind, match=message):
        y.set_index(wrong)
    assert y.npvalue().tolist() == before


def test_only_picks_have_an_index(model):
    x, W, E = dy.inputVector([1, 2, 3]), model.add_parameters(3), model.add_lookup_parameters((4, 2))
    others = dy.pickrange(x, 0, 1), dy.pick_batch_elem(x, 0), dy.pickneglogsoftmax(x, 1), dy.reshape(x, (1, 3))
    for other in (x, x[0:2], x * 2.0, *others, W, E, dy.parameter(W, update=False), E[0], dy.lookup_batch(E, [0, 1])):
        with pytest.raises(dy.ArgumentError, match="^set_index: expected what pick, pick_batch or .* returns, got"):
            other.set_index(0)
    x[1].set_index(2)
    assert x.value() == [1, 2, 3]


def test_picks_that_are_gone(model):
    old = dy.inputVector([1, 2, 3])[0]
    dy.renew_cg()
    x = dy.inputVector([1, 2, 3])
    y = x[1]
    dy.cg_checkpoint()
    lost = x[2]
    dy.cg_revert()
    for gone, why in ((old, "renew_cg has replaced"), (lost, "cg_revert has removed")):
        with pytest.raises(dy.StaleExpressionError, match=rf"^set_index: .*\(1,\).* {why}"):
            gone.set_index(0)
    other = dy.pick(x, 2)  # a node with the number of the removed one
    y.set_index(0)
    assert (y.value(), other.value()) == (1, 3)


def test_a_pick_of_another_thread(model):
    y, caught = dy.inputVector([1, 2, 3])[0], []

    def use():
        mine = dy.inputVector([4, 5])[1]
        with pytest.raises(dy.StaleExpressionError, match="^set_index: .*another thread's graph"):
            y.set_index(2)
        caught.append(mine.value())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert (y.value(), caught) == (1, [5])


def test_picks_in_front_of_a_checkpoint(model):
    y = dy.inputVector([1, 2, 3])[0]
    dy.cg_checkpoint()
    z = y * 2.0
    assert z.value() == 2
    y.set_index(2)
    assert z.value() == 6
    dy.cg_revert()
    assert y.value() == 3
    y.set_index(1)
    assert (y * 3.0).value() == 6


def test_nodes_that_are_computed_at_once(model):
    dy.renew_cg(immediate_compute=True)
    y = dy.inputVector([1, 2, 3])[0]
    z = y * 2.0
    y.set_index(2)
    assert z.value() == 6


class Renewing:
    def __index__(self):
        dy.renew_cg()
        dy.inputVector([7, 7])[0]
        return 2


def test_an_index_that_begins_a_graph(model):
    values: list[Any] = [Renewing(), [0, Renewing()]]
    for given in values:
        dy.renew_cg()
        x = dy.inputVector([1, 2, 3])
        y: Any = x[0] if isinstance(given, Renewing) else dy.pick_batch(x, [0, 1])
        with pytest.raises(dy.StaleExpressionError, match="^set_index: .*renew_cg has replaced"):
            y.set_index(given)


def test_a_handler_that_computes_meanwhile(model):
    """Values match the recorded elements, whenever a handler reads a value or records more."""
    for line in range(1, 500):
        dy.renew_cg()
        y = dy.inputVector([1, 2, 3])[0]
        z = y * 2.0
        z.value()

        def handle(z=z):
            z.value()
            for _ in range(1000):  # the buffer of records is replaced
                z = z + 1.0

        more = lines_of(lambda y=y: y.set_index(2), handle, line)
        assert z.value() == 6
        if not more:
            break
    assert 5 < line < 400


def test_the_index_may_have_the_name_that_dynet_gives_it():
    x = dy.inputVector([1, 2, 3])[0]
    for number, call in enumerate((lambda: x.set_index(0), lambda: x.set_index(i=1), lambda: x.set_index(index=2))):
        call()
        assert x.value() == number + 1
