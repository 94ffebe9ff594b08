"""Gradients of gates stand where the gates' values were, once a program has differentiated each graph only once."""

import threading

import numpy as np
import pytest
from networks import NETWORKS, Setting, expression, loss_of

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ParameterCollection, cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph import current
from dynet_kernels import layout as at
from dynet_kernels.layout import SLOT

COMPOSED = {"VanillaLSTMBuilder, ln_lstm=True"}  # of nodes whose values anybody may ask for
of_cells = [name for name in NETWORKS if name not in COMPOSED]


def prove(once=at.PROVEN):
    """Have this thread's graphs spend values, or not."""
    engine = current().engine
    engine.slots[SLOT["once"]] = once
    engine._plan_anew()
    if engine.gradients.floats:
        engine.gradients.write(np.nan)


def has_spent() -> bool:
    return bool(current().engine.slots[SLOT["spent"]])


def gradients_of(setting):
    """All gradients, which are 0 afterwards."""
    found = [p.grad_as_array() for p in setting.model.parameters_list()]
    for p in setting.model.parameters_list():
        p.scale_gradient(0)
    return found


def assert_same(actual, expected, tolerance=0.0):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("way", ["add_inputs", "transduce"])
def test_gradients_are_the_same(name, batch, way):
    setting = Setting(name, 2)
    xs = setting.arrays(5, batch=batch)
    found = []
    for once in (at.NEVER, at.PROVEN):
        renew_cg()
        inputs = [expression(x) for x in xs]
        if way == "transduce":
            outputs = setting.builder.initial_state().transduce(inputs)
        else:
            outputs = [state.output() for state in setting.builder.initial_state().add_inputs(inputs)]
        loss = loss_of(outputs)
        loss.forward()
        prove(once)
        loss.backward(full=True)
        found.append([*gradients_of(setting), *[x.gradient() for x in inputs]])
        assert has_spent() == (once == at.PROVEN and name not in COMPOSED)
    assert all(np.isfinite(array).all() for array in found[1])
    assert_same(found[1], found[0])


@pytest.mark.parametrize("hidden", [1, 4, 8, 16, 50, 130])
def test_states_of_any_size(hidden):
    model = ParameterCollection()
    lstm = rnn.VanillaLSTMBuilder(1, 7, hidden, model)
    found = []
    for once in (at.NEVER, at.PROVEN):
        renew_cg()
        inputs = [dy.inputVector(x) for x in np.random.default_rng(1).uniform(-1, 1, (9, 7))]
        loss = dy.sum_elems(dy.square(dy.esum(lstm.initial_state().transduce(inputs))))
        loss.forward()
        prove(once)
        loss.backward()
        found.append([p.grad_as_array() for p in model.parameters_list()])
        for p in model.parameters_list():
            p.scale_gradient(0)
    assert_same(found[1], found[0])


@pytest.mark.parametrize("name", of_cells)
def test_parameters_of_which_one_is_trained(name):
    """Or none, but an input of a step in the middle."""
    setting = Setting(name)
    xs = setting.arrays(5)
    middle = setting.model.add_parameters((2,), init=xs[2][:, 0])
    everything = [p for p in setting.model.parameters_list() if p.is_updated()]
    for trained in everything:
        for p in everything:
            p.set_updated(p is trained)
        found = []
        for once in (at.NEVER, at.PROVEN):
            renew_cg()
            inputs = [middle if k == 2 else expression(x) for k, x in enumerate(xs)]
            loss = loss_of(setting.builder.initial_state().transduce(inputs))
            loss.forward()
            prove(once)
            loss.backward()
            found.append(gradients_of(setting))
        assert_same(found[1], found[0])
    assert np.abs(found[1][-1]).max() > 0  # of the input


@pytest.mark.parametrize("used", [0, 2, 4])
def test_sequences_of_which_a_part_is_used(used):
    """Only where the last step counts does every step set its share of the gradient."""
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(5)
    found = []
    for once in (at.NEVER, at.PROVEN):
        renew_cg()
        loss = loss_of([setting.builder.initial_state().transduce([expression(x) for x in xs])[used]])
        loss.forward()
        prove(once)
        loss.backward()
        assert has_spent() == (once == at.PROVEN and used == 4)
        found.append(gradients_of(setting))
    assert_same(found[1], found[0])


