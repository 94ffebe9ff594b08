"""Networks over trees: values and gradients against float64 numpy, for nodes with 0 to 7 children."""

import itertools

import numpy as np
import pytest
from networks import assert_close, assert_gradients, differences, expression, loss_of, loss_of_arrays, value_of

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    ParameterCollection,
    ShapeError,
    StaleExpressionError,
    recorder,
    renew_cg,
)
from dynet_core.graph import current
from dynet_core.graph.nodes import decoded
from dynet_kernels.layout import CONTEXT
from dynet_rnn import tree

INPUT, HIDDEN, MOST = 2, 3, 7


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def child_sum(parameters, x, children):
    W, U, Uf, b = parameters
    i, o, u, f = np.split(b[:, None] + W @ x, 4)
    total = sum([h for h, _ in children], np.zeros((HIDDEN, 1)))
    i, o, u = [gate + part for gate, part in zip((i, o, u), np.split(U @ total, 3))]
    c = sigmoid(i) * np.tanh(u)
    for h_child, c_child in children:
        c = c + sigmoid(f + Uf @ h_child) * c_child
    return sigmoid(o) * np.tanh(c), c


def nary(parameters, x, children):
    W, *U, b = parameters
    z = b[:, None] + W @ x
    for weights, (h, _) in zip(U, children):
        z = z + weights @ h
    i, o, u, *f = np.split(z, 3 + len(U))
    c = sigmoid(i) * np.tanh(u)
    for gate, (_, c_child) in zip(f, children):
        c = c + sigmoid(gate) * c_child
    return sigmoid(o) * np.tanh(c), c


NETWORKS = {
    "child-sum": (lambda layers, m: rnn.ChildSumTreeLSTMBuilder(layers, INPUT, HIDDEN, m), child_sum),
    "n-ary": (lambda layers, m: rnn.NaryTreeLSTMBuilder(layers, INPUT, HIDDEN, m, MOST), nary),
}
every_network = pytest.mark.parametrize("name", NETWORKS)

# Each node is a list of its children's numbers, which are lower than its own; None is an absent child.
TREES = {
    "a leaf": [[]],
    "a chain": [[], [0], [1], [2]],
    **{f"{count} children": [*[[]] * count, list(range(count))] for count in range(1, 8)},
    "nodes of all sizes": [[], [], [0, 1], [2], [], [], [], [3, 4, 5, 6], [], [7, 8]],
    "shared subtrees": [[], [], [0, 1], [0, 2], [2, 3, 2], [4, 4]],
    "two trees": [[], [0], [], [], [2, 3]],
    "a child twice": [[], [0, 0]],
}
GAPS = [[], [], [None, 0], [2, None, 1], [None], [None, 3, None, 4]]


