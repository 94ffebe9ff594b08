"""Repeated backward passes through a recurrent network: later passes add the same gradients."""

import numpy as np
import pytest
from networks import NETWORKS, Setting, expression, loss_of

from dynet_core import cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph import current


def gradients_of(setting):
    """All gradients, which are then reset to 0."""
    found = [p.grad_as_array() for p in setting.model.parameters_list()]
    for p in setting.model.parameters_list():
        p.scale_gradient(0)
    return found


def forget_gradient_memory():
    """Plan again, in memory without any values."""
    engine = current().engine
    engine.discard_plans()
    if engine.gradients.floats:
        engine.gradients.write(np.nan)


def assert_same(actual, expected, tolerance=0.0):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def outputs_of(setting, xs):
    """The outputs of a sequence in a new graph."""
    renew_cg()
    return setting.builder.initial_state().transduce([expression(x) for x in xs])


@pytest.mark.parametrize(
    ("name", "drop"), [(name, drop) for name in NETWORKS for drop in (False, True) if not drop or name != "GRUBuilder"]
)
def test_a_second_pass_adds_the_same(name, drop):
    """The same gradient once more, with the same noise."""
    setting = Setting(name, 2)
    if drop:
        setting.builder.set_dropout(0.4)
    loss = loss_of(outputs_of(setting, setting.arrays(5)))
    value = loss.value()
    loss.backward()
    once = gradients_of(setting)
    assert max(np.abs(gradient).max() for gradient in once) > 0
    for _ in range(2):
        forget_gradient_memory()
        loss.backward()
        assert loss.value() == value
        assert_same(gradients_of(setting), once)


@pytest.mark.parametrize("used", [0, 2, 4])
def test_sequences_of_which_a_part_is_used(used):
    """This includes sequences whose last steps have no gradient."""
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(5)
    loss_of([outputs_of(setting, xs)[used]]).backward()
    forget_gradient_memory()
    loss_of([outputs_of(setting, xs)[used]]).backward()
    twice = gradients_of(setting)
    loss_of(outputs_of(setting, xs[: used + 1])[-1:]).backward()
    assert_same(twice, [2 * gradient for gradient in gradients_of(setting)], 1e-5)


def test_a_graph_that_grows_after_a_pass():
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(6)

    def both(between):
        renew_cg()
        inputs = [expression(x) for x in xs]
        states = setting.builder.initial_state().add_inputs(inputs[:3])
        if between:
            loss_of([state.output() for state in states]).backward()
            gradients_of(setting)
            forget_gradient_memory()
        loss_of([state.output() for state in states[-1].add_inputs(inputs[3:])]).backward()
        return gradients_of(setting)

    assert_same(both(True), both(False), 1e-5)


def test_a_graph_that_is_taken_back_after_a_pass():
    setting = Setting("CoupledLSTMBuilder")
    xs = setting.arrays(4)

    def losses(reverting):
        renew_cg()
        inputs = [expression(x) for x in xs]
        state = setting.builder.initial_state().add_inputs(inputs[:2])[-1]
        found = []
        for k in range(3):
            if reverting:
                cg_checkpoint()
            loss_of([state.add_input(inputs[k % 2 + 2]).output()]).backward()
            found += gradients_of(setting)
            if reverting:
                cg_revert()
        return found

    assert_same(losses(True), losses(False), 1e-5)


def test_the_same_graph_again_and_again():
    """A graph like its predecessor keeps its plan."""
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(3)
    expected = None
    for _ in range(5):
        loss_of(outputs_of(setting, xs)).backward()
        actual = gradients_of(setting)
        expected = expected or actual
        assert_same(actual, expected)
