"""Dropout in networks: which values it applies to, and gradients with the drawn masks."""

import numpy as np
import pytest
from networks import HIDDEN, INPUT, NETWORKS, Setting, assert_state, expression, value_of
from test_networks import SIZES, check_gradients, outputs

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ParameterCollection, StaleExpressionError, recorder, renew_cg, reset_random_seed
from dynet_core.graph import current
from dynet_rnn import dropout, sequences
from dynet_rnn.dropout import Variational

NORMALISED = "VanillaLSTMBuilder, ln_lstm=True"
VARIATIONAL = [name for name in NETWORKS if issubclass(NETWORKS[name].kind, Variational) and name != NORMALISED]
variational = pytest.mark.parametrize("name", VARIATIONAL)


def masks_of(builder):
    """The masks of the latest sequence, in the reference's form."""
    return [
        {
            value: 1.0 if (mask := builder._run.steps.mask(layer, place)) is None else value_of(mask).astype(np.float64)
            for place, value in enumerate("xhc")
        }
        for layer in range(builder.spec[0])
    ]


@variational
@pytest.mark.parametrize("rates", [(0.5, 0.4), (0.5, 0.0), (0.0, 0.4)])
@pytest.mark.parametrize("batch", [1, 4])
def test_one_mask_for_a_sequence(name, rates, batch):
    setting = Setting(name, 2)
    setting.builder.set_dropouts(*rates)
    xs = setting.arrays(5, batch=batch)
    states = setting.builder.initial_state().add_inputs([expression(x) for x in xs])
    for state, wanted in zip(states, setting.reference(xs, masks=masks_of(setting.builder)), strict=True):
        assert_state(state, wanted)


@pytest.mark.few(each=3)
@variational
@pytest.mark.parametrize(("steps", "layers", "batch"), SIZES)
def test_gradients(name, steps, layers, batch):
    setting = Setting(name, layers)
    setting.builder.set_dropout(0.4)
    state = setting.builder.initial_state()
    setting.builder.set_dropout_masks(batch)
    check_gradients(
        setting,
        lambda inputs, start: state.transduce(inputs),
        setting.arrays(steps, batch=batch),
        outputs,
        masks=masks_of(setting.builder),
    )


@pytest.mark.few(each=3)
@pytest.mark.parametrize(("steps", "layers", "batch"), SIZES)
def test_gradients_of_layer_normalization(steps, layers, batch):
    """With masks that keep part of each vector: a vector of zeros cannot be normalized."""
    setting = Setting("VanillaLSTMBuilder, ln_lstm=True", layers)
    setting.builder.set_dropouts(0.2, 0.2)
    state = setting.builder.initial_state()
    for seed in range(1000):
        reset_random_seed(seed)
        setting.builder.set_dropout_masks(batch)
        masks = masks_of(setting.builder)
        if all((mask[value] > 0).sum(0).min() > 1 for mask in masks for value in "xh"):
            break
    else:
        raise AssertionError("every seed drops too much")
    check_gradients(
        setting,
        lambda inputs, start: state.transduce(inputs),
        setting.arrays(steps, batch=batch),
        outputs,
        masks=masks,
    )


@variational
def test_each_element_of_a_batch_has_a_mask_of_its_own(name):
    setting = Setting(name)
    setting.builder.set_dropouts(0.5, 0.0)
    x = np.repeat(setting.arrays(1)[0], 64, axis=1)
    y = setting.builder.initial_state().add_input(expression(x)).output()
    assert len(np.unique(value_of(y), axis=1).T) == 2**INPUT


@variational
def test_one_mask_for_a_batch(name):
    setting = Setting(name)
    setting.builder.set_dropouts(0.5, 0.5)
    state = setting.builder.initial_state()
    setting.builder.set_dropout_masks()
    x = np.repeat(setting.arrays(1)[0], 8, axis=1)
    y = state.add_input(expression(x)).add_input(expression(x)).output()
    assert len(np.unique(value_of(y).round(6), axis=1).T) == 1


