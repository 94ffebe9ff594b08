"""Bidirectional networks, against two one-directional networks."""

import pytest
from networks import HIDDEN, INPUT, Setting, assert_close, expression, loss_of, value_of

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ParameterCollection, renew_cg

FACTORIES = [rnn.SimpleRNNBuilder, rnn.GRUBuilder, rnn.VanillaLSTMBuilder, rnn.CoupledLSTMBuilder]
every_factory = pytest.mark.parametrize("factory", FACTORIES)


def arrays(count, batch=1):
    return Setting("SimpleRNNBuilder").arrays(count, batch=batch)


def by_hand(builder, xs):
    """The same result from one-directional networks and `concatenate`."""
    for ahead, back in builder.builder_layers:
        fs = [state.output() for state in ahead.initial_state().add_inputs(xs)]
        bs = [state.output() for state in back.initial_state().add_inputs(reversed(xs))]
        xs = [dy.concatenate([f, b]) for f, b in zip(fs, reversed(bs), strict=True)]
    return xs


@every_factory
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("steps", [1, 5])
def test_outputs_and_gradients(factory, layers, batch, steps):
    model = ParameterCollection()
    builder = rnn.BiRNNBuilder(layers, INPUT, 2 * HIDDEN, model, factory)
    xs = arrays(steps, batch)
    found = []
    for read in (builder.transduce, lambda inputs: by_hand(builder, inputs)):
        renew_cg()
        outputs = read([expression(x) for x in xs])
        loss_of(outputs).backward()
        found.append([value_of(y) for y in outputs] + [p.grad_as_array() for p in model.parameters_list()])
        for p in model.parameters_list():
            p.scale_gradient(0)
    for one, other in zip(*found, strict=True):
        assert_close(one, other)


@every_factory
def test_pairs_of_states(factory):
    builder = rnn.BiRNNBuilder(2, INPUT, 2 * HIDDEN, ParameterCollection(), factory)
    inputs = [expression(x) for x in arrays(4)]
    pairs = builder.add_inputs(inputs)
    for (ahead, back), y in zip(pairs, builder.transduce(inputs), strict=True):
        assert ahead.output().value() + back.output().value() == y.value()
    assert [ahead.prev().output() for ahead, _ in pairs[1:]] == [ahead.output() for ahead, _ in pairs[:-1]]
    assert [back.prev().output() for _, back in pairs[:-1]] == [back.output() for _, back in pairs[1:]]


def test_inputs_of_different_batches():
    """They are read step by step."""
    builder = rnn.BiRNNBuilder(2, INPUT, 2 * HIDDEN, ParameterCollection(), rnn.VanillaLSTMBuilder)
    xs = [arrays(1, batch)[0] for batch in (1, 3, 1)]
    inputs = [expression(x) for x in xs]
    for one, other in zip(builder.transduce(inputs), by_hand(builder, inputs), strict=True):
        assert_close(value_of(one), value_of(other))


def test_any_iterable_and_none():
    builder = rnn.BiRNNBuilder(1, INPUT, 2 * HIDDEN, ParameterCollection(), rnn.GRUBuilder)
    inputs = [expression(x) for x in arrays(3)]
    assert [y.value() for y in builder.transduce(iter(inputs))] == [y.value() for y in builder.transduce(inputs)]
    assert builder.transduce([]) == builder.add_inputs([]) == []


def test_builders_given():
    model = ParameterCollection()
    pair = rnn.GRUBuilder(1, INPUT, HIDDEN, model), rnn.SimpleRNNBuilder(1, INPUT, HIDDEN, model)
    builder = rnn.BiRNNBuilder(1, INPUT, 2 * HIDDEN, model, None, builder_layers=[pair])
    inputs = [expression(x) for x in arrays(3)]
    for one, other in zip(builder.transduce(inputs), by_hand(builder, inputs), strict=True):
        assert one.value() == other.value()
    assert len(model.parameters_list()) == 9 + 3


class Doubling:
    """A user-defined builder with only what BiRNNBuilder requires."""

    def __init__(self, layers, input_dim, hidden_dim, model):
        self.parameter = model.add_parameters((hidden_dim, input_dim))

    def initial_state(self):
        return self

    def transduce(self, xs):
        return [self.parameter * x for x in xs]


def test_builders_of_users():
    builder = rnn.BiRNNBuilder(2, INPUT, 2 * HIDDEN, ParameterCollection(), Doubling)
    x = expression(arrays(1)[0])
    (y,) = builder.transduce([x])
    for ahead, back in builder.builder_layers:
        x = dy.concatenate([ahead.parameter * x, back.parameter * x])
    assert y.value() == x.value()


def test_names_and_spec():
    model = ParameterCollection()
    builder = rnn.BiRNNBuilder(2, INPUT, 2 * HIDDEN, model, rnn.VanillaLSTMBuilder)
    names = [p.name() for p in builder.param_collection().parameters_list()]
    assert names[::3] == ["/birnn/vanilla-lstm-builder" + number + "/_0" for number in ("", "_1", "_2", "_3")]
    again = rnn.BiRNNBuilder.from_spec(builder.spec, ParameterCollection())
    assert [p.name() for p in again.param_collection().parameters_list()] == names
    assert again.whoami() == "BiRNNBuilder"


def test_pickles_of_earlier_versions_have_the_attributes_that_are_read():
    model = ParameterCollection()
    pair = rnn.GRUBuilder(1, INPUT, HIDDEN, model), rnn.GRUBuilder(1, INPUT, HIDDEN, model)
    network = rnn.BiRNNBuilder(1, INPUT, 2 * HIDDEN, model, None, builder_layers=[pair])
    assert "_model" not in vars(network)
    assert network.param_collection() is network.model is model