class Setting:
    def __init__(self, name, layers=1, seed=0):
        renew_cg()
        make, self.step = NETWORKS[name]
        self.layers, self.random, self.model = layers, np.random.default_rng(seed), ParameterCollection()
        self.builder = make(layers, self.model)
        for p in self.model.parameters_list():
            p.set_value(self.random.uniform(-1, 1, p.shape()))

    def inputs(self, tree, batches):
        """An array for each node; batch sizes cycle through `batches`, where 0 means no batch."""
        sizes = [batches[node % len(batches)] for node in range(len(tree))]
        return [self.random.uniform(-1, 1, (INPUT, n)).astype(np.float32) if n else None for n in sizes]

    def states(self, tree, xs):
        start, found = self.builder.initial_state(), []
        for x, children in zip(xs, tree):
            found.append(start.add_input(x, [None if k is None else found[k] for k in children]))
        return found

    def reference(self, tree, xs, parameters=None):
        """found[node][layer] is (h, c)."""
        layers = parameters or [[p.as_array().astype(float) for p in layer] for layer in self.builder.get_parameters()]
        nothing, found = (np.zeros((HIDDEN, 1)),) * 2, []
        for x, children in zip(xs, tree):
            x, after = np.zeros((INPUT, 1)) if x is None else x, []
            for k, layer in enumerate(layers):
                after.append(self.step(layer, x, [nothing if n is None else found[n][k] for n in children]))
                x = after[-1][0]
            found.append(after)
        return found

    def check_values(self, tree, xs):
        states = self.states(tree, [None if x is None else expression(x) for x in xs])
        for state, wanted in zip(states, self.reference(tree, xs), strict=True):
            vectors = [value_of(v) for v in state.s()]
            for k, (h, c) in enumerate(wanted):
                assert_close(vectors[k], c)
                assert_close(vectors[self.layers + k], h)
                assert_close(value_of(state.h()[k]), h)
            assert value_of(state.output()).tolist() == vectors[-1].tolist()

    def check_gradients(self, tree, xs):
        given = [None if x is None else dy.inputTensor(x, batched=True) for x in xs]
        states = self.states(tree, given)
        read = [*[state.output() for state in states], *states[-1].s()]
        loss_of(read).backward(full=True)
        actual = [p.grad_as_array() for layer in self.builder.get_parameters() for p in layer]
        actual += [x.gradient() for x in given if x is not None]
        layers = [[p.as_array().astype(float) for p in layer] for layer in self.builder.get_parameters()]
        exact = [None if x is None else x.astype(float) for x in xs]

        def loss():
            found = self.reference(tree, exact, layers)
            arrays = [*[node[-1][0] for node in found], *[c for _, c in found[-1]], *[h for h, _ in found[-1]]]
            return loss_of_arrays(arrays)

        changed = [p for layer in layers for p in layer] + [x for x in exact if x is not None]
        assert_gradients(actual, differences(loss, changed))


@pytest.mark.few(each=5)
@every_network
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    ("tree", "layers"), [*[(tree, 1) for tree in TREES], *[(tree, 3) for tree in ("a leaf", "a chain", "two trees")]]
)
def test_values_and_gradients(name, tree, layers, batch):
    setting = Setting(name, layers)
    xs = setting.inputs(TREES[tree], [batch])
    setting.check_values(TREES[tree], xs)
    setting.check_gradients(TREES[tree], xs)


@pytest.mark.few(each=7)
@every_network
@pytest.mark.parametrize("tree", ["a leaf", "nodes of all sizes", "shared subtrees"])
@pytest.mark.parametrize("batches", [(0,), (1, 0, 0), (0, 4), (0, 1), (4, 0, 1)])
def test_nodes_without_an_input_and_batches_of_one(name, tree, batches):
    setting = Setting(name, 2)
    xs = setting.inputs(TREES[tree], batches)
    setting.check_values(TREES[tree], xs)
    setting.check_gradients(TREES[tree], xs)


@pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the recorder in Python has no templates")
@every_network
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shape", ["nodes of all sizes", "a child twice"])
@pytest.mark.parametrize("batches", [(1,), (0, 1), (4, 0, 1)])
def test_python_records_the_first_nodes_of_a_kind_only(monkeypatch, name, layers, shape, batches):
    """Also with absent children, and with varying batch sizes."""
    setting = Setting(name, layers)
    forest = [*TREES[shape], *([None, 0], [0, None, 1]) * (name == "n-ary" and len(TREES[shape]) > 2)]
    xs = setting.inputs(forest, batches)
    inputs = [None if x is None else expression(x) for x in xs]
    first = setting.states(forest, inputs)
    for _ in range(4):
        setting.states(forest, inputs)
    monkeypatch.setattr(tree, "common_batch", None)
    for state, same in zip(setting.states(forest, inputs), first, strict=True):
        for h, expected in zip(state.h(), same.h(), strict=True):
            assert_close(value_of(h), value_of(expected))
    setting.check_values(forest, xs)


