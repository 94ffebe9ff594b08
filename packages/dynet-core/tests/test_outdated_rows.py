"""Backward passes after changes of rows, and of parameters, that the loss does not depend on."""

import warnings

import pytest

import dynet as dy
from dynet_core import DynetWarning

CHANGED = "parameters have changed since values of this graph were computed"


def model():
    parameters = dy.ParameterCollection()
    p, table = parameters.add_parameters(1, init=1.0), parameters.add_lookup_parameters((2, 1), init=2.0)
    trainer = dy.SimpleSGDTrainer(parameters, 0.5)
    trainer.set_clip_threshold(0)
    dy.renew_cg()
    return parameters, p, table, trainer


def test_other_rows_that_change_do_not_matter():
    parameters, p, table, trainer = model()
    loss = dy.square(p * table[1])
    value = loss.value()
    table.init_row(0, [7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.backward()
        dy.square(loss + table[0]).backward()
        table.init_row(0, [8])
        loss.backward()
    table.init_row(0, [7])
    table.init_row(1, [4])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()
    assert (value, loss.value()) == (4, 16)


@pytest.mark.parametrize("subset", [([], []), ([1], []), ([], [1])])
def test_a_subset_that_the_loss_does_not_use_does_not_matter(subset):
    parameters, p, table, trainer = model()
    others = parameters.add_parameters(1, init=1.0), parameters.add_lookup_parameters((2, 1), init=1.0)
    loss = dy.square(p * table[1])
    loss.backward()
    (dy.square(others[0]) + others[1][0]).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.update_subset(*subset)
        loss.backward()
        assert p.gradient() == [8]
    changed = [[1 - 0.5 * 2] if subset[0] else [1], [[0.5] if subset[1] else [1], [1]]]
    assert [other.as_array().tolist() for other in others] == changed
    trainer.update_subset([0], [])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()


def test_rows_that_change_after_lookups_were_set():
    parameters, p, table, trainer = model()
    row = table[1]
    loss = dy.square(p * row)
    loss.backward()
    row.set(0)
    loss.value()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table.init_row(1, [7])
        loss.backward()
    table.init_row(0, [3])
    with pytest.warns(DynetWarning, match=CHANGED):
        loss.backward()
