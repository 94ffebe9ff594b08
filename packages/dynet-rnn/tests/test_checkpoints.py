"""Network states survive checkpoints and reverts, unless their own nodes are reverted."""

import copy
import pickle

import pytest
from networks import HIDDEN, INPUT, NETWORKS, Setting

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import Model, StaleExpressionError, cg_checkpoint, cg_revert, renew_cg

every_network = pytest.mark.parametrize("name", NETWORKS)
TREES = [rnn.ChildSumTreeLSTMBuilder, rnn.NaryTreeLSTMBuilder]


def nothing():
    pass


def look_ahead(state, x):
    """Try a step from a state, and revert it."""
    cg_checkpoint()
    found = state.add_input(x)
    found.output().value()
    found.s()
    cg_revert()
    return found


@every_network
@pytest.mark.parametrize("layers", [1, 2])
def test_looking_ahead_at_each_step_changes_nothing(name, layers):
    def outputs(try_out):
        setting = Setting(name, layers)
        state, found = setting.builder.initial_state(), []
        for array in setting.arrays(4):
            x = dy.inputVector(array[:, 0])
            if try_out:
                look_ahead(state, x)
            state = state.add_input(x)
            if try_out:
                look_ahead(state, x)
                look_ahead(state, x)
            found.append([v.value() for v in (*state.h(), *state.s())])
        loss = dy.sum_elems(dy.esum([*state.s(), state.prev().output()]))
        loss.backward()
        return found, loss.value(), [p.grad_as_array().tolist() for p in setting.model.parameters_list()]

    assert outputs(True) == outputs(False)


@every_network
def test_a_sequence_from_a_state_that_is_older_than_the_revert(name):
    setting = Setting(name, 2)
    xs = [dy.inputVector(array[:, 0]) for array in setting.arrays(3)]
    start = setting.builder.initial_state()
    state = start.add_input(xs[0])
    wanted = [[y.value() for y in s.transduce(xs)] for s in (start, state)]
    for _ in range(2):
        cg_checkpoint()
        assert [[y.value() for y in s.transduce(xs)] for s in (start, state)] == wanted
        cg_revert()
    assert [[y.value() for y in s.transduce(xs)] for s in (start, state)] == wanted


@every_network
@pytest.mark.parametrize("read", ["before", "inside"])
def test_vectors_of_a_state_are_there_after_a_revert(name, read):
    setting = Setting(name)
    state = setting.builder.initial_state().add_input(dy.inputVector([1.0, 2.0]))
    wanted = [v.value() for v in state.s()] if read == "before" else None
    cg_checkpoint()
    wanted = wanted or [v.value() for v in state.s()]
    cg_revert()
    assert [v.value() for v in state.s()] == wanted


@every_network
def test_a_state_whose_nodes_were_taken_back_is_refused(name):
    setting = Setting(name)
    x = dy.inputVector([1.0, 2.0])
    state = setting.builder.initial_state().add_input(x)
    vector = dy.ones(HIDDEN)
    cg_checkpoint()
    gone = [
        state.add_input(x),
        state.set_h([vector * 2.0]),
        setting.builder.initial_state([dy.ones(HIDDEN)] * len(state.s())),
    ]
    cg_revert()
    dy.tanh(dy.concatenate([vector] * 3)).value()  # takes the numbers of the removed nodes
    for each in gone:
        for use in (lambda s: s.add_input(x), lambda s: s.transduce([x]), lambda s: s.h()[0].value()):
            with pytest.raises(StaleExpressionError):
                use(each)
    kept = state.set_h([vector])
    assert kept.add_input(x).output().value() == state.set_h([vector]).add_input(x).output().value()


def test_masks_that_were_taken_back_are_drawn_again():
    setting = Setting("VanillaLSTMBuilder")
    setting.builder.set_dropout(0.5)
    x, start = dy.inputVector([1.0, 2.0]), setting.builder.initial_state()
    look_ahead(start, x)
    state = start.add_input(x)
    look_ahead(state, x)
    assert len(state.add_input(x).output().value()) == HIDDEN


def test_masks_are_the_same_at_all_steps_whatever_was_taken_back():
    setting = Setting("VanillaLSTMBuilder")
    builder, x = setting.builder, dy.inputVector([1.0, 2.0])
    builder.set_dropout(0.5)
    state = builder.initial_state().add_input(x)
    masks = builder._run.steps.masks
    cg_checkpoint()
    builder.set_dropout_masks()
    assert builder._run.steps.masks is not masks
    state.add_input(x).output().value()
    cg_revert()
    look_ahead(state, x)
    assert builder._run.steps.masks is masks
    builder.set_dropout_masks(3)
    assert state.add_input(x).output().dim() == ((HIDDEN,), 3)
    assert len(builder.get_parameter_expressions()) == 1


@pytest.mark.parametrize("kind", TREES)
def test_trees_outlive_a_revert(kind):
    renew_cg()
    builder = kind(2, INPUT, HIDDEN, Model())
    x, start = dy.inputVector([1.0, 2.0]), builder.initial_state()

    def tree(between):
        between()
        leaf = start.add_input(x)
        between()
        node = start.add_input(x, [leaf])
        between()
        children = [None, node] if kind is rnn.NaryTreeLSTMBuilder else [leaf, node]
        root = start.add_input(None, children)
        between()
        return [v.value() for v in (*leaf.s(), *root.s(), *root.h())]

    def revert_something():
        cg_checkpoint()
        children = [start.add_input(x), None] if kind is rnn.NaryTreeLSTMBuilder else [start.add_input(x)]
        gone.append(start.add_input(x, children))
        gone[-1].s()
        cg_revert()

    gone = []
    assert tree(revert_something) == tree(nothing)
    for each in gone:
        for use in (lambda s: s.h(), lambda s: s.s(), lambda s: start.add_input(x, [s])):
            with pytest.raises(StaleExpressionError):
                use(each)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda builder: pickle.loads(pickle.dumps(builder))])
@pytest.mark.parametrize("name", [*NETWORKS, *TREES, "BiRNNBuilder"])
def test_a_builder_that_was_used_can_be_copied(name, copied):
    def outputs(builder):
        renew_cg()
        xs = [dy.inputVector([1.0, 2.0]), dy.inputVector([3.0, 4.0])]
        read = builder.transduce if name == "BiRNNBuilder" else builder.initial_state().transduce
        return [y.value() for y in (read(xs, [1, -1]) if name in TREES else read(xs))]

    if name == "BiRNNBuilder":
        builder = rnn.BiRNNBuilder(1, INPUT, 4, Model(), rnn.GRUBuilder)
    elif name in TREES:
        builder = name(1, INPUT, HIDDEN, Model())
    else:
        builder = Setting(name).builder
    wanted = outputs(builder)
    other = copied(builder)
    assert outputs(other) == outputs(builder) == wanted


def test_a_builder_of_an_earlier_version_loads():
    """Its pickle names modules that were merged since, and has tables of recorded steps."""
    builder = Setting("VanillaLSTMBuilder").builder
    other = pickle.loads(pickle.dumps(builder, 0).replace(b"dynet_rnn.builders\n", b"dynet_rnn.lstm\n"))
    other.__setstate__({**vars(other), "_latest": pickle.loads(b"cdynet_rnn.recording\nSteps\n.")})
    other.set_dropout(0.5)
    assert other.initial_state().add_input(dy.inputVector([1.0, 2.0])).output().dim() == ((HIDDEN,), 1)
