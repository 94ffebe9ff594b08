"""Networks over trees and graphs: `transduce` of builders and of users' cells, and messages along edges."""

import random
import sys
from typing import Any

import numpy as np
import pytest

import dynet as dy
from dynet_core import recorder
from dynet_core.graph import current

SIZE = 4


def random_heads(rng, count):
    """Heads of a forest, in a random order of its nodes."""
    order = rng.sample(range(count), count)
    heads = [-1] * count
    for place, node in enumerate(order):
        if place and rng.random() < 0.9:
            heads[node] = order[rng.randrange(place)]
    return heads


def children_of(heads):
    return [[node for node, head in enumerate(heads) if head == parent] for parent in range(len(heads))]


def random_graph(rng, count):
    """Children of each node of a graph without circles, some of them twice, in a random order of its nodes."""
    order = rng.sample(range(count), count)
    children = [[] for _ in range(count)]
    for place, node in enumerate(order):
        children[node] = [order[rng.randrange(place)] for _ in range(min(place, rng.randrange(4)))]
    return children


def by_recursion(cell, xs, children):
    states = {}

    def state_of(node):
        if node not in states:
            states[node] = cell(xs[node], [state_of(child) for child in children[node]])
        return states[node]

    return [state_of(node) for node in range(len(xs))]


class Model:
    """Cells with one and two values in a state, and with dropout and a parameter that may be frozen."""

    def __init__(self, seed):
        self.model = dy.ParameterCollection()
        self.W, self.V = [self.model.add_parameters((SIZE, SIZE)) for _ in range(2)]
        self.b, self.table = self.model.add_parameters(SIZE), self.model.add_lookup_parameters((20, SIZE))
        self.rng = random.Random(seed)
        self.rate = self.rng.choice([0.0, 0.0, 0.5])
        self.W.set_updated(self.rng.random() < 0.7)

    def sum(self, x, states):
        return dy.dropout(dy.tanh(dy.esum([self.b, *([] if x is None else [self.W * x]), *states])), self.rate)

    def gated(self, x, states):
        h = self.sum(x, [self.V * h for h, _ in states])
        return h, dy.esum([h, *[dy.cmult(dy.logistic(h), c) for _, c in states]])

    def inputs(self, count):
        return [None if self.rng.random() < 0.3 else self.table[self.rng.randrange(20)] for _ in range(count)]


def outputs_of(states):
    return [state[0] if isinstance(state, tuple) else state for state in states]


def trained(model, outputs):
    """Values of the outputs, and gradients of all parameters."""
    loss = dy.esum([dy.squared_norm(y) for y in outputs])
    values = [y.npvalue() for y in outputs]
    loss.backward()
    gradients = [p.grad_as_array() for p in [*model.parameters_list(), *model.lookup_parameters_list()]]
    for p in model.parameters_list():
        p.scale_gradient(0)
    for p in model.lookup_parameters_list():
        p.scale_gradient(0)
    return values + gradients


@pytest.mark.parametrize("seed", range(24))
def test_random_structures_of_users_cells(seed):
    model = Model(seed)
    body = model.sum if seed % 2 else model.gated
    decorated = dy.function(body) if seed % 3 else body
    for _ in range(4):
        count = model.rng.randrange(1, 30)
        if model.rng.random() < 0.5:
            heads = random_heads(model.rng, count)
            children = children_of(heads)
            given: dict[str, Any] = {"heads": np.array(heads) if model.rng.random() < 0.5 else heads}
        else:
            children = random_graph(model.rng, count)
            given = {"children": children}
        results = []
        for way in (0, 1):
            dy.renew_cg()
            dy.reset_random_seed(3)
            state = model.rng.getstate()
            xs = model.inputs(count)
            if way == 0:
                model.rng.setstate(state)  # the other way gets the same inputs
            states = by_recursion(body, xs, children) if way else dy.transduce(decorated, xs, **given)
            outputs = outputs_of(states)
            results.append([y.dim() for y in outputs] if model.rate else trained(model.model, outputs))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6) if not model.rate else None
        assert len(results[0]) == len(results[1])


@pytest.mark.parametrize("builder", [dy.ChildSumTreeLSTMBuilder, dy.NaryTreeLSTMBuilder])
@pytest.mark.parametrize("layers", [1, 2])
def test_builders_give_the_same_by_states_heads_and_children(builder, layers):
    rng, model = random.Random(layers), dy.ParameterCollection()
    lstm = builder(layers, SIZE, 3, model, *[30][: builder is dy.NaryTreeLSTMBuilder])
    table = model.add_lookup_parameters((20, SIZE))
    for count in (1, 7, 25):
        heads = random_heads(rng, count)
        words = [rng.randrange(20) for _ in range(count)]
        results = []
        for way in range(4):
            dy.renew_cg()
            start, xs = lstm.initial_state(), [table[word] for word in words]
            if way == 0:
                outputs = [state.output() for state in start.add_inputs(xs, heads)]
            elif way == 1:
                outputs = start.transduce(xs, heads=iter(heads))
            elif way == 2:
                outputs = start.transduce(xs, children=children_of(heads))
            else:
                outputs = [state.output() for state in by_recursion(start.add_input, xs, children_of(heads))]
            results.append(trained(model, outputs))
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dropout_of_a_builder_applies_to_its_outputs():
    lstm = dy.ChildSumTreeLSTMBuilder(1, SIZE, 50, dy.Model())
    lstm.set_dropout(0.5)
    outputs = lstm.initial_state().transduce([dy.inputVector([1] * SIZE) for _ in range(6)], [-1, 0, 0, 1, 1, 1])
    dropped = np.mean([y.npvalue() == 0 for y in outputs])
    assert 0.3 < dropped < 0.7


@pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the Python recorder runs functions undecorated")
def test_no_python_runs_for_a_node_of_a_known_kind():
    """The number of Python calls depends on the depth of the trees, not on the number of nodes."""
    model = Model(1)
    model.rate = 0.0
    cell = dy.function(model.gated)
    message = dy.function(lambda h, kind: model.W * h * kind)
    update = dy.function(lambda received, h: h if received is None else dy.tanh(received + h))

    def calls(count, run):
        dy.renew_cg()
        xs, total = [model.table[k % 20] for k in range(count)], 0

        def profile(frame, event, argument):
            nonlocal total
            total += event == "call"

        sys.setprofile(profile)
        try:
            run(xs)
        finally:
            sys.setprofile(None)
        return total

    def over_tree(xs):
        dy.transduce(cell, xs, heads=[(k - 1) // 2 for k in range(len(xs))])

    def over_graph(xs):
        count = len(xs)
        dy.pass_messages(xs, np.array([[k, (k * 7 + 1) % count, k % 3] for k in range(count)]), message, update)

    for run, per_doubling in ((over_tree, 40), (over_graph, 5)):
        for count in (63, 63, 127):
            calls(count, run)
        assert calls(127, run) - calls(63, run) <= per_doubling


@pytest.mark.parametrize("given", [
    ({"heads": [5, -1]}, "head 5 of node 0 is out of range: nodes are 0 to 1"),
    ({"heads": [-2, -1]}, "head -2 of node 0 is out of range"),
    ({"heads": [1, 0]}, "node 0 belongs to no tree"),
    ({"heads": [0, -1]}, "node 0 belongs to no tree"),
    ({"heads": [-1]}, "2 inputs, but 1 heads"),
    ({"children": [[1], [0]]}, "circle"),
    ({"children": [[2], []]}, "child 2 is out of range"),
    ({"children": [[1]]}, "2 inputs, but 1 lists of children"),
    ({}, "give either heads or children"),
    ({"heads": [-1, -1], "children": [[], []]}, "give either heads or children"),
    ({"heads": [0.5, -1]}, "must be a whole number, not 0.5"),
    ({"heads": ["a", -1]}, "must be an int, not str"),
])  # fmt: skip
def test_wrong_structures(given):
    arguments, message = given
    xs = [dy.inputVector([1] * SIZE) for _ in range(2)]
    start = dy.ChildSumTreeLSTMBuilder(1, SIZE, 3, dy.Model()).initial_state()
    for run in (start.transduce, start.add_inputs, lambda xs, **given: dy.transduce(lambda x, states: x, xs, **given)):
        count = current().node_count()
        with pytest.raises(dy.DynetError, match=message):
            run(xs, **arguments)
        assert current().node_count() == count


@pytest.mark.parametrize("seed", range(6))
def test_messages_along_edges(seed):
    rng, model = random.Random(seed), dy.ParameterCollection()
    A, W = model.add_parameters((3, SIZE, SIZE)), model.add_parameters((SIZE, SIZE))
    body = lambda h, kind=1: A[kind] * h  # noqa: E731
    update_body = lambda received, h: h if received is None else dy.tanh(received + W * h)  # noqa: E731
    message, update = (dy.function(body), dy.function(update_body)) if seed % 2 else (body, update_body)
    for count in (1, 6, 15):
        edges = [[rng.randrange(count), rng.randrange(count), rng.randrange(3)] for _ in range(rng.randrange(25))]
        edges = edges if seed % 3 else [edge[:2] for edge in edges]
        dy.renew_cg()
        arrays = [np.array([rng.random() for _ in range(SIZE)]) for _ in range(count)]
        aggregate, of_arrays = [(dy.esum, sum), (dy.average, lambda found: sum(found) / len(found))][seed % 2]
        found = dy.pass_messages(
            [*map(dy.inputVector, arrays)], np.array(edges).reshape(len(edges), -1) if seed > 3 and edges else edges,
            message, update, rounds=3, aggregate=aggregate,
        )  # fmt: skip
        for _ in range(3):
            received = [
                [A.as_array()[(*edge, 1)[2]] @ arrays[edge[0]] for edge in edges if edge[1] == node]
                for node in range(count)
            ]
            arrays = [np.tanh(of_arrays(some) + W.as_array() @ h) if some else h for some, h in zip(received, arrays)]
        for y, expected in zip(found, arrays, strict=True):
            np.testing.assert_allclose(y.npvalue(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "edges", [[(0, 5)], [(-1, 0)], [(0,)], [(0, 1), (0, 1, 2)], [(0, 1, 2, 3)], [(0.5, 1)], [("a", 1)]]
)
def test_wrong_edges(edges):
    xs = [dy.inputVector([1]) for _ in range(2)]
    with pytest.raises(dy.DynetError, match="pass_messages"):
        dy.pass_messages(xs, edges, lambda h, *kind: h, lambda received, h: h)