@variational
def test_masks_asked_for_before_their_sequence_are_drawn_at_its_first_input(name):
    setting = Setting(name)
    setting.builder.set_dropouts(0.5, 0.0)
    setting.builder.initial_state()
    renew_cg()
    setting.builder.set_dropout_masks(2)
    x = np.repeat(setting.arrays(1)[0], 64, axis=1)
    y = setting.builder.initial_state().add_input(expression(x)).output()
    assert len(np.unique(value_of(y), axis=1).T) == 2**INPUT


@variational
def test_a_mask_of_a_batch_makes_states_of_a_batch(name):
    setting = Setting(name)
    setting.builder.set_dropout(0.5)
    state = setting.builder.initial_state()
    setting.builder.set_dropout_masks(3)
    xs = setting.arrays(2)
    states = state.add_inputs([expression(x) for x in xs])
    expected = setting.reference([np.repeat(x, 3, axis=1) for x in xs], masks=masks_of(setting.builder))
    for state, wanted in zip(states, expected, strict=True):
        assert_state(state, wanted)


def test_sequences_have_masks_of_their_own():
    setting = Setting("VanillaLSTMBuilder")
    setting.builder.set_dropout(0.5)
    (x,) = setting.arrays(1)
    seen = {tuple(setting.builder.initial_state().transduce([expression(x)])[0].value()) for _ in range(50)}
    assert 2 <= len(seen) <= 2**INPUT


@pytest.mark.parametrize("name", [*VARIATIONAL, "GRUBuilder", NORMALISED])
def test_dropout_can_be_turned_off(name):
    """Also for a sequence that has begun."""
    setting = Setting(name, 2)
    xs = setting.arrays(3)
    setting.builder.set_dropout(0.5)
    state = setting.builder.initial_state()
    setting.builder.disable_dropout()
    states = state.add_inputs([expression(x) for x in xs])
    for state, wanted in zip(states, setting.reference(xs), strict=True):
        assert_state(state, wanted)


@pytest.mark.parametrize("name", [*VARIATIONAL, "GRUBuilder", NORMALISED])
def test_dropout_holds_for_sequences_that_begin_later_in_the_graph(name):
    """Sequences without dropout share one initial state."""
    setting = Setting(name, 2)
    xs = setting.arrays(3)

    def read():
        state = setting.builder.initial_state()
        return [y.value() for y in state.transduce([expression(x) for x in xs])]

    plain = read()
    assert read() == plain
    setting.builder.set_dropout(0.9)
    assert read() != plain
    setting.builder.disable_dropout()
    assert read() == plain
    renew_cg()
    assert read() == plain


@pytest.mark.parametrize("name", [*VARIATIONAL, "GRUBuilder"])
def test_the_seed_says_what_is_dropped(name):
    setting = Setting(name, 2)
    setting.builder.set_dropout(0.5)
    xs = setting.arrays(3, batch=4)

    def read():
        reset_random_seed(5)
        renew_cg()
        return [y.value() for y in setting.builder.initial_state().transduce([expression(x) for x in xs])]

    assert read() == read()


# Steps that compiled code records

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no templates")
COMPUTED = ["VanillaLSTMBuilder, forget_bias=0.25", "SparseLSTMBuilder"]


def by_steps(state, xs):
    return [state.output() for state in state.add_inputs(xs)]


def by_sequence(state, xs):
    return state.transduce(xs)


def from_vectors(state, xs):
    vectors = [dy.inputVector([0.1 * k] * HIDDEN) for k in range(len(state.add_input(xs[0]).s()))]
    return by_steps(state.set_s(vectors), xs)


def refuse(*arguments):
    raise AssertionError("a step is recorded in Python")