@every_network
def test_a_leaf_computes_no_forget_gates(name):
    setting = Setting(name)
    W, *_, b = setting.builder.get_parameters()[0]
    for p in (W, b):
        p.set_value(np.where(np.arange(len(p.as_array())) < 3 * HIDDEN, p.as_array().T, np.nan).T)
    leaf = setting.builder.initial_state().add_input(dy.inputVector([1, 2]))
    dy.sum_elems(leaf.output()).backward()
    assert np.isfinite(leaf.output().npvalue()).all()
    for p in (W, b):
        assert p.grad_as_array()[: 3 * HIDDEN].all() and not p.grad_as_array()[3 * HIDDEN :].any()


@pytest.mark.parametrize("kind", [rnn.ChildSumTreeLSTMBuilder, rnn.NaryTreeLSTMBuilder])
@pytest.mark.parametrize(("hidden", "size", "columns"), [(70, 30, 5), (128, 128, 64), (37, 300, 200)])
def test_leaves_are_what_operations_compute(kind, hidden, size, columns):
    """At sizes for which a kernel copies parts of a matrix but reads only its first rows."""
    renew_cg()
    random, model = np.random.default_rng(0), ParameterCollection()
    builder = kind(1, size, hidden, model)
    W, *_, b = builder.get_parameters()[0]
    b.set_value(random.uniform(-1, 1, b.shape()))
    x = dy.inputTensor(random.uniform(-1, 1, (size, columns)), batched=True)
    z = dy.affine_transform([b, W, x])
    i, o, u = [dy.pick_range(z, k * hidden, (k + 1) * hidden) for k in range(3)]
    same = dy.cmult(dy.logistic(o), dy.tanh(dy.cmult(dy.logistic(i), dy.tanh(u))))
    found = []
    for h in (same, builder.initial_state().add_input(x).output()):
        for p in (W, b):
            p.scale_gradient(0)
        dy.sum_batches(dy.squared_norm(h)).backward(full=True)
        found.append([h.npvalue(), W.grad_as_array(), b.grad_as_array(), x.gradient()])
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@every_network
@pytest.mark.parametrize("shape", ["a leaf", "nodes of all sizes"])
def test_dropout_of_inputs_and_outputs(name, shape):
    """Every node has its own masks, also when compiled code records it."""
    setting = Setting(name)
    setting.builder.set_dropout(0.5)
    xs = setting.inputs(TREES[shape], [1])
    [parameters] = [[p.as_array().astype(float) for p in layer] for layer in setting.builder.get_parameters()]
    masks = set()
    for _ in range(20):
        states = setting.states(TREES[shape], [expression(x) for x in xs])
        vectors = [[value_of(v) for v in state.s()[::-1]] for state in states]
        for x, children, state, (h, _) in zip(xs, TREES[shape], states, vectors, strict=True):
            below = [vectors[k] for k in children]
            for mask in itertools.product((0, 2), repeat=INPUT):
                if np.allclose(setting.step(parameters, np.array([mask]).T * x, below)[0], h, atol=1e-5):
                    masks.add((id(x), mask))
            kept = value_of(state.output()) / h
            assert np.isin(kept.round(5), (0, 2)).all()
            masks.add((id(x), *kept.ravel().round().tolist()))
    assert len(masks) > 8
    assert "dropout 0.5" in repr(setting.builder)
    setting.builder.disable_dropout()
    setting.check_values(TREES[shape], xs)
    with pytest.raises(ArgumentError, match="set_dropout: p must be in"):
        setting.builder.set_dropout(1)


@pytest.mark.few(each=2)
@pytest.mark.parametrize("batch", [1, 4])
def test_children_that_are_not_there(batch):
    setting = Setting("n-ary", 2)
    xs = setting.inputs(GAPS, [batch, 0])
    setting.check_values(GAPS, xs)
    setting.check_gradients(GAPS, xs)


