"""`gradient()` of a parameter returns the result of the last backward pass of the current graph."""

import threading

import numpy as np
import pytest

import dynet as dy
from dynet_core import GradientError
from dynet_core.graph.outdated import OutdatedValues
from dynet_core.recorder import pass_count


@pytest.fixture
def model():
    parameters = dy.ParameterCollection()
    w = parameters.parameters_from_numpy([1.0, 2.0], name="w")
    table = parameters.add_subcollection("sub").lookup_parameters_from_numpy(np.ones((3, 2)), name="table")
    dy.renew_cg()
    return parameters, w, table


def loss_of(w, table, k):
    return dy.squared_norm(dy.cmult(w, table[k]) * float(k + 1))


@pytest.mark.parametrize("full", [False, True])
def test_each_graph_has_its_gradient(model, full):
    """For example, to add up squared gradients of single examples."""
    parameters, w, table = model
    total = np.zeros(2)
    for k in range(3):
        dy.renew_cg()
        loss = loss_of(w, table, k)
        loss.backward(full)
        expected = 2 * (k + 1) ** 2 * np.array([1.0, 2.0])
        total += expected
        np.testing.assert_allclose(w.gradient(), expected)
        np.testing.assert_allclose(dy.parameter(w).gradient(), expected)
        rows = np.zeros((2, 3))
        rows[:, k] = expected * w.as_array()
        np.testing.assert_allclose(table.gradient(), rows)
        np.testing.assert_allclose(w.grad_as_array(), total)
    np.testing.assert_allclose(table.grad_as_array(), np.outer([2, 8, 18], [1, 4]))


def test_asking_changes_no_gradient_and_computes_once(model):
    parameters, w, table = model
    h = dy.cmult(w, table[1])
    loss = dy.squared_norm(h)
    loss.backward()
    sums = w.grad_as_array(), table.grad_as_array()
    before = pass_count()
    first = w.gradient()
    assert pass_count() == before + 1
    first[:] = 7
    np.testing.assert_allclose(table.gradient()[:, 1], 2 * np.array([1.0, 4.0]))
    np.testing.assert_allclose(w.gradient(), 2 * np.array([1.0, 2.0]))
    np.testing.assert_allclose(h.gradient(), 2 * np.array([1.0, 2.0]))
    assert pass_count() == before + 1
    assert not dy.inputVector([1.0]).gradient().any()
    for now, then in zip((w.grad_as_array(), table.grad_as_array()), sums, strict=True):
        np.testing.assert_array_equal(now, then)


def test_another_pass_of_the_same_graph(model):
    parameters, w, table = model
    x, y = loss_of(w, table, 0), dy.sum_elems(w) * 3.0
    x.backward()
    w.gradient()
    y.backward()
    np.testing.assert_array_equal(w.gradient(), [3, 3])
    y.backward()
    np.testing.assert_array_equal(w.gradient(), [3, 3])
    np.testing.assert_allclose(w.grad_as_array(), [2 + 6, 4 + 6])


def test_in_a_graph_that_does_not_use_it_it_is_the_sum(model):
    parameters, w, table = model
    np.testing.assert_array_equal(w.gradient(), [0, 0])
    loss_of(w, table, 0).backward()
    loss_of(w, table, 0).backward()
    dy.renew_cg()
    np.testing.assert_array_equal(w.gradient(), [4, 8])
    w.scale_gradient(0)
    np.testing.assert_array_equal(w.gradient(), [0, 0])


def no_pass(w):
    loss_of(w, w.collection.lookup_parameters_list()[0], 0).value()


def set_input(w):
    x = dy.inputVector([1.0, 2.0])
    dy.dot_product(w, x).backward()
    x.set([5, 5])


def recalculated(w):
    loss = dy.sum_elems(w)
    loss.backward()
    loss.value(recalculate=True)


def reverted(w):
    dy.sum_elems(w).backward()
    dy.cg_checkpoint()
    dy.sum_elems(w * 2.0).backward()
    dy.cg_revert()


@pytest.mark.parametrize("program", [no_pass, set_input, recalculated, reverted], ids=lambda program: program.__name__)
def test_without_a_pass_there_is_none(model, program):
    parameters, w, table = model
    dy.sum_elems(w).backward()
    dy.renew_cg()
    program(w)
    before = w.grad_as_array()
    with pytest.raises(GradientError, match="backward.. has not been called on this graph, or not since its values"):
        w.gradient()
    np.testing.assert_array_equal(w.grad_as_array(), before)


def test_a_parameter_that_was_frozen_in_between(model):
    parameters, w, table = model
    loss_of(w, table, 0).backward()
    w.set_updated(False)
    np.testing.assert_array_equal(table.gradient()[:, 0], [2, 8])
    np.testing.assert_array_equal(w.gradient(), [0, 0])
    w.set_updated(True)
    with pytest.raises(GradientError, match="trained again"):
        w.gradient()