@compiled
@pytest.mark.parametrize("read", [by_steps, by_sequence, from_vectors])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", [*VARIATIONAL, "GRUBuilder"])
def test_python_records_the_first_steps_only(monkeypatch, name, layers, batch, read):
    """Compiled code records later steps, with the same values, gradients and random draws."""
    setting = Setting(name, layers)
    setting.builder.set_dropout(0.4)
    arrays = setting.arrays(4, batch=batch)

    def run():
        reset_random_seed(3)
        renew_cg()
        found = read(setting.builder.initial_state(), [expression(x) for x in arrays])
        loss = dy.sum_batches(dy.squared_norm(dy.esum(found)))
        loss.backward()
        gradients = [p.grad_as_array().tolist() for p in setting.model.parameters_list()]
        for p in setting.model.parameters_list():
            p.scale_gradient(0)
        return [y.value() for y in found], gradients, current().node_count()

    first = run()
    for _ in range(2):
        assert run() == first
    monkeypatch.setattr(setting.builder, "_advance", refuse)
    assert run() == first
    setting.builder.set_dropout(0.4)
    assert run() == first


@compiled
def test_new_rates_hold_for_all_sequences_of_a_network_that_draws_at_each_step():
    setting = Setting("GRUBuilder")
    x = setting.arrays(1)[0]
    setting.builder.set_dropout(0.9)
    for _ in range(3):
        renew_cg()
        by_steps(setting.builder.initial_state(), [expression(x)] * 3)
    old, _ = setting.builder.initial_state(), setting.builder.initial_state()
    setting.builder.set_dropout(0.0)
    (wanted,) = setting.reference([x])
    assert_state(old.add_input(expression(x)), wanted)


@pytest.mark.parametrize("name", ["VanillaLSTMBuilder", "GRUBuilder"])
def test_a_sequence_of_an_earlier_graph_draws_nothing(name):
    setting = Setting(name)
    setting.builder.set_dropout(0.5)
    array = setting.arrays(1)[0]
    for _ in range(3):
        renew_cg()
        x = expression(array)
        by_sequence(setting.builder.initial_state(), [x] * 3)
    state = setting.builder.initial_state()
    renew_cg()
    for read in (lambda: state.add_input(x), lambda: state.transduce([x])):
        with pytest.raises(StaleExpressionError, match="add_input|transduce"):
            read()
    assert current().node_count() == 0


@pytest.mark.parametrize("name", ["VanillaLSTMBuilder", "GRUBuilder"])
def test_a_wrong_input_after_good_ones(name):
    setting = Setting(name)
    setting.builder.set_dropout(0.5)
    for _ in range(3):
        x = expression(setting.arrays(1)[0])
        by_sequence(setting.builder.initial_state(), [x] * 3)
    state = setting.builder.initial_state()
    with pytest.raises(TypeError, match="transduce: expected an Expression, got str"):
        state.transduce([x, x, "x"])
    with pytest.raises(ValueError, match="add_input: the input is"):
        state.transduce([x, x, dy.ones(INPUT + 1)])
    outputs = state.transduce([x, x, dy.reshape(x, (INPUT, 1)), x])
    assert [y.dim() for y in outputs] == [((HIDDEN,), 1)] * 4


@variational
def test_a_network_that_reads_its_own_outputs(name):
    """The state and the input are the same node there; templates learned from it work for such steps and others."""
    setting = Setting(name)
    if setting.builder.spec[1] != HIDDEN:
        setting.builder = NETWORKS[name].kind(1, HIDDEN, HIDDEN, setting.model)
    setting.builder.set_dropout(0.3)

    def run(own):
        reset_random_seed(5)
        renew_cg()
        state = setting.builder.initial_state().add_input(dy.inputVector([1.0] * HIDDEN))
        for _ in range(3):
            output = state.output()
            state = state.add_input(output if own else dy.inputVector(output.value()))
        return state.output().value()

    wanted = run(False)
    assert all(run(own) == pytest.approx(wanted) for own in (True, True, True, False, False, False, True))


