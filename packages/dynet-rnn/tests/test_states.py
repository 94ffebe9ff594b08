"""Network states: continuing from one twice, setting vectors, reading values."""

import numpy as np
import pytest
from networks import (
    HIDDEN,
    INPUT,
    NETWORKS,
    Setting,
    as_state,
    assert_close,
    assert_state,
    expression,
    loss_of,
    value_of,
)

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import (
    ArgumentError,
    Model,
    NotFiniteError,
    ShapeError,
    StaleExpressionError,
    cg_checkpoint,
    cg_revert,
    cg_version,
    renew_cg,
)
from dynet_core.graph import current
from dynet_core.graph.nodes import decoded, record_of
from dynet_core.pictures import dot
from dynet_rnn.sequences import MOST_CACHED

every_network = pytest.mark.parametrize("name", NETWORKS)


@every_network
def test_before_the_first_input(name):
    state = Setting(name, 2).builder.initial_state()
    assert (state.h(), state.s(), state.output(), state.prev()) == ((), (), None, None)


def test_what_a_state_offers_is_documented():
    """Editors show these docstrings in completion."""
    state = Setting("VanillaLSTMBuilder").builder.initial_state()
    public = [name for name in dir(state) if not name.startswith("_")]
    assert public == ["add_input", "add_inputs", "b", "h", "output", "prev", "s", "set_h", "set_s", "transduce"]


@every_network
def test_a_state_is_extended_twice_from_the_same_point(name):
    """As in beam search and stack LSTMs; the state itself does not change."""
    setting = Setting(name, 2)
    a, b, c, d = setting.arrays(4)
    first = setting.builder.initial_state().add_input(expression(a))
    one, other = first.add_input(expression(b)), first.add_input(expression(c))
    third = one.prev().add_input(expression(d))
    for state, xs in ((first, [a]), (one, [a, b]), (other, [a, c]), (third, [a, d])):
        assert_state(state, setting.reference(xs)[-1])
    assert one.prev() is other.prev() is third.prev() is first


@every_network
def test_gradients_of_both_branches_meet(name):
    setting = Setting(name, 2)
    a, b, c = setting.arrays(3)
    parameters = setting.model.parameters_list()

    def gradients(losses):
        for parameter in parameters:
            parameter.scale_gradient(0)
        for loss in losses:
            loss().backward()
        return [p.grad_as_array() for p in parameters]

    def branch(x, number):
        renew_cg()
        state = setting.builder.initial_state().add_input(expression(a)).add_input(expression(x))
        return loss_of([state.output()]) * number

    def both():
        renew_cg()
        first = setting.builder.initial_state().add_input(expression(a))
        one, other = first.add_input(expression(b)), first.add_input(expression(c))
        return loss_of([one.output()]) + loss_of([other.output()]) * 2.0

    separately = gradients([lambda: branch(b, 1.0), lambda: branch(c, 2.0)])
    for one, wanted in zip(gradients([both]), separately, strict=True):
        assert_close(one, wanted)


@pytest.mark.parametrize("forget_bias", [0.5, 1.0])
def test_a_network_starts_at_more_nodes_than_it_remembers(forget_bias):
    builder = rnn.VanillaLSTMBuilder(1, INPUT, HIDDEN, Model(), forget_bias=forget_bias)
    found = []
    for count in range(MOST_CACHED + 4):
        renew_cg()
        inputs = [
            dy.inputVector([1.0] * INPUT) for _ in range(count + 1)
        ]  # what the builder computes from its bias follows these
        found.append(builder.initial_state().transduce(inputs[:2])[-1].npvalue())
    for y in found[2:]:
        np.testing.assert_array_equal(y, found[1])


@every_network
def test_a_sequence_is_evaluated_half_way_and_continued(name):
    setting = Setting(name, 2)
    xs = setting.arrays(5)
    expected = setting.reference(xs)
    state = setting.builder.initial_state()
    for x, wanted in zip(xs, expected):
        state = state.add_input(expression(x))
        state.output().value()  # computes the graph up to here
        assert_state(state, wanted)
    rest = setting.builder.initial_state().add_inputs([expression(x) for x in xs[:2]])[-1]
    rest.output().value()
    for y, wanted in zip(rest.transduce([expression(x) for x in xs[2:]]), expected[2:], strict=True):
        assert_close(value_of(y), wanted[-1][0])
    parameters = setting.model.parameters_list()
    loss_of([state.output()]).backward()
    half_way = [p.grad_as_array() for p in parameters]
    for parameter in parameters:
        parameter.scale_gradient(0)
    renew_cg()
    loss_of([setting.builder.initial_state().transduce([expression(x) for x in xs])[-1]]).backward()
    for p, wanted in zip(parameters, half_way, strict=True):
        assert_close(p.grad_as_array(), wanted)


