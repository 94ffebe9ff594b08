"""Planning of repeated columns: equal columns are computed once, and their gradients are summed first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import ACCUMULATE, COPY, SIZE, Planned, Table, add, copy, gradient_of, value_of, view

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.plan.repeats import LEAST_COLUMNS, LEAST_WORK_PER_COLUMN
from dynet_kernels.table import KERNELS

MANY = [0, 1, 2, 1, 0, 0, 2, 1, 0, 2]  # the operand that each node reads: seven of ten columns are repeated


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


def determined(table, work=LEAST_WORK_PER_COLUMN, **fields):
    """y = b + x, where b is a parameter and the view of x alone determines a column. The gradient of b is deferred."""
    return table.add(
        [view(at.SELF), view(0), view(1)],
        forward=[copy(value_of(0), value_of(2), work=work), add(value_of(0), value_of(1))],
        backward=[add(gradient_of(2), gradient_of(0), gradient_of=1)],
        deferred=[add(gradient_of(1), gradient_of(0), gradient_of=0)],
        repeated=[copy(0, 1), add(0, 1)],
        operands=2,
        determined_by=2,
        **fields,
    )


class Example:
    """y[k] = b + x[choices[k]] for every k, and the sum of all y. The x are trained parameters, or copies of them."""

    def __init__(self, planner, choices, work=LEAST_WORK_PER_COLUMN, copies=False, buckets=1 << 12, rounds=1):
        self.table = table = Table()
        node, total, same = determined(table, work), table.sum(), table.same()
        count = max(choices) + 1
        self.graph = graph = Planned(table, planner, rows=count + 1)
        graph["bucket_count"] = buckets
        b = graph.parameter(count, np.full(SIZE, 0.5, np.float32))
        xs = [graph.parameter(row, np.arange(SIZE, dtype=np.float32) + 10 * row) for row in range(count)]
        if copies:
            xs = [graph.record(same, x) for x in xs]
        self.xs, self.ys = xs, []
        for _ in range(rounds):
            ys = [graph.record(node, b, xs[choice]) for choice in choices]
            self.ys += ys
            xs = ys[: len(self.xs)]
        self.loss = self.ys[0]
        for y in self.ys[1:]:
            self.loss = graph.record(total, self.loss, y)
        self.count = count

    def counts(self, direction, opcodes=(COPY, ACCUMULATE)):
        return [(opcode, count) for opcode, count in self.graph.counts(direction) if opcode in opcodes]

    def gradients(self, everything=0):
        self.graph.backward(self.loss, everything, run=True)
        return [self.graph.parameter_gradient(row)[0] for row in range(self.count + 1)]


def test_equal_columns_are_computed_once(planner):
    example = Example(planner, MANY)
    assert example.graph.forward(run=True) == at.READY
    counts = example.graph.counts()
    assert counts[:3] == [(COPY, 3), (ACCUMULATE, 3), (COPY, 7)]
    for y, choice in zip(example.ys, MANY):
        assert example.graph.value(y) == [0.5 + k + 10 * choice for k in range(SIZE)]


@pytest.mark.parametrize("copies", [False, True], ids=["of parameters", "of nodes"])
def test_gradients_of_equal_columns_are_added_up_first(planner, copies):
    example = Example(planner, MANY, copies=copies)
    example.graph.forward(run=True)
    assert example.gradients() == [4, 3, 3, 10]
    backward = example.counts("backward")
    place = backward.index((COPY, 3))
    assert backward[place : place + 3] == [(COPY, 3), (ACCUMULATE, 7), (ACCUMULATE, 3)]
    assert backward[-1] == (ACCUMULATE, 3)  # the deferred step also reads the sums


def test_nodes_keep_their_own_gradients(planner):
    example = Example(planner, MANY)
    example.graph.forward(run=True)
    example.gradients()
    assert [example.graph.gradient(y) for y in example.ys] == [[1] * SIZE] * len(MANY)


@pytest.mark.parametrize(
    "change",
    [
        {"choices": MANY[: LEAST_COLUMNS - 1]},
        {"choices": [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]},
        {"work": LEAST_WORK_PER_COLUMN - 1},
        {"buckets": 2 * len(MANY) - 1},
    ],
    ids=["few columns", "few repeated columns", "little work", "no room"],
)
def test_all_columns_are_computed_where_nothing_is_to_be_gained(planner, change):
    settings = {"choices": MANY} | change
    choices = settings["choices"]
    example = Example(planner, **settings)
    example.graph.forward(run=True)
    assert example.graph.counts()[:2] == [(COPY, len(choices)), (ACCUMULATE, len(choices))]
    wanted = [choices.count(k) for k in range(max(choices) + 1)]
    assert example.gradients() == [*wanted, len(choices)]


def test_deferred_steps_of_several_groups_read_all_columns(planner):
    example = Example(planner, MANY, rounds=2)
    example.graph.forward(run=True)
    assert example.gradients()[-1] == 30  # ten of the second round, and twice ten of the first
    assert example.counts("backward")[-1] == (ACCUMULATE, 20)


def test_gradients_apart_are_not_mixed(planner):
    # With gradients of all nodes, the x have the same values but gradients of their own if they are aliases.
    table = Table()
    node, total, alias = determined(table), table.sum(), table.alias()
    graph = Planned(table, planner)
    graph["bucket_count"] = 1 << 10
    b, E = (graph.parameter(row, np.ones(SIZE, np.float32)) for row in range(2))
    xs = [graph.record(alias, E) for _ in range(10)]
    ys = [graph.record(node, b, x) for x in xs]
    loss = ys[0]
    for y in ys[1:]:
        loss = graph.record(total, loss, y)
    graph.forward(run=True)
    assert graph.counts()[:3] == [(COPY, 1), (ACCUMULATE, 1), (COPY, 9)]
    graph.backward(loss, 1, run=True)
    assert [graph.gradient(x) for x in xs] == [[1] * SIZE] * 10
    assert graph.parameter_gradient(1) == [10] * SIZE


def test_kept_plans_are_used_again(planner):
    example = Example(planner, MANY)
    for turn in (1, 2):
        example.graph.forward(run=True)
        assert example.gradients() == [4 * turn, 3 * turn, 3 * turn, 10 * turn]


def test_room_for_lists_and_instructions(planner):
    for name, rounds in (("index", 1), ("index", 2), ("tape", 1)):
        example = Example(planner, MANY, rounds=rounds)
        for direction in ("forward", "backward"):
            graph = example.graph
            usual = graph[f"{direction}_{name}_end"]
            graph[f"{direction}_{name}_end"] = 1
            plan = graph.forward if direction == "forward" else lambda: graph.backward(example.loss)  # noqa: B023
            assert plan() == at.TOO_SMALL
            needed = graph[f"needed_{name}"]
            graph[f"{direction}_{name}_end"] = needed
            assert plan() == at.READY
            used = graph["index_top"] if name == "index" else graph["tape_count"]
            assert used <= needed
            graph[f"{direction}_{name}_end"] = usual


@pytest.mark.parametrize("choices", [MANY, [*range(14), 3, 1]], ids=["many repeated", "few repeated"])
def test_room_for_a_single_node(planner, choices):
    """A node with a column for each operand has its steps once, plus the two repeated ones."""
    different, count = max(choices) + 1, len(choices)
    table = Table()
    node = table.add(
        [view(at.SELF, stride=SIZE), view(at.EACH, period=1)],
        forward=[copy(value_of(0), value_of(1), work=LEAST_WORK_PER_COLUMN)],
        backward=[add(gradient_of(1), gradient_of(0), gradient_of=at.EACH_OPERAND)],
        repeated=[copy(0, 1), add(0, 1)],
        operands=0,
        variadic=1,
        size=0,
        size_each=SIZE,
        columns=0,
        columns_each=1,
        waits_each=1,
        determined_by=1,
    )
    graph = Planned(table, planner, rows=different)
    graph["bucket_count"] = 1 << 10
    xs = [graph.parameter(row, np.full(SIZE, row + 1, np.float32)) for row in range(different)]
    loss = graph.record(node, *[xs[choice] for choice in choices], variadic=True)
    for direction, plan in (("forward", graph.forward), ("backward", lambda: graph.backward(loss, size=count * SIZE))):
        graph[f"{direction}_tape_end"] = 1
        assert plan() == at.TOO_SMALL
        for name, used in (("tape", "tape_count"), ("index", "index_top")):
            graph[f"{direction}_{name}_end"] = graph[f"needed_{name}"]
            assert plan() == at.READY
            assert graph[used] <= graph[f"{direction}_{name}_end"]
    graph.forward(run=True)
    assert graph.value(loss, count * SIZE) == [choice + 1 for choice in choices for _ in range(SIZE)]
    graph.backward(loss, size=count * SIZE, run=True)
    gradients = [graph.parameter_gradient(row)[0] for row in range(different)]
    assert gradients == [choices.count(row) for row in range(different)]


@settings(max_examples=60, deadline=None)
@given(choices=st.lists(st.integers(0, 12), min_size=1, max_size=40), copies=st.booleans(), rounds=st.integers(1, 3))
def test_any_choice_of_operands(planner, choices, copies, rounds):
    known = {value: place for place, value in enumerate(dict.fromkeys(choices))}
    choices = [known[choice] for choice in choices]
    results = []
    for buckets in (0, 1 << 12):  # without room for the search, all columns are computed
        example = Example(planner, choices, copies=copies, buckets=buckets, rounds=rounds)
        assert example.graph.forward(run=True) == at.READY
        values = [example.graph.value(y) for y in example.ys]
        results.append((values, example.gradients(), [example.graph.gradient(y) for y in example.ys]))
    assert results[0] == results[1]
