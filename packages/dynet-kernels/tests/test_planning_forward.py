"""Forward planning: batching, stages, memory, aliases, reused plans, and reverted graphs."""

import numpy as np
import pytest
from planning import ACCUMULATE, COPY, SIZE, Planned, Step, Table, add, copy, gradient_of, value_of, view

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.table import KERNELS

LINE = at.CACHE_LINE


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


def chains(planner, lengths, **sizes):
    """Graphs of chains y = x, one chain per length, and the last node of each."""
    table = Table()
    x, same = table.input(), table.same()
    graph, ends = Planned(table, planner, **sizes), []
    for length in lengths:
        node = graph.input(x, *range(SIZE))
        for _ in range(length):
            node = graph.record(same, node)
        ends.append(node)
    return graph, ends


def test_nodes_of_one_signature_and_depth_are_one_instruction(planner):
    graph, _ = chains(planner, [3, 1, 2])
    assert graph.forward() == at.READY
    assert graph.counts() == [(COPY, 3), (COPY, 2), (COPY, 1)]


def test_lists_of_addresses_say_where_columns_are(planner):
    graph, ends = chains(planner, [1, 1])
    graph.forward()
    (row,) = graph.tape()
    inputs = [end - 1 for end in ends]
    assert row.lists[value_of(0)] == [graph.node(end, "value") for end in ends]
    assert row.lists[value_of(1)] == [graph.node(node, "value") for node in inputs]
    assert row.lists[gradient_of(0)] == row.lists[gradient_of(1)] == [0, 0]  # not written


def test_signatures_are_told_apart(planner):
    table = Table()
    x, one, other = table.input(), table.same(), table.same()
    graph = Planned(table, planner)
    node = graph.input(x, *range(SIZE))
    for signature in (one, other, one):
        graph.record(signature, node)
    graph.forward()
    assert sorted(graph.counts()) == [(COPY, 1), (COPY, 2)]


def test_each_step_of_a_signature_is_an_instruction_for_all_nodes(planner):
    table = Table()
    x, total = table.input(), table.sum()
    graph = Planned(table, planner)
    nodes = [graph.input(x, *range(SIZE)) for _ in range(3)]
    for first, second in zip(nodes, nodes[1:]):
        graph.record(total, first, second)
    graph.forward()
    assert graph.counts() == [(COPY, 2), (ACCUMULATE, 2)]


def test_a_stage_runs_when_all_before_it_is_done(planner):
    """Nodes that follow each node of a chain, but feed no chain, are one instruction at the end."""
    table = Table()
    x, step, out = table.input(), table.same(), table.same()
    graph = Planned(table, planner)
    node, outputs = graph.input(x, *range(SIZE)), []
    for _ in range(4):
        node = graph.record(step, node)
        outputs.append(graph.record(out, node))
    graph.forward()
    assert graph.counts() == [(COPY, 1)] * 4 + [(COPY, 4)]
    assert {graph.node(node, "depth") for node in outputs} == {1}
    assert len({graph.node(node, "stage") for node in outputs}) == 1


def test_signatures_that_follow_on_each_other_share_a_stage(planner):
    table = Table()
    x, one, other, apart = table.input(), table.same(), table.same(), table.same()
    graph = Planned(table, planner)
    node = graph.input(x, *range(SIZE))
    a = graph.record(one, node)
    b = graph.record(other, a)
    c = graph.record(one, b)
    d = graph.record(apart, node)
    graph.forward()
    stages = [graph.node(node, "stage") for node in (a, b, c, d)]
    assert stages[0] == stages[1] == stages[2] != stages[3]
    assert [graph.node(node, "depth") for node in (a, b, c)] == [1, 2, 3]


@pytest.mark.parametrize("count", [at.MOST_NUMBERED - 2, at.MOST_NUMBERED + 3])
def test_more_signatures_than_have_stages(planner, count):
    table = Table()
    x, signatures = table.input(), [table.same() for _ in range(count)]
    graph = Planned(table, planner, floats=1 << 14, room=1 << 14)
    node = graph.input(x, *range(SIZE))
    for signature in signatures:
        node = graph.record(signature, node)
    graph.record(signatures[0], 0)
    assert graph.forward(run=True) == at.READY
    assert graph.counts() == [(COPY, 2)] + [(COPY, 1)] * (count - 1)
    assert graph.value(node) == list(range(SIZE))