def test_losses_with_and_without_lookups_by_turns(model):
    """A plan with lookups is not kept, and replaces the one that was."""
    parameters, w, table = model
    for turn in (1, 0, 1, 1, 0):
        dy.renew_cg()
        x, row = dy.inputVector([7, 11]), table[1]
        losses = [dy.dot_product(w, row), dy.dot_product(w, x)]
        values = [loss.value() for loss in losses]
        assert values == [3, 29]
        for parameter in (w, table):
            parameter.scale_gradient(0)
        losses[turn].backward()
        np.testing.assert_array_equal(w.grad_as_array(), [7, 11] if turn else [1, 1])
        np.testing.assert_array_equal(table.grad_as_array()[1], [0, 0] if turn else [1, 2])


def test_gradients_that_were_set_to_zero_are_there_for_the_graph(model):
    parameters, w, table = model
    loss_of(w, table, 0).backward()
    w.scale_gradient(0)
    np.testing.assert_array_equal(w.gradient(), [2, 4])
    np.testing.assert_array_equal(w.grad_as_array(), [0, 0])


@pytest.mark.parametrize("asked", [False, True])
def test_after_an_update_there_is_none(model, asked):
    parameters, w, table = model
    trainer = dy.SimpleSGDTrainer(parameters)
    loss_of(w, table, 0).backward()
    if asked:
        np.testing.assert_array_equal(w.gradient(), [2, 4])
    trainer.update()
    for parameter in (w, table, w):
        with pytest.raises(GradientError, match="parameters of its loss have changed, as by an update"):
            parameter.gradient()
    np.testing.assert_array_equal(w.grad_as_array(), [0, 0])
    dy.renew_cg()
    np.testing.assert_array_equal(w.gradient(), [0, 0])


def test_what_has_changed_is_looked_for_once(model, monkeypatch):
    parameters, w, table = model
    other = parameters.add_parameters(2)
    looked, reaches = [], OutdatedValues._reads_outdated
    monkeypatch.setattr(OutdatedValues, "_reads_outdated", lambda *arguments: looked.append(1) or reaches(*arguments))
    loss_of(w, table, 0).backward()
    for count in (1, 2):
        other.set_value([1, count])
        for _ in range(3):
            np.testing.assert_array_equal(w.gradient(), [2, 4])
            np.testing.assert_array_equal(table.gradient()[:, 0], [2, 8])
        assert len(looked) == count
    w.set_value([1, 1])
    for _ in range(3):
        with pytest.raises(GradientError, match="parameters of its loss have changed"):
            w.gradient()
    assert len(looked) == 3


def test_values_without_gradients_count_as_constants(model):
    """As in `backward`, which reads the values as they were computed."""
    _, w, table = model
    fixed = dy.tanh(dy.lookup(table, 1, update=False))
    fixed.value()
    table.init_row(1, [9, 9])
    dy.dot_product(w, fixed).backward()
    np.testing.assert_array_equal(w.gradient(), w.grad_as_array())
    np.testing.assert_allclose(w.gradient(), np.tanh([1, 1]), rtol=1e-6)


def test_the_parameters_are_listed_once_for_a_pass(model, monkeypatch):
    parameters, w, table = model
    listed = []
    everything = parameters._all_parameters
    monkeypatch.setattr(dy.ParameterCollection, "_all_parameters", lambda self: listed.append(1) or everything())
    loss_of(w, table, 0).backward()
    for parameter in (w, table, w):
        parameter.gradient()
    dy.renew_cg()
    w.gradient()
    assert listed == [1]


def test_parameters_that_a_loss_does_not_use(model):
    parameters, w, table = model
    other, frozen = parameters.add_parameters(2, init=1), parameters.add_parameters(2, init=1)
    frozen.set_updated(False)
    dy.sum_elems(dy.cmult(w, frozen)).backward()
    dy.sum_elems(other).backward()
    np.testing.assert_array_equal(other.gradient(), [1, 1])
    np.testing.assert_array_equal(w.gradient(), [0, 0])
    np.testing.assert_array_equal(frozen.gradient(), [0, 0])
    dy.sum_elems(other).backward()
    frozen.set_updated(True)
    with pytest.raises(GradientError, match="trained again since backward"):
        w.gradient()


def test_parameters_that_the_graph_does_not_use(model):
    """For example, those of another model whose graph is stale, after the current graph's parameters were updated."""
    parameters, w, table = model
    loss_of(w, table, 0).backward()
    second = dy.ParameterCollection()
    q, trainer = second.add_parameters(1, init=1), dy.SimpleSGDTrainer(second)
    dy.renew_cg()
    dy.square(q).backward()
    np.testing.assert_array_equal(w.gradient(), [2, 4])
    trainer.update()
    np.testing.assert_array_equal(w.gradient(), [2, 4])
    np.testing.assert_array_equal(table.gradient(), table.grad_as_array().T)


def test_a_whole_table_and_its_rows(model):
    parameters, w, table = model
    loss = dy.sum_elems(table) + dy.dot_product(table[1], dy.inputVector([10.0, 20.0]))
    loss.backward()
    np.testing.assert_array_equal(table.gradient(), [[1, 11, 1], [1, 21, 1]])


def test_each_thread_has_its_graph(model):
    parameters, w, table = model
    loss_of(w, table, 1).backward()
    found = []

    def work():
        found.append(w.gradient())
        dy.sum_elems(w).backward()
        found.append(w.gradient())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found, [[8, 16], [1, 1]])
    np.testing.assert_array_equal(w.gradient(), [8, 16])
    np.testing.assert_array_equal(w.grad_as_array(), [9, 17])