def recorded(setting, xs, drop=False):
    """The outputs of a sequence in a new graph, which spends its values."""
    renew_cg()
    if drop:
        setting.builder.set_dropout(0.4)
    outputs = setting.builder.initial_state().transduce([expression(x) for x in xs])
    outputs[-1].forward()
    prove()
    return outputs


@pytest.mark.parametrize(
    ("name", "drop"), [(name, drop) for name in of_cells for drop in (False, True) if not drop or name != "GRUBuilder"]
)
def test_a_second_pass_computes_values_again(name, drop):
    """The same gradient once more, with the same noise; from then on nothing is spent."""
    setting = Setting(name, 2)
    loss = loss_of(recorded(setting, setting.arrays(5), drop))
    value = loss.value()
    loss.backward()
    once = gradients_of(setting)
    assert has_spent()
    loss.backward()
    assert loss.value() == pytest.approx(value, rel=1e-6)
    assert_same(gradients_of(setting), once, 1e-5)
    assert not has_spent()
    assert current().engine.slots[SLOT["once"]] < 0
    loss.backward()
    assert_same(gradients_of(setting), once, 1e-5)


def test_a_graph_that_grows_after_a_pass():
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(6)

    def both(prepare):
        renew_cg()
        inputs = [expression(x) for x in xs]
        states = setting.builder.initial_state().add_inputs(inputs[:3])
        first = loss_of([state.output() for state in states])
        first.forward()
        prepare()
        first.backward()
        one = gradients_of(setting)
        rest = loss_of([state.output() for state in states[-1].add_inputs(inputs[3:])])
        rest.backward()
        return [*one, *gradients_of(setting)]

    expected = both(lambda: prove(at.NEVER))
    actual = both(prove)
    assert_same(actual, expected, 1e-5)


def test_a_graph_that_is_taken_back_after_a_pass():
    setting = Setting("CoupledLSTMBuilder")
    xs = setting.arrays(4)

    def losses(prepare):
        renew_cg()
        inputs = [expression(x) for x in xs]
        state = setting.builder.initial_state().add_inputs(inputs[:2])[-1]
        found = []
        for k in range(3):
            cg_checkpoint()
            loss = loss_of([state.add_input(inputs[k % 2 + 2]).output()])
            loss.forward()
            prepare()
            loss.backward()
            found += gradients_of(setting)
            cg_revert()
        return found

    expected = losses(lambda: prove(at.NEVER))
    assert_same(losses(prove), expected, 1e-5)


def test_an_update_between_two_passes():
    """Values that were spent are computed with the parameters as they are."""
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(4)
    loss = loss_of(recorded(setting, xs))
    loss.backward()
    gradients_of(setting)
    for p in setting.model.parameters_list():
        p.set_value(p.as_array() * 0.5)
    loss.backward()
    actual, value = gradients_of(setting), loss.value()
    new = loss_of(recorded(setting, xs))
    prove(at.NEVER)
    assert value == pytest.approx(new.value(), rel=1e-6)
    new.backward()
    assert_same(actual, gradients_of(setting), 1e-5)


def test_only_programs_that_differentiate_each_graph_once():
    """It takes some graphs to find out, and one to the contrary ends it; each thread finds out for itself."""
    found = []

    def program():
        setting = Setting("VanillaLSTMBuilder")
        xs = setting.arrays(3)

        def graph(passes):
            renew_cg()
            current().engine._plan_anew()
            loss = loss_of(setting.builder.initial_state().transduce([expression(x) for x in xs]))
            for _ in range(passes):
                loss.backward()
            found.append(has_spent())

        for _ in range(at.PROVEN + 2):
            graph(1)
        graph(2)
        for _ in range(at.PROVEN + 2):
            graph(1)
        found.append(current().engine.slots[SLOT["once"]] < 0)

    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    assert found == [False] * at.PROVEN + [True] * 2 + [False] * (1 + at.PROVEN + 2) + [True]


def test_the_same_graph_again_and_again():
    """A graph like the one before keeps its plan, and what that spends."""
    setting = Setting("VanillaLSTMBuilder")
    xs = setting.arrays(3)
    expected = None
    for _ in range(2 * at.PROVEN):
        renew_cg()
        loss_of(setting.builder.initial_state().transduce([expression(x) for x in xs])).backward()
        actual = gradients_of(setting)
        expected = expected or actual
        assert_same(actual, expected)