def test_values_that_run_together_stand_together_and_none_overlap(planner):
    random = np.random.default_rng(1)
    table = Table()
    sizes = (1, LINE, LINE + 1, 3 * LINE)
    x, signatures = table.input(3 * LINE), [table.same(size) for size in sizes]
    graph = Planned(table, planner, floats=1 << 16, room=1 << 14)
    nodes = [graph.input(x, *range(3 * LINE))]
    size_of = {}
    for _ in range(200):
        which = random.integers(len(sizes))
        nodes.append(graph.record(signatures[which], nodes[random.integers(len(nodes))]))
        size_of[nodes[-1]] = sizes[which]
    graph.forward()
    places = sorted((graph.node(node, "value"), size) for node, size in size_of.items())
    assert all(start % LINE == 0 for start, _ in places)
    ends = [start + at.aligned(size) for start, size in places]
    assert [start for start, _ in places[1:]] == ends[:-1]
    assert places[0][0] == graph.arena + at.aligned(3 * LINE)
    assert graph["arena_top"] == ends[-1] <= graph["arena_end"]
    for row in graph.tape():
        values = row.lists[value_of(0)]
        assert len({b - a for a, b in zip(values, values[1:])}) <= 1


def test_too_little_room_is_told_and_nothing_is_run(planner):
    floats = 4 * LINE  # an input and three nodes
    graph, _ = chains(planner, [3], floats=floats)
    assert graph.forward() == at.READY
    assert graph["arena_top"] == graph["arena_end"]
    graph, _ = chains(planner, [3], floats=floats - 1)
    assert graph.forward(run=True) == at.TOO_SMALL
    assert graph["needed_floats"] == floats
    assert graph["arena_top"] == graph.arena and np.isnan(graph.memory).all()


@pytest.mark.parametrize(("name", "needed"), [("index", 12), ("tape", 3)])
def test_room_for_lists_and_instructions(planner, name, needed):
    for room, status in ((needed, at.READY), (needed - 1, at.TOO_SMALL)):
        graph, _ = chains(planner, [3])
        graph[f"forward_{name}_end"] = room
        assert graph.forward() == status
        assert status == at.READY or graph[f"needed_{name}"] == needed


def test_an_alias_stands_in_its_operand_and_has_no_instruction(planner):
    table = Table()
    x, same = table.input(3 * LINE), table.same(LINE)
    part, by_number = table.alias(alias_offset=5), table.alias(alias_offset=1, alias_scale=7, attributes=1)
    graph = Planned(table, planner)
    node = graph.input(x, *range(3 * LINE))
    first = graph.record(part, node)
    second = graph.record(by_number, first, 2)
    last = graph.record(same, second)
    assert graph.forward(run=True) == at.READY
    assert graph.node(first, "value") == graph.node(node, "value") + 5
    assert graph.node(second, "value") == graph.node(first, "value") + 1 + 2 * 7
    assert graph.counts() == [(COPY, 1)]
    assert graph.value(last, LINE) == list(range(20, 20 + LINE))


def test_parameters_are_read_where_they_are(planner):
    table = Table()
    same, part = table.same(), table.alias(alias_offset=2)
    graph = Planned(table, planner)
    operand = graph.parameter(1, np.arange(8, dtype=np.float32))
    whole, alias = graph.record(same, operand), graph.record(part, operand)
    copied = graph.record(same, alias)
    graph.forward(run=True)
    assert graph.counts() == [(COPY, 2)]
    assert graph.value(whole) == [0, 1, 2, 3] and graph.value(copied) == [2, 3, 4, 5]


COLUMNS = [
    # a view's fields, and the operand elements at which the two columns begin
    ({"stride": 3}, [0, 3]),
    ({"offset": 1, "stride": 3}, [1, 4]),
    ({"period": 1, "outer": 5}, [0, 5]),
    ({"period": 2, "stride": 4, "outer": 9}, [0, 4]),
    ({"index": 0, "index_step": 1, "scale": 2}, [4, 2]),
    ({"index": 1, "scale": 2, "stride": 1}, [2, 3]),
]


@pytest.mark.parametrize(("fields", "expected"), COLUMNS)
def test_columns_of_a_view(planner, fields, expected):
    table = Table()
    x = table.input(LINE)
    signature = table.add(
        [view(at.SELF, stride=1), view(0, **fields)],
        forward=[copy(value_of(0), value_of(1), 1)],
        size=2,
        columns=2,
        attributes=2,
    )
    graph = Planned(table, planner)
    node = graph.input(x, *range(LINE))
    last = graph.record(signature, node, 2, 1)
    graph.forward(run=True)
    assert graph.value(last, 2) == expected
    assert graph.tape()[0].lists[value_of(1)] == [graph.node(node, "value") + number for number in expected]


def test_operands_that_share_a_view(planner):
    """y is the sum of any number of nodes: each node is a column, and for each of them y is a column."""
    table = Table()
    x = table.input()
    total = table.add(
        [view(at.SELF), view(0), view(at.EACH, period=1)],
        forward=[add(value_of(0), value_of(2))],
        operands=0,
        variadic=1,
        columns=0,
        columns_each=1,
    )
    graph = Planned(table, planner)
    nodes = [graph.input(x, *[k] * SIZE) for k in range(3)]
    graph.record(total, *nodes, variadic=True)
    graph.record(total, *nodes[:2], variadic=True)
    graph.forward()
    (row,) = graph.tape(views=3)
    values = [graph.node(node, "value") for node in nodes]
    assert row.lists[value_of(2)] == [*values, *values[:2]]
    assert row.count == 5