@compiled
@pytest.mark.parametrize("name", COMPUTED)
def test_weights_that_are_computed_in_each_graph_have_other_numbers(name):
    """What is known about a record depends on node numbers, which differ between these graphs."""
    setting = Setting(name)
    setting.builder.set_dropouts(0.5, 0.5)
    xs = setting.arrays(3)
    for before in (0, 0, 0, 5, 0, 5, 2, 5):
        renew_cg()
        for _ in range(before):
            dy.inputVector([9.0] * 4 * HIDDEN)
        states = setting.builder.initial_state().add_inputs([expression(x) for x in xs])
        for state, wanted in zip(states, setting.reference(xs, masks=masks_of(setting.builder)), strict=True):
            assert_state(state, wanted)


def given_masks(monkeypatch, masks):
    """Dropout that multiplies by the next of the given masks instead of drawing one. No step repeats another then."""
    left = iter(masks)
    monkeypatch.setattr(sequences, "HAS_TEMPLATES", False)
    monkeypatch.setattr(dropout, "dropout", lambda x, p: dy.cmult(x, expression(next(left))))


def test_gru_drops_inputs_and_output_at_each_step(monkeypatch):
    setting = Setting("GRUBuilder", 2)
    setting.builder.set_dropout(0.5)
    xs = setting.arrays(2)
    sizes = [INPUT, HIDDEN, HIDDEN] * 2  # at each step, the input of each layer and the output
    masks = [np.random.default_rng(k).choice([0.0, 2.0], (size, 1)) for k, size in enumerate(sizes)]
    given_masks(monkeypatch, masks)
    states = setting.builder.initial_state().add_inputs([expression(x) for x in xs])

    before = None
    for state, x, (first, second, last) in zip(states, xs, (masks[:3], masks[3:]), strict=True):
        layers = [{"x": first, "h": 1.0, "c": 1.0}, {"x": second, "h": 1.0, "c": 1.0}]
        (before,) = setting.reference([x], before, layers)
        assert_state(state, before)
        np.testing.assert_allclose(value_of(state.output()), last * before[-1][0], atol=1e-6)


@pytest.mark.few(each=3)
@pytest.mark.parametrize(("steps", "layers", "batch"), SIZES)
def test_gradients_of_gru(monkeypatch, steps, layers, batch):
    setting = Setting("GRUBuilder", layers)
    setting.builder.set_dropout(0.5)
    sizes = [INPUT, *[HIDDEN] * layers] * steps
    drawn = [np.random.default_rng(k).choice([0.0, 2.0], (size, batch)) for k, size in enumerate(sizes)]
    given_masks(monkeypatch, drawn)
    of_steps = [drawn[k : k + layers + 1] for k in range(0, len(drawn), layers + 1)]

    def reference(xs, start=None, masks=None, parameters=None):
        before, found = start, []
        for x, (*inner, last) in zip(xs, of_steps):
            layer_masks = [{"x": mask, "h": 1.0, "c": 1.0} for mask in inner]
            (before,) = Setting.reference(setting, [x], before, layer_masks, parameters)
            found.append([[last * before[-1][0]]])
        return found

    monkeypatch.setattr(setting, "reference", reference)
    check_gradients(
        setting,
        lambda inputs, start: setting.builder.initial_state().transduce(inputs),
        setting.arrays(steps, batch=batch),
        outputs,
    )


def test_both_directions():
    setting = Setting("VanillaLSTMBuilder")
    builder = rnn.BiRNNBuilder(2, INPUT, 2 * HIDDEN, setting.model, rnn.VanillaLSTMBuilder)
    inputs = [expression(x) for x in setting.arrays(3)]
    plain = [y.value() for y in builder.transduce(inputs)]
    builder.set_dropout(0.5)
    assert [y.value() for y in builder.transduce(inputs)] != plain
    builder.disable_dropout()
    assert [y.value() for y in builder.transduce(inputs)] == plain


def test_the_rate_of_states_has_two_names():
    """DyNet 2.1's `SimpleRNNBuilder` calls it d_h; other builders call it d_r."""
    for names in (("d", "d_h"), ("d", "d_r")):
        network = rnn.SimpleRNNBuilder(1, 2, 2, ParameterCollection())
        network.set_dropouts(**dict(zip(names, (0.25, 0.5))))
        assert network._rates == (0.25, 0.5)
