"""`CompactVanillaLSTMBuilder.set_weightnoise`: each sequence draws its own noise on the weights."""

import numpy as np
import pytest
from networks import Setting, assert_state, expression

import dynet_ops as dy
from dynet_core import ArgumentError, ArgumentTypeError, renew_cg


def outputs(builder, x, count=1):
    return [builder.initial_state().add_input(x).output().npvalue() for _ in range(count)]


def test_each_sequence_has_its_own_and_all_its_steps_the_same():
    setting = Setting("CompactVanillaLSTMBuilder", 2)
    setting.builder.set_weightnoise(0.3)
    x = dy.inputVector([1.0, -2.0])
    first, second = setting.builder.initial_state(), setting.builder.initial_state()
    one, again, other = [state.add_input(x).output().npvalue() for state in (first, first, second)]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_without_noise_it_is_the_plain_network():
    setting = Setting("CompactVanillaLSTMBuilder", 2)
    x = setting.arrays(1)[0]
    setting.builder.initial_state().add_input(expression(x))
    setting.builder.set_weightnoise(0.5)
    setting.builder.initial_state().add_input(expression(x))
    setting.builder.set_weightnoise(0)
    state = setting.builder.initial_state().add_input(expression(x))
    assert_state(state, setting.reference([x])[-1])


def test_the_deviation_is_the_one_that_is_set():
    """With weights of zero and an input (1, 0) before any state, a gate is the noise on a weight and on a bias."""
    setting = Setting("CompactVanillaLSTMBuilder", 1)
    for parameter in setting.model.parameters_list():
        parameter.zero()
    setting.builder.set_weightnoise(0.1)
    renew_cg()
    weight, noise = setting.builder.get_parameter_expressions, []
    x = dy.inputVector([1.0, 0.0])
    for _ in range(400):
        state = setting.builder.initial_state().add_input(x)
        # c = i g with i = 1/2 + o(1) and g = tanh of the noise
        noise.append(2 * state.s()[0].npvalue())
    assert not any(e.npvalue().any() for layer in weight() for e in layer), "the parameters themselves have none"
    assert np.std(noise) == pytest.approx(0.1 * 2**0.5, rel=0.1)
    assert np.mean(noise) == pytest.approx(0, abs=0.02)


def test_parameters_are_trained_through_it():
    setting = Setting("CompactVanillaLSTMBuilder", 1)
    setting.builder.set_weightnoise(0.1)
    setting.builder.set_dropouts(0.2, 0.2)
    state = setting.builder.initial_state()
    for _ in range(3):
        state = state.add_input(dy.inputVector([1.0, 2.0]))
    dy.sum_elems(state.output()).backward()
    assert all(parameter.grad_as_array().any() for parameter in setting.model.parameters_list())


@pytest.mark.parametrize(
    "std, error",
    [(-1, ArgumentError), (float("nan"), ArgumentError), ("a", ArgumentTypeError), (None, ArgumentTypeError)],
)
def test_what_is_no_deviation_is_refused(std, error):
    builder = Setting("CompactVanillaLSTMBuilder").builder
    builder.set_weightnoise(0.5)
    with pytest.raises(error, match="set_weightnoise"):
        builder.set_weightnoise(std)
    assert builder._noise == 0.5