def test_a_plan_is_kept_for_the_same_records(planner):
    graph, (end, _) = chains(planner, [3, 1])
    graph.forward(run=True)
    plan, tape = graph["plan"], graph.tape()
    graph.inputs[:SIZE] = [7] * SIZE
    assert graph.forward(run=True) == at.READY
    assert graph["plan"] == plan and graph.tape() == tape
    assert graph.value(end) == [7] * SIZE
    graph.records[-1] = end
    graph.forward()
    assert graph["plan"] == plan + 1


@pytest.mark.parametrize("change", ["fewer inputs", "another place", "more records"])
def test_a_plan_is_not_kept_for_others(planner, change):
    graph, (end, _) = chains(planner, [3, 1])
    graph.forward()
    plan = graph["plan"]
    if change == "fewer inputs":
        graph.inputs = graph.inputs[:-1]
    elif change == "another place":
        graph.arena += LINE
    else:
        graph.record(graph.records[-2], end)
    graph.forward()
    assert graph["plan"] == plan + 1


def test_a_graph_that_grows_and_is_cut_back(planner):
    graph, (end,) = chains(planner, [2])
    same = graph.records[-2]
    graph.forward(run=True)
    planned, kept = len(graph.records), (graph.count, [graph.node(k, "value") for k in range(graph.count)])
    for turn in range(3):
        inputs = len(graph.inputs)
        added = graph.input(graph.records[0], *[turn] * SIZE)
        first = graph.record(same, end)
        last = graph.record(same, added)
        top = graph["arena_top"]
        assert graph.forward(planned, inputs, run=True) == at.READY
        assert graph["node_count"] == graph.count == kept[0] + 3
        assert graph.counts() == [(COPY, 2)]
        assert graph.value(first) == list(range(SIZE)) and graph.value(last) == [turn] * SIZE
        assert graph.node(first, "value") >= top and kept[1] == [graph.node(k, "value") for k in range(kept[0])]
        del graph.records[planned:], graph.inputs[inputs:]
        graph.count = kept[0]
    graph.forward()
    assert graph["node_count"] == kept[0]


def test_a_record_of_parts_is_several_nodes(planner):
    """A projection of all inputs, then one step per input that adds its share of it to the previous step."""
    table = Table()
    x = table.input()
    projection = table.add(
        [view(at.SELF, stride=SIZE), view(at.EACH, period=1)],
        forward=[copy(value_of(0), value_of(1))],
        operands=1, variadic=1, size=0, size_each=SIZE, columns=0, columns_each=1, waits_count=0, waits_each=1,
    )  # fmt: skip
    share = view(at.FIRST, scale=SIZE)
    steps = [copy(value_of(0), value_of(1)), add(value_of(0), value_of(2))]
    first = table.add([view(at.SELF), share, view(0)], forward=steps, waits_count=1)
    later = table.add([view(at.SELF), share, view(at.BEFORE)], forward=steps, waits_count=0)
    whole = table.add(operands=1, variadic=1, parts=[projection, first, later], last_part_repeats=1)
    graph = Planned(table, planner)
    start = graph.input(x, *[100] * SIZE)
    nodes = [graph.input(x, *[k] * SIZE) for k in (1, 2, 3)]
    last = graph.record(whole, start, *nodes, variadic=True, parts=4)
    assert graph.forward(run=True) == at.READY
    assert graph["node_count"] == 8
    assert [graph.value(last - k)[0] for k in (2, 1, 0)] == [101, 103, 106]
    assert graph.counts() == [(COPY, 3)] + [(COPY, 1), (ACCUMULATE, 1)] * 3
    assert {graph.node(last - k, "first_part") for k in range(4)} == {last - 3}


def test_only_lists_that_steps_read_are_written(planner):
    table = Table()
    parameter = Step(value_of(0), value_of(1), SIZE, COPY)
    signature = table.add(
        [view(at.SELF, lists=1), view(0, lists=4)],  # all values of view 0, the first value of view 1
        forward=[parameter],
    )
    graph = Planned(table, planner)
    operand = graph.parameter(0, np.arange(SIZE, dtype=np.float32))
    for _ in range(3):
        graph.record(signature, operand)
    graph.forward()
    (row,) = graph.tape()
    address = graph.parameters[0, at.PARAMETER.value]
    assert row.lists[value_of(1)] == [address, 0, 0]
    assert row.lists[value_of(0)] == [graph.node(k, "value") for k in range(3)]