@every_network
def test_recalculation_with_other_inputs(name):
    setting = Setting(name)
    one, other = setting.arrays(3), setting.arrays(3)
    inputs = [dy.vecInput(INPUT) for _ in one]
    for x, array in zip(inputs, one):
        x.set(array[:, 0])
    output = setting.builder.initial_state().transduce(inputs)[-1]
    assert_close(value_of(output), setting.reference(one)[-1][-1][0])
    for x, array in zip(inputs, other):
        x.set(array[:, 0])
    assert_close(output.npvalue(recalculate=True)[:, None], setting.reference(other)[-1][-1][0])


@pytest.mark.parametrize("sequence", [list, tuple, iter, lambda xs: reversed(xs[::-1]), lambda xs: (x for x in xs)])
@every_network
def test_any_iterable_is_read(name, sequence):
    setting = Setting(name, 2)
    xs = setting.arrays(3)
    inputs = [expression(x) for x in xs]
    expected = setting.reference(xs)
    outputs = setting.builder.initial_state().transduce(sequence(inputs))
    states = setting.builder.initial_state().add_inputs(sequence(inputs))
    for y, state, wanted in zip(outputs, states, expected, strict=True):
        assert_close(value_of(y), wanted[-1][0])
        assert_state(state, wanted)


@every_network
def test_an_empty_sequence_has_no_outputs(name):
    state = Setting(name).builder.initial_state()
    assert state.transduce([]) == state.add_inputs([]) == state.transduce(iter(())) == []


@every_network
def test_states_set_by_hand(name):
    """Any state can be set, not only the newest."""
    setting = Setting(name, 2)
    count = 2 * setting.values
    vectors, (a, b, c) = setting.arrays(count, HIDDEN), setting.arrays(3)
    given = [expression(v) for v in vectors]
    first, second = setting.builder.initial_state().add_inputs([expression(a), expression(b)])

    begun = setting.builder.initial_state(given)
    assert list(begun.s()) == given and begun.output() is given[-1] and begun.prev() is None
    whole = first.set_s(given)
    assert list(whole.s()) == given and whole.prev() is first
    for state in (begun, whole):
        assert_state(state.add_input(expression(c)), setting.reference([c], as_state(vectors, 2))[-1])

    expected = setting.reference([a])[-1]
    for layer, h in enumerate(vectors[:2]):
        expected[layer][0] = h
    changed = first.set_h(given[:2])
    assert list(changed.h()) == given[:2] and changed.prev() is first
    assert_state(changed, expected)
    assert_state(changed.add_input(expression(c)), setting.reference([c], expected)[-1])
    assert_state(second, setting.reference([a, b])[-1])  # unchanged


def test_cells_alone_can_be_set():
    """As in DyNet 2.1."""
    setting = Setting("VanillaLSTMBuilder", 2)
    (a, b), cells = setting.arrays(2), setting.arrays(2, HIDDEN)
    state = setting.builder.initial_state().add_input(expression(a))
    expected = setting.reference([a])[-1]
    for layer, c in enumerate(cells):
        expected[layer][1] = c
    changed = state.set_s([expression(c) for c in cells])
    assert_state(changed, expected)
    assert_state(changed.add_input(expression(b)), setting.reference([b], expected)[-1])


def test_what_there_never_was_is_zero():
    setting = Setting("VanillaLSTMBuilder")
    (x,), (h,) = setting.arrays(1), setting.arrays(1, HIDDEN)
    state = setting.builder.initial_state().set_h([expression(h)])
    assert_state(state.add_input(expression(x)), setting.reference([x], [[h, np.zeros_like(h)]])[-1])


@every_network
def test_vectors_of_a_batch_begin_a_sequence_of_single_inputs(name):
    setting = Setting(name, 2)
    vectors, xs = setting.arrays(2 * setting.values, HIDDEN, batch=4), setting.arrays(3)
    outputs = setting.builder.initial_state([expression(v) for v in vectors]).transduce([expression(x) for x in xs])
    for y, wanted in zip(outputs, setting.reference(xs, as_state(vectors, 2)), strict=True):
        assert_close(value_of(y), wanted[-1][0])