@every_network
def test_large(name):
    """Sizes that combine whole vectors, remainders and several columns."""
    global HIDDEN, INPUT
    small = HIDDEN, INPUT
    HIDDEN, INPUT = 37, 21
    try:
        setting = Setting(name)
        setting.check_values(TREES["nodes of all sizes"], setting.inputs(TREES["nodes of all sizes"], [3]))
    finally:
        HIDDEN, INPUT = small


@every_network
def test_a_node_is_one_record_for_each_layer(name):
    setting = Setting(name, 2)
    start = setting.builder.initial_state()
    xs = [expression(x) for x in setting.inputs([[]] * 3, [1])]
    children = [start.add_input(x) for x in xs]
    before = len(list(decoded(current().records)))
    start.add_input(xs[0], children)
    start.add_input(xs[0])
    assert len(list(decoded(current().records))) == before + 4


@every_network
def test_nodes_of_one_height_run_together(name):
    """However many children they have: the tape does not grow with the number of trees."""
    setting = Setting(name)

    def instructions(trees):
        renew_cg()
        start = setting.builder.initial_state()
        for number in range(trees):
            leaves = [start.add_input(dy.inputVector([number, 1])) for _ in range(1 + number % 2)]
            start.add_input(dy.inputVector([1, number]), leaves)
        current()._compute()
        return current().engine.slots[CONTEXT.tape_count]

    assert instructions(40) <= instructions(2)


@every_network
def test_trees_given_by_heads(name):
    setting = Setting(name, 2)
    tree, heads = [[], [], [0, 1], [], [2, 3]], [2, 2, 4, 4, -1]
    xs = setting.inputs(tree, [1])
    inputs = [expression(x) for x in xs]
    wanted = [value_of(state.output()) for state in setting.states(tree, inputs)]
    start = setting.builder.initial_state()
    for y, expected in zip(start.transduce(iter(inputs), np.array(heads)), wanted, strict=True):
        assert_close(value_of(y), expected)
    states = start.add_inputs(inputs, heads)
    assert states[4].children() == (states[2], states[3])
    assert start.transduce([], []) == []


@every_network
def test_one_state_after_another_is_a_chain(name):
    setting = Setting(name)
    tree = [[], [0], [1]]
    xs = setting.inputs(tree, [1])
    state = setting.builder.initial_state()
    assert state.output() is None and state.h() == () and state.s() == () and state.b() is setting.builder
    for x in xs:
        state = state.add_input(expression(x))
    assert_close(value_of(state.output()), setting.reference(tree, xs)[-1][-1][0])


@every_network
def test_a_tree_built_half_way_and_continued(name):
    setting = Setting(name)
    tree = TREES["nodes of all sizes"]
    xs = setting.inputs(tree, [1])
    start, found = setting.builder.initial_state(), []
    for x, children in zip(xs, tree):
        found.append(start.add_input(expression(x), [found[k] for k in children]))
        found[-1].output().value()
    for state, wanted in zip(found, setting.reference(tree, xs), strict=True):
        assert_close(value_of(state.output()), wanted[-1][0])


@every_network
def test_a_long_chain(name):
    """Neither recording nor `transduce` recurses once per level."""
    setting = Setting(name)
    count = 3000
    xs = [dy.inputVector([0.1, 0.2])] * count
    outputs = setting.builder.initial_state().transduce(xs, [*range(1, count), -1])
    loss = dy.sum_elems(outputs[-1])
    assert np.isfinite(loss.value())
    loss.backward()


@every_network
def test_update_false_leaves_the_parameters_alone(name):
    setting = Setting(name)
    x = setting.model.add_parameters(INPUT)
    start = setting.builder.initial_state(update=False)
    dy.sum_elems(start.add_input(x, [start.add_input(x)]).output()).backward()
    assert not any(p.grad_as_array().any() for layer in setting.builder.get_parameters() for p in layer)
    assert x.grad_as_array().any()


