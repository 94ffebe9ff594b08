"""Backward passes after changes to parameters that the loss does not depend on."""

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
