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
    """Return the gradients of all parameters, and reset them to zero."""
    everything = [*parameters.parameters_list(), *parameters.lookup_parameters_list()]
    found = [p.grad_as_array().tolist() for p in everything]
    for p in everything:
        p.scale_gradient(0)
    return found


def loss_of(p, table, between=lambda: None):
    """A loss of both arguments; `between` is called after part of its graph is recorded."""
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
    loss.value()  # depends on an h computed earlier
    table.init_row(1, [0.5])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()
    found = gradients(parameters)
    dy.renew_cg()
    dy.square(dy.tanh(p * table[1]) * p).backward()
    assert found == gradients(parameters)


def test_what_does_not_depend_on_earlier_values_is_not_computed_again():
    """For example, when a program never calls renew_cg: each loss has its own nodes."""
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
    """For example, when two threads train one model together or one model each."""
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


def test_losses_of_other_parameters_are_not_computed_again():
    """For example, in a program with two models whose losses are in one graph."""
    first, second = dy.ParameterCollection(), dy.ParameterCollection()
    p, q = first.add_parameters(1, init=1.0), second.add_parameters(1, init=2.0)
    table = second.add_lookup_parameters((3, 1), init=1.0)
    trainers = [dy.SimpleSGDTrainer(m, 0.5) for m in (first, second)]
    dy.renew_cg()
    one, other = dy.square(dy.tanh(p)), dy.square(dy.tanh(q * table[0]))
    part = table[1]
    last = dy.squared_norm(dy.tanh(part))
    one.value(), other.value(), last.value()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.backward()
        trainers[0].update()
        other.backward()
        first.add_parameters(3)
        last.backward()
        assert part.gradient() == table.grad_as_array()[1]
    trainers[1].update()
    with pytest.warns(DynetWarning, match=CHANGED):
        other.backward()


def test_values_of_a_frozen_parameter_are_outdated_where_they_are_differentiated():
    parameters, p, table, trainer = model()
    p.set_updated(False)
    x = dy.inputVector([0.5])
    loss = dy.tanh(p * x)
    loss.value()
    p.set_value([2.0])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward(full=True)
    assert x.gradient()[0] == pytest.approx(2 * (1 - np.tanh(1) ** 2))


def test_long_loops_without_renew_cg():
    """Each pass examines only new records."""
    parameters, p, table, trainer = model()
    dy.square(p).backward()
    trainer.update()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h = dy.nobackprop(dy.tanh(p))
        for _ in range(50):
            h = dy.tanh(p * dy.nobackprop(h) + table[1])
            dy.square(h).backward()
            trainer.update()
        length, version = dy.cg().records.length, dy.cg().version()
        assert dy.cg().outdated._decoded == (version, length) and length > 500
        dy.square(h + p).value()


def test_nodes_recorded_again_after_a_revert():
    parameters, p, table, trainer = model()
    a = dy.tanh(p)
    a.value()
    p.scale(1.1)
    b = dy.square(dy.tanh(p))
    b.value()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        b.backward()
        dy.cg_checkpoint()
        (b + 1).value()
        dy.cg_revert()
        c = dy.square(dy.tanh(p * p))
        c.backward()
    with pytest.warns(DynetWarning, match=CHANGED):
        (dy.square(a) + c).backward()


def test_many_groups_of_parameters():
    parameters, p, table, trainer = model()
    many = [parameters.add_parameters(1, init=1.0) for _ in range(200)]
    h = dy.tanh(many[150])
    h.value()
    for q in many:
        q.set_value([0.5])
    with pytest.warns(DynetWarning, match=CHANGED):
        h.backward()
    dy.renew_cg()
    for q in many:
        q.set_value([0.75])
    h = dy.tanh(many[0])
    h.value()
    for q in many[1:]:
        q.set_value([0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h.backward()


def test_a_trainer_in_one_thread_after_the_other():
    """Python may give a new thread the id of one that has ended."""
    parameters, p, table, trainer = model()
    ids, warned = [], []

    def train():
        ids.append(threading.get_ident())
        h = dy.tanh(p)
        dy.square(h).backward()
        trainer.update()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            dy.square(h * p).backward()
        warned.append(len(found))
        trainer.update()

    for _ in range(8):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    train()
    assert warned == [1] * 9, ids


def test_changes_by_many_trainers_and_of_many_parameters():
    """Changes made before the graph began are forgotten, but not those that a living trainer may still make."""
    parameters = dy.ParameterCollection()
    ps = [parameters.add_subcollection().add_parameters(1, init=1.0) for _ in range(100)]
    for _ in range(3):
        for p in ps:
            dy.renew_cg()
            p.set_value([1.0])
            dy.square(p).value()
    assert len(dy.cg().outdated._groups) <= 64
    models = [dy.ParameterCollection() for _ in range(100)]
    qs = [m.add_parameters(1, init=1.0) for m in models]
    trainers = [dy.SimpleSGDTrainer(m) for m in models]
    dy.renew_cg()
    dy.esum([dy.square(q) for q in qs]).backward()
    for trainer in trainers:
        trainer.update()
    for _ in range(3):
        dy.renew_cg()
        hs = [dy.tanh(q) for q in qs]
        dy.square(hs[3]).backward()
        dy.square(hs[97]).backward()
        trainers[3].update()
        trainers[97].update()
        with pytest.warns(DynetWarning, match=CHANGED):
            dy.square(hs[3]).backward()
        dy.renew_cg()
        for p in ps:
            p.scale(1)


def test_changes_of_a_trainer_that_is_gone():
    parameters, p, table, trainer = model()
    h = dy.tanh(p)
    dy.square(h).backward()
    trainer.update()
    del trainer
    gc.collect()
    for _ in range(100):
        dy.ParameterCollection().add_parameters(1).set_value([1.0])
    with pytest.warns(DynetWarning, match=CHANGED):
        dy.square(h * p).backward()


def test_groups_of_parameters_are_forgotten_when_others_are_added():
    parameters, p, table, trainer = model()
    for _ in range(200):
        dy.renew_cg()
        (dy.square(p) + dy.square(parameters.add_parameters(1))).backward()
        trainer.update()
    assert len(dy.cg().outdated._groups) < 100