@every_network
def test_parameters_and_copies(name):
    setting = Setting(name, 2)
    builder = setting.builder
    gates = 4 if name == "child-sum" else 3 + MOST
    recurrent = [(9, 3), (3, 3)] if name == "child-sum" else [(30, 3)] * MOST
    first, second = builder.get_parameters()
    assert [p.shape() for p in first] == [(gates * 3, 2), *recurrent, (gates * 3,)]
    assert [p.shape() for p in second] == [(gates * 3, 3), *recurrent, (gates * 3,)]
    with pytest.raises(ValueError, match="initial_state"):
        builder.get_parameter_expressions()
    builder.initial_state()
    for layer, parameters in zip(builder.get_parameter_expressions(), builder.get_parameters(), strict=True):
        assert [e.npvalue().tolist() for e in layer] == [p.as_array().tolist() for p in parameters]
    again = type(builder).from_spec(builder.spec, ParameterCollection())
    assert again.spec == builder.spec
    assert [p.shape() for p in again.param_collection().parameters_list()] == [
        p.shape() for p in builder.param_collection().parameters_list()
    ]


@every_network
def test_refused(name):
    setting = Setting(name)
    other = NETWORKS[name][0](1, ParameterCollection())
    start, x = setting.builder.initial_state(), dy.inputVector([1, 2])
    leaf, batched = start.add_input(x), dy.inputTensor(np.ones((2, 3)), batched=True)
    pair = dy.inputTensor(np.ones((2, 2)), batched=True)
    count = current().records.length
    for error, match, call in [
        (ShapeError, r"the input is \(3,\)", lambda: start.add_input(dy.ones((3,)))),
        (ArgumentTypeError, "expected an Expression, got list", lambda: start.add_input([1, 2])),
        (ArgumentTypeError, "child 1 must be a TreeState, not int", lambda: start.add_input(x, [leaf, 3])),
        (ArgumentError, "child 0 is the initial state", lambda: start.add_input(x, [start])),
        (ArgumentError, "child 0 is of a different", lambda: start.add_input(x, [other.initial_state().add_input(x)])),
        (ShapeError, "batch sizes differ", lambda: start.add_input(pair, [start.add_input(batched)])),
        (ArgumentError, "2 inputs, but 1 heads", lambda: start.add_inputs([x, x], [1])),
        (ArgumentError, "head 2 of node 0 is out of range", lambda: start.add_inputs([x, x], [2, -1])),
        (ArgumentError, "head -2", lambda: start.add_inputs([x, x], [-2, -1])),
        (ArgumentError, "node 0 belongs to no tree", lambda: start.add_inputs([x, x, x], [1, 0, -1])),
        (ArgumentError, "node 1 belongs to no tree", lambda: start.add_inputs([x, x], [-1, 1])),
        (ArgumentTypeError, "not None", lambda: start.add_inputs([x, x], [None, 0])),
        (ArgumentError, "not 0.5", lambda: start.add_inputs([x, x], [-1, 0.5])),
    ]:
        with pytest.raises(error, match=match):
            call()
    assert leaf.output().npvalue().shape == (3,)
    assert current().records.length >= count
    renew_cg()
    for call in (lambda: start.add_input(dy.inputVector([1, 2])), lambda: leaf.output().value()):
        with pytest.raises(StaleExpressionError):
            call()


def test_number_of_children():
    setting = Setting("n-ary")
    start = setting.builder.initial_state()
    leaf = start.add_input(dy.inputVector([1, 2]))
    count = current().records.length
    with pytest.raises(ArgumentError, match="8 children, but the network has weights for 7"):
        start.add_input(None, [leaf] * 8)
    assert current().records.length == count
    with pytest.raises(ArgumentTypeError, match="child 0 must be a TreeState, not NoneType"):
        Setting("child-sum").builder.initial_state().add_input(None, [None])
    with pytest.raises(ArgumentError):
        rnn.NaryTreeLSTMBuilder(1, 2, 3, ParameterCollection(), 0)