@every_network
def test_raw_vectors(name):
    setting = Setting(name)
    vectors, (x,) = setting.arrays(setting.values, HIDDEN), setting.arrays(1)
    state = setting.builder.initial_state_from_raw_vectors([v[:, 0] for v in vectors])
    assert_state(state.add_input(expression(x)), setting.reference([x], as_state(vectors, 1))[-1])
    assert setting.builder.initial_state_from_raw_vectors().s() == ()


@every_network
def test_inputs_that_are_parameters_or_columns(name):
    setting = Setting(name)
    (a,), (b,) = setting.arrays(1), setting.arrays(1)
    inputs = [setting.model.parameters_from_numpy(a[:, 0]), dy.inputTensor(b)]
    expected = setting.reference([a, b])
    states = setting.builder.initial_state().add_inputs(inputs)
    for y, state, wanted in zip(setting.builder.initial_state().transduce(inputs), states, expected, strict=True):
        assert_close(value_of(y), wanted[-1][0])
        assert_state(state, wanted)


def dims_of(expressions):
    return [e.dim()[0] for e in expressions]


@every_network
def test_trailing_ones_of_a_state_stay_where_it_is_carried_over(name):
    """The shape of the last value of the initial state decides: c or, without a cell, h."""
    setting = Setting(name, 2)
    vectors, xs = setting.arrays(2 * setting.values, HIDDEN), setting.arrays(2)
    given = [expression(v) for v in vectors]
    given[0], given[1] = dy.reshape(given[0], (HIDDEN, 1)), dy.reshape(given[1], (HIDDEN, 1, 1))
    wanted = [(HIDDEN,)] * 2 if name == "SimpleRNNBuilder" else [(HIDDEN, 1), (HIDDEN, 1, 1)]
    begun = setting.builder.initial_state(given)
    expected = setting.reference(xs, as_state(vectors, 2))
    states = begun.add_inputs([expression(x) for x in xs])
    for state, values in zip(states, expected, strict=True):
        assert dims_of(state.h()) == wanted
        assert dims_of(state.s()) == wanted * setting.values
        assert_state(state, values)
    outputs = begun.transduce([expression(x) for x in xs])
    assert dims_of(outputs) == dims_of(state.output() for state in states) == [wanted[-1]] * 2


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "VanillaLSTMBuilder, ln_lstm=True"])
def test_a_step_is_one_record_for_each_layer_and_so_is_a_sequence(name, layers):
    setting = Setting(name, layers)
    inputs = [expression(x) for x in setting.arrays(6)]
    start = setting.builder.initial_state()
    state = start.add_input(inputs[0])

    def recorded(function):
        before = len(list(decoded(current().records)))
        function()
        return len(list(decoded(current().records))) - before

    assert recorded(lambda: start.add_input(inputs[0])) == layers
    assert recorded(lambda: state.add_input(inputs[1])) == layers
    for count in (1, 2, 5):
        assert recorded(lambda count=count: start.transduce(inputs[:count])) == layers
        assert recorded(lambda count=count: state.transduce(inputs[:count])) == layers


@pytest.mark.parametrize("name", ["VanillaLSTMBuilder", "GRUBuilder"])
def test_steps_of_a_sequence_are_nodes_for_all_that_looks_at_graphs(name):
    """They are drawn, checked, reverted and differentiated like any other node."""
    setting = Setting(name)
    x = dy.inputVector([1, 2])
    ys = setting.builder.initial_state().transduce([x, x, x])
    dy.sum_elems(ys[1])
    (node,) = [node for node in decoded(current().records) if len(node.visible_nodes) > 1]
    assert list(node.visible_nodes) == [y.at for y in ys] and node.dim is ys[0].type
    assert [record_of(current().records, y.at) for y in ys] == [node] * 3
    drawn = dot(current(), expression_names={ys[1]: "second"})
    assert 'label="second {3}"' in drawn and drawn.count("->") == len(node.operands) + 1

    ys[1].value()
    dy.sum_elems(ys[1]).backward(full=True)
    assert ys[1].gradient().tolist() == [1, 1, 1] and ys[0].gradient().any() and not ys[2].gradient().any()

    renew_cg(check_validity=True)
    good = dy.inputVector([1, 2])
    ys = setting.builder.initial_state().transduce([good, good])
    assert np.isfinite(ys[-1].value()).all()
    for p in setting.model.parameters_list():
        p.set_value(np.full(p.shape(), np.nan))
    ys = setting.builder.initial_state().transduce([good, good])
    with pytest.raises(NotFiniteError, match=f"node {ys[0].at} of graph"):
        ys[-1].value()


