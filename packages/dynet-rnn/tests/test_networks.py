"""Values of every network against its equations in float64, gradients against central differences."""

import itertools

import numpy as np
import pytest
from networks import (
    HIDDEN,
    INPUT,
    NETWORKS,
    Setting,
    as_state,
    assert_close,
    assert_gradients,
    assert_state,
    differences,
    expression,
    loss_of,
    loss_of_arrays,
    value_of,
)

import dynet_ops as dy
from dynet_core import renew_cg

every_network = pytest.mark.parametrize("name", NETWORKS)
SIZES = [
    pytest.param(steps, layers, batch, id=f"{steps} steps, {layers} layers, batch {batch}")
    for steps, layers, batch in itertools.product((1, 2, 7), (1, 3), (1, 5))
]


@every_network
@pytest.mark.parametrize(("steps", "layers", "batch"), SIZES)
def test_values(name, steps, layers, batch):
    setting = Setting(name, layers)
    xs = setting.arrays(steps, batch=batch)
    expected = setting.reference(xs)
    inputs = [expression(x) for x in xs]
    states = setting.builder.initial_state().add_inputs(inputs)
    for state, wanted in zip(states, expected, strict=True):
        assert_state(state, wanted)
        assert state.output().npvalue().tolist() == state.h()[-1].npvalue().tolist()
    outputs = setting.builder.initial_state().transduce(inputs)
    for output, wanted in zip(outputs, expected, strict=True):
        assert_close(value_of(output), wanted[-1][0])


def check_gradients(setting, record, xs, arrays_of, start=(), masks=None):
    """`record(inputs, initial vectors)` gives expressions; `arrays_of(reference states)` gives equal arrays."""
    given = [setting.model.add_parameters((len(x),), init=x[:, 0]) for x in start]
    inputs = [dy.inputTensor(x, batched=True) for x in xs]
    loss_of(record(inputs, given)).backward(full=True)
    trained = [p for layer in setting.parameters for p in layer if p.is_updated()]
    actual = [p.grad_as_array() for p in trained]
    actual += [x.gradient() for x in inputs] + [p.grad_as_array()[:, None] for p in given]

    parameters = [[p.as_array().astype(np.float64) for p in layer] for layer in setting.parameters]
    exact, begin = [x.astype(np.float64) for x in xs], [x.astype(np.float64) for x in start]

    def loss():
        found = setting.reference(exact, as_state(begin, setting.layers), masks, parameters)
        return loss_of_arrays(arrays_of(found))

    pairs = [pair for both in zip(setting.parameters, parameters) for pair in zip(*both)]
    changed = [array for p, array in pairs if p.is_updated()]
    assert_gradients(actual, differences(loss, changed + exact + begin))


@pytest.mark.few(each=5)
@every_network
@pytest.mark.parametrize(("steps", "layers", "batch"), SIZES)
def test_gradients(name, steps, layers, batch):
    """Through every output, and all vectors of the last state."""
    setting = Setting(name, layers)

    def record(inputs, start):
        states = setting.builder.initial_state().add_inputs(inputs)
        return [*[state.output() for state in states], *states[-1].s()]

    check_gradients(setting, record, setting.arrays(steps, batch=batch), outputs_and_last)


def outputs(found):
    return [state[-1][0] for state in found]


def outputs_and_last(found):
    last = found[-1]
    return [*outputs(found), *[vectors[v] for v in reversed(range(len(last[0]))) for vectors in last]]


@pytest.mark.few(each=2)
@every_network
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_of_transduce_from_given_vectors(name, layers):
    setting = Setting(name, layers)
    check_gradients(
        setting,
        lambda inputs, start: setting.builder.initial_state(start).transduce(inputs),
        setting.arrays(3, batch=2),
        outputs,
        start=setting.arrays(layers * setting.values, HIDDEN),
    )


@pytest.mark.few(each=2)
@every_network
@pytest.mark.parametrize("batches", [(1, 4), (4, 1), (4, 4, 1), (1, 1, 4)])
def test_batches_of_one_go_with_others(name, batches):
    """Batch sizes change between inputs; values and gradients are compared."""
    setting = Setting(name, 2)
    xs = [setting.arrays(1, batch=batch)[0] for batch in batches]
    states = setting.builder.initial_state().add_inputs([expression(x) for x in xs])
    for state, wanted in zip(states, setting.reference(xs), strict=True):
        assert_state(state, wanted)
    check_gradients(
        setting,
        lambda inputs, start: setting.builder.initial_state().transduce(inputs),
        xs,
        outputs,
    )


@every_network
def test_sequences_that_run_together(name):
    """Several sequences in one graph give the results of each one alone, with gradients added up."""
    setting = Setting(name, 2)
    sequences = [setting.arrays(length) for length in (3, 1, 5, 3)]
    alone = []
    for xs in sequences:
        renew_cg()
        ys = setting.builder.initial_state().transduce([expression(x) for x in xs])
        alone.append([value_of(y) for y in ys])
        loss_of(ys).backward()
    parameters = setting.model.parameters_list()
    added = [p.grad_as_array() for p in parameters]
    for p in parameters:
        p.scale_gradient(0)
    renew_cg()
    together = [setting.builder.initial_state().transduce([expression(x) for x in xs]) for xs in sequences]
    dy.esum([loss_of(ys) for ys in together]).backward()
    for ys, wanted in zip(together, alone, strict=True):
        for y, expected in zip(ys, wanted, strict=True):
            assert_close(value_of(y), expected)
    assert_gradients([p.grad_as_array() for p in parameters], added)


@every_network
def test_large(name):
    """Sizes that combine whole vectors, remainders and several columns."""
    setting = Setting(name)
    builder = setting.builder = setting.builder.from_spec((2, 21, 37, *setting.builder.spec[3:]), setting.model)
    xs = setting.arrays(4, 21, batch=3)
    states = builder.initial_state().add_inputs([expression(x) for x in xs])
    for state, wanted in zip(states, setting.reference(xs), strict=True):
        assert_state(state, wanted)


def test_update_false_leaves_the_parameters_alone():
    setting = Setting("VanillaLSTMBuilder")
    x = setting.model.add_parameters(INPUT)
    (y,) = setting.builder.initial_state(update=False).transduce([x])
    loss_of([y]).backward()
    assert all(not p.grad_as_array().any() for layer in setting.parameters for p in layer)
    assert x.grad_as_array().any()
