"""Backward passes of graphs whose values were computed before parameters changed."""

import gc
import threading
import warnings

import numpy as np
import pytest

import dynet as dy
from dynet_core import DynetWarning

CHANGED = "parameters have changed since values of this graph were computed"
CHANGES = {
    "update": lambda p, table, trainer: trainer.update(),
    "update_subset": lambda p, table, trainer: trainer.update_subset([0], [0]),
    "set_value": lambda p, table, trainer: p.set_value([3.0]),
    "scale": lambda p, table, trainer: p.scale(2),
    "zero": lambda p, table, trainer: p.zero(),
    "clip_inplace": lambda p, table, trainer: p.clip_inplace(0, 0.5),
    "init_row": lambda p, table, trainer: table.init_row(1, [5.0]),
    "init_from_array": lambda p, table, trainer: table.init_from_array(np.full((2, 1), 4.0)),
}


def model():
    parameters = dy.ParameterCollection()
    p = parameters.add_parameters(1, init=1.0)
    table = parameters.add_lookup_parameters((2, 1), init=2.0)
    trainer = dy.SimpleSGDTrainer(parameters, 0.5)
    trainer.set_clip_threshold(0)
    dy.renew_cg()
    return parameters, p, table, trainer


def gradients(parameters) -> list:
    """Return the gradients of all parameters, and set them to zero."""
    everything = [*parameters.parameters_list(), *parameters.lookup_parameters_list()]
    found = [p.grad_as_array().tolist() for p in everything]
    for p in everything:
        p.scale_gradient(0)
    return found


def loss_of(p, table, between=lambda: None):
    """A loss of both; `between` is called when a part of its graph is recorded."""
    h = dy.tanh(p * table[1])
    between()
    return dy.square(h * p) + dy.squared_norm(table[0] * h)


@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_after_a_change_the_gradient_is_that_of_a_new_graph(change, partly):
    parameters, p, table, trainer = model()
    other = dy.square(p) + table[1]
    other.backward()

    def between():
        if partly:
            dy.tanh(p * table[1]).value()

    loss = loss_of(p, table, between)
    if not partly:
        loss.value()
    change(p, table, trainer)
    gradients(parameters)
    with pytest.warns(DynetWarning, match=CHANGED) as warned:
        loss.backward()
    assert [warning.filename for warning in warned] == [__file__]
    found, value = gradients(parameters), loss.value()
    dy.renew_cg()
    anew = loss_of(p, table)
    assert value == anew.value()
    anew.backward()
    assert found == gradients(parameters)


def test_nodes_computed_after_a_change_are_not_mixed_with_earlier_ones():
    parameters, p, table, trainer = model()
    h = dy.tanh(p * table[1])
    h.value()
    p.set_value([0.25])
    loss = dy.square(h * p)
    loss.value()  # of an old h
    table.init_row(1, [0.5])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()
    found = gradients(parameters)
    dy.renew_cg()
    dy.square(dy.tanh(p * table[1]) * p).backward()
    assert found == gradients(parameters)


def test_what_does_not_depend_on_earlier_values_is_not_computed_again():
    """As when a program never calls renew_cg: each loss has nodes of its own."""
    parameters, p, table, trainer = model()
    x = dy.inputVector([3.0])
    row = table[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            loss = dy.square(p * x + row) + dy.square(dy.tanh(x))
            value = loss.value()
            loss.backward()
            trainer.update()
            assert value == pytest.approx(loss.value())
            gradients(parameters)
        a, b = p.value(), table.row_as_array(1)[0]
        dy.square(p * x + row).backward()
    y = 2 * (a * 3 + b)
    assert gradients(parameters) == [[pytest.approx(3 * y)], [[0], [pytest.approx(y)]]]


def test_what_is_recorded_after_a_change_has_the_new_values():
    parameters, p, table, trainer = model()
    row, before = table[1], dy.square(p)
    assert (row.value(), before.value()) == (2, 1)
    p.set_value([3.0])
    table.init_row(1, [5.0])
    assert (row.value(), p.value(), before.value(), dy.square(p).value()) == (5, 3, 1, 9)


def test_a_second_loss_without_a_change_is_computed_once():
    parameters, p, table, trainer = model()
    h = dy.tanh(p * table[1])
    first, second = dy.square(h), dy.square(h * p)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first.backward()
        second.backward()
        first.backward()


def test_the_same_dropout_is_drawn_again():
    parameters = dy.ParameterCollection()
    p = parameters.add_parameters(200, init=1.0)
    dy.renew_cg()
    loss = dy.sum_elems(dy.square(dy.dropout(p, 0.5)))
    loss.value()
    p.scale(2)
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()
    kept = p.grad_as_array() != 0
    assert loss.value() == 16 * kept.sum() and 50 < kept.sum() < 150


def test_after_a_revert_and_a_change():
    parameters, p, table, trainer = model()
    h = dy.tanh(p * table[1])
    dy.cg_checkpoint()
    dy.square(h).value()
    dy.cg_revert()
    p.set_value([0.5])
    with pytest.warns(DynetWarning, match=CHANGED):
        dy.square(h).backward()
    found = gradients(parameters)
    dy.renew_cg()
    dy.square(dy.tanh(p * table[1])).backward()
    assert found == gradients(parameters)


def test_a_new_graph_is_not_warned_of_an_old_one():
    parameters, p, table, trainer = model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            dy.renew_cg()
            loss_of(p, table).backward()
            trainer.update()
            gc.collect()


def test_changes_by_another_thread_do_not_count():
    """As when two threads train, one model together or each its own."""
    parameters, p, table, trainer = model()
    loss = loss_of(p, table)
    loss.value()
    before = p.as_array()[0]
    thread = threading.Thread(target=lambda: (dy.square(p).backward(), trainer.update()))
    thread.start()
    thread.join()
    assert p.as_array()[0] != before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.backward()