def test_a_revert_takes_back_the_steps_of_a_sequence():
    setting = Setting("VanillaLSTMBuilder")
    x = dy.inputVector([1, 2])
    kept = setting.builder.initial_state().transduce([x, x])
    cg_checkpoint()
    gone = setting.builder.initial_state().transduce([x, x])
    wanted = [y.value() for y in gone]
    cg_revert()
    for y in gone:
        with pytest.raises(StaleExpressionError, match="cg_revert has removed"):
            y.value()
    again = setting.builder.initial_state().transduce([x, x])
    assert [y.value() for y in again] == [y.value() for y in kept] == wanted


def test_immediate_computation_of_sequences():
    setting = Setting("VanillaLSTMBuilder", 2)
    xs = setting.arrays(3)
    renew_cg(immediate_compute=True)
    states = setting.builder.initial_state().add_inputs([expression(x) for x in xs])
    ys = setting.builder.initial_state().transduce([expression(x) for x in xs])
    assert current().records.computed[0] == current().records.length
    for state, y, wanted in zip(states, ys, setting.reference(xs), strict=True):
        assert_state(state, wanted)
        assert_close(value_of(y), wanted[-1][0])


def test_a_new_graph_makes_states_stale():
    setting = Setting("VanillaLSTMBuilder")
    state = setting.builder.initial_state().add_input(dy.zeros((INPUT,)))
    x = dy.zeros((INPUT,))
    version = cg_version()
    renew_cg()
    for use in (
        lambda: state.add_input(dy.zeros((INPUT,))),
        lambda: state.add_input(x),
        lambda: state.transduce([dy.zeros((INPUT,))]),
        lambda: state.transduce([x]),
        lambda: setting.builder.initial_state().add_input(x),
        lambda: setting.builder.initial_state([state.output(), state.output()]),
    ):
        with pytest.raises(StaleExpressionError, match=f"graph {version}"):
            use()
    with pytest.raises(ArgumentError, match="initial_state"):
        fresh = rnn.VanillaLSTMBuilder(1, INPUT, HIDDEN, setting.model)
        fresh.get_parameter_expressions()


def test_stacked_states():
    one, other = Setting("VanillaLSTMBuilder"), Setting("GRUBuilder")
    reader = rnn.GRUBuilder(1, HIDDEN, HIDDEN, other.model)
    xs = [expression(x) for x in one.arrays(3)]
    below = one.builder.initial_state().transduce(xs)
    expected = reader.initial_state().transduce(below)
    stacked = rnn.StackedRNNState([one.builder.initial_state(), reader.initial_state()])
    states = stacked.add_inputs(xs)
    for y, state, x, wanted in zip(stacked.transduce(xs), states, below, expected, strict=True):
        assert y.value() == state.output().value() == wanted.value()
        assert [h[-1].value() for h in state.h()] == [x.value(), wanted.value()]
        assert [len(s) for s in state.s()] == [2, 1]
    assert states[1].prev() is states[0] and states[0].prev() is stacked and stacked.prev() is None


@pytest.mark.parametrize("make", [lambda m: rnn.VanillaLSTMBuilder(1, 3, 4, m, forget_bias=2.0),
                                  lambda m: rnn.SparseLSTMBuilder(1, 3, 4, m)])  # fmt: skip
def test_what_a_builder_computes_from_its_parameters_outlives_a_revert(make):
    renew_cg()
    builder = make(Model())
    x = dy.inputVector([1.0, 2.0, 3.0])
    cg_checkpoint()
    first = builder.initial_state().add_input(x).output().npvalue()
    cg_revert()
    np.testing.assert_array_equal(builder.initial_state().add_input(x).output().npvalue(), first)


def test_a_state_of_cells_alone_has_outputs_of_zeros():
    renew_cg()
    network = rnn.VanillaLSTMBuilder(1, 2, 3, Model())
    c = dy.inputVector([1.0, 2.0, 3.0])
    alone = network.initial_state([c]).add_input(dy.inputVector([1.0, 2.0])).output().value()
    both = network.initial_state([c, dy.zeros((3,))]).add_input(dy.inputVector([1.0, 2.0])).output().value()
    assert alone == both


@pytest.mark.parametrize("size", [2, 4])
def test_vectors_of_another_size_are_refused(size):
    renew_cg()
    network = rnn.VanillaLSTMBuilder(1, 2, 3, Model())
    with pytest.raises(ShapeError, match="initial_state"):
        network.initial_state([dy.zeros((size,)), dy.zeros((size,))])
