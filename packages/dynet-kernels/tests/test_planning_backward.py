"""Backward planning: which steps run, where gradients are stored, and their values."""

import numpy as np
import pytest
from planning import ACCUMULATE, SIZE, Planned, Table, add, copy, gradient_of, value_of, view

from dynet_kernels import layout as at
from dynet_kernels.machine import library, sharing
from dynet_kernels.table import KERNELS

LINE = at.CACHE_LINE
WHOLE = {"covers": SIZE}
ALIASED = {"covers": SIZE, "copies": 1}


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


def trained(graph, row=0, size=SIZE):
    return graph.parameter(row, np.ones(size, np.float32))


def chain(planner, length, known, **sizes):
    """y = x of a parameter, repeated."""
    table = Table()
    same = table.same(**known)
    graph = Planned(table, planner, **sizes)
    node = trained(graph)
    for _ in range(length):
        node = graph.record(same, node)
    graph.forward(run=True)
    return graph, node


def opcodes(graph):
    return [row.opcode for row in graph.tape("backward")]


def test_gradients_are_cleared_where_steps_add(planner):
    graph, loss = chain(planner, 3, {})
    assert graph.backward(loss, run=True) == at.READY
    # the loss is cleared and filled; two operands are cleared and added to; and the parameter is added to
    assert opcodes(graph) == [at.CLEAR, at.FILL, at.CLEAR, ACCUMULATE, at.CLEAR, ACCUMULATE, ACCUMULATE]
    assert graph.parameter_gradient(0) == [1] * SIZE


def test_the_first_step_overwrites_what_it_covers(planner):
    graph, loss = chain(planner, 3, WHOLE)
    graph.backward(loss, run=True)
    assert opcodes(graph) == [at.CLEAR, at.FILL] + [ACCUMULATE] * 3
    assert [row.fresh for row in graph.tape("backward")] == [0, 0, 1, 1, 0]
    assert graph.parameter_gradient(0) == [1] * SIZE


def test_kernels_that_can_only_add_overwrite_nothing(planner):
    graph, loss = chain(planner, 3, ALIASED)
    graph["never_fresh"] = 1
    graph.backward(loss, run=True)
    assert opcodes(graph).count(at.CLEAR) == 3
    assert not any(row.fresh for row in graph.tape("backward"))
    assert graph.parameter_gradient(0) == [1] * SIZE


@pytest.mark.parametrize("count", [1, 2, 20])
def test_there_is_room_to_clear_gradients_to_which_no_step_adds(planner, count):
    """As where y does not depend on an operand: its gradient is zero, and its own steps run nevertheless."""
    table = Table()
    y_of_first = table.add(
        [view(at.SELF), view(0), view(1)],
        forward=[copy(value_of(0), value_of(1))],
        backward=[add(gradient_of(1), gradient_of(0), gradient_of=0)],
        operands=2,
    )
    graph, number = Planned(table, planner), table.input()
    loss = first = graph.input(number, *range(SIZE))
    seconds = [graph.record(table.same(), graph.input(number, *range(SIZE))) for _ in range(count)]
    for second in seconds:
        loss = graph.record(y_of_first, loss, second)
    graph.forward(run=True)
    assert graph.backward(loss, everything=1, run=True) == at.READY
    assert graph["tape_count"] <= graph["needed_tape"] and graph["index_top"] <= graph["needed_index"]
    assert graph.gradient(first) == [1] * SIZE
    assert [graph.gradient(second) for second in seconds] == [[0] * SIZE] * count


def test_copied_gradients_are_aliases(planner):
    graph, loss = chain(planner, 3, ALIASED)
    graph.backward(loss, run=True)
    assert opcodes(graph) == [at.CLEAR, at.FILL, ACCUMULATE]
    assert len({graph.node(node, "gradient") for node in range(3)}) == 1
    assert graph.parameter_gradient(0) == [1] * SIZE


def shared_operand(planner, known):
    """(x + x) of a node x, which is a parameter."""
    table = Table()
    same, total = table.same(**known), table.sum(**known)
    graph = Planned(table, planner)
    x = graph.record(same, trained(graph))
    loss = graph.record(total, x, x)
    graph.forward(run=True)
    return graph, x, loss


@pytest.mark.parametrize("known", [{}, WHOLE, ALIASED])
def test_an_operand_that_is_used_twice(planner, known):
    graph, x, loss = shared_operand(planner, known)
    graph.backward(loss, run=True)
    assert graph.node(x, "gradient") != graph.node(loss, "gradient")
    assert graph.parameter_gradient(0) == [2] * SIZE
    assert [row.fresh for row in graph.tape("backward")][-3:] == ([0, 0, 0] if not known else [1, 0, 0])


def test_nodes_of_a_group_with_the_same_operand(planner):
    """Two nodes of one instruction add to the same operand, so the first cannot overwrite it."""
    table = Table()
    same, total = table.same(**WHOLE), table.sum(**WHOLE)
    x_same = table.same(**WHOLE)
    graph = Planned(table, planner)
    x = graph.record(x_same, trained(graph))
    one, other = graph.record(same, x), graph.record(same, x)
    loss = graph.record(total, one, other)
    graph.forward(run=True)
    graph.backward(loss, run=True)
    two = next(row for row in graph.tape("backward") if row.count == 2)
    assert two.fresh == 0 and graph.parameter_gradient(0) == [2] * SIZE


def test_a_group_of_which_one_operand_has_a_gradient(planner):
    """One operand already has a gradient, so the step adds to both. The other operand's gradient is cleared first."""
    table = Table()
    start, same, later, total = (getattr(table, name)(**WHOLE) for name in ("same", "same", "same", "sum"))
    graph = Planned(table, planner)
    xs = [graph.record(start, trained(graph, row)) for row in range(2)]
    one, other = (graph.record(same, x) for x in xs)
    loss = graph.record(total, graph.record(total, one, other), graph.record(later, xs[1]))
    graph.forward(run=True)
    graph.backward(loss, run=True)
    (row,) = [
        row
        for row in graph.tape("backward")
        if row.count == 2 and row.lists[gradient_of(1)] == [graph.node(x, "gradient") for x in xs]
    ]
    assert not row.fresh
    assert graph.parameter_gradient(0) == [1] * SIZE and graph.parameter_gradient(1) == [2] * SIZE
    assert len({graph.node(node, "gradient") for node in range(loss + 1)}) == loss + 1
    assert graph["gradient_top"] - graph["gradient_start"] == (loss + 1) * LINE


@pytest.mark.parametrize("distinct", [True, False])
def test_threads_share_what_is_distinct(planner, distinct):
    table = Table()
    known = {"shared": at.IF_DISTINCT, "work": 1}
    same, total, start = table.same(**known), table.sum(), table.same()
    graph = Planned(table, planner)
    xs = [graph.record(start, trained(graph, row)) for row in range(2)]
    nodes = [graph.record(same, xs[k if distinct else 0]) for k in range(2)]
    loss = graph.record(total, *nodes)
    with sharing.using(2, 1, 1 << 40):
        graph.forward()
        graph.backward(loss)
    (row,) = [
        row
        for row in graph.tape("backward")
        if row.count == 2 and row.lists[gradient_of(1)][0] == graph.node(xs[0], "gradient")
    ][:1]
    assert row.shared == (at.BY_COLUMNS if distinct else at.ALONE)


def test_what_no_trained_parameter_needs_is_left_out(planner):
    table = Table()
    same, total = table.same(), table.sum()
    graph = Planned(table, planner)
    frozen = graph.record(same, graph.parameter(0, np.ones(SIZE, np.float32), needs_gradient=False))
    loss = graph.record(total, frozen, trained(graph, 1))
    graph.forward(run=True)
    graph.backward(loss, run=True)
    assert opcodes(graph) == [at.CLEAR, at.FILL, ACCUMULATE]
    assert graph.parameter_gradient(0) == [0] * SIZE and graph.parameter_gradient(1) == [1] * SIZE
    assert not graph.has(frozen, at.HAS_GRADIENT)
    graph.backward(loss, everything=1, run=True)
    assert graph.has(frozen, at.HAS_GRADIENT) and graph.gradient(frozen) == [1] * SIZE
    assert graph.parameter_gradient(0) == [0] * SIZE


def test_what_passes_no_gradient_on(planner):
    table = Table()
    same = table.same()
    barrier = table.add([view(at.SELF), view(0)], forward=[copy(value_of(0), value_of(1))], passes=0)
    graph = Planned(table, planner)
    node = graph.record(same, trained(graph))
    loss = graph.record(same, graph.record(barrier, node))
    graph.forward(run=True)
    graph.backward(loss, run=True)
    assert graph.parameter_gradient(0) == [0] * SIZE
    assert not graph.has(node, at.HAS_GRADIENT)


def test_what_comes_after_the_loss_is_left_out(planner):
    graph, _ = chain(planner, 3, WHOLE)
    graph.backward(1, run=True)
    assert opcodes(graph) == [at.CLEAR, at.FILL] + [ACCUMULATE] * 2
    assert not graph.has(2, at.HAS_GRADIENT)


def test_deferred_steps_are_one_instruction_at_the_end(planner):
    """They run for all nodes of a signature, at any depth."""
    table = Table()
    step = table.add(
        [view(at.SELF), view(0), view(1)],
        forward=[copy(value_of(0), value_of(1)), add(value_of(0), value_of(2))],
        backward=[add(gradient_of(1), gradient_of(0), gradient_of=0, **WHOLE)],
        deferred=[add(gradient_of(2), gradient_of(0), gradient_of=1)],
        operands=2,
    )
    graph = Planned(table, planner)
    node, shared = trained(graph, 0), trained(graph, 1)
    for _ in range(4):
        node = graph.record(step, node, shared)
    graph.forward(run=True)
    graph.backward(node, run=True)
    rows = graph.tape("backward", views=3)
    assert [row.count for row in rows if row.opcode == ACCUMULATE] == [1] * 4 + [4]
    assert set(rows[-1].lists[gradient_of(2)]) == {graph.parameters[1, at.PARAMETER.gradient]}
    assert graph.parameter_gradient(0) == [1] * SIZE and graph.parameter_gradient(1) == [4] * SIZE


@pytest.mark.parametrize("everything", [0, 1])
@pytest.mark.parametrize("kind", [at.ALIAS, at.APART])
def test_gradients_of_aliases(planner, kind, everything):
    """An alias adds to its operand's gradient, unless it has its own."""
    table = Table()
    same = table.same(LINE, covers=LINE)
    small = table.same()
    part = table.alias(kind=kind, alias_offset=2)
    graph = Planned(table, planner)
    whole = graph.record(same, trained(graph, size=LINE))
    alias = graph.record(part, whole)
    loss = graph.record(small, alias)
    graph.forward(run=True)
    assert graph.backward(loss, everything, run=True) == at.READY
    expected = [0, 0, *[1] * SIZE, *[0] * (LINE - 2 - SIZE)]
    assert graph.gradient(whole, LINE) == expected == graph.parameter_gradient(0)
    own = kind == at.APART or everything
    assert (graph.node(alias, "gradient") == graph.node(whole, "gradient") + 2) != own


def test_too_little_room_for_gradients(planner):
    for floats, status in ((3 * LINE, at.READY), (3 * LINE - 1, at.TOO_SMALL)):
        graph, loss = chain(planner, 3, WHOLE, gradients=floats)
        assert graph.backward(loss, run=True) == status
        assert status == at.READY or graph["needed_floats"] == 3 * LINE
        assert graph.parameter_gradient(0) == [float(status == at.READY)] * SIZE


@pytest.mark.parametrize("name", ["index", "tape"])
def test_room_for_lists_and_instructions(planner, name):
    graph, loss = chain(planner, 3, {})
    graph[f"backward_{name}_end"] = 1
    assert graph.backward(loss, run=True) == at.TOO_SMALL
    needed = graph[f"needed_{name}"]
    graph[f"backward_{name}_end"] = needed
    assert graph.backward(loss, run=True) == at.READY
    assert graph["index_top" if name == "index" else "tape_count"] <= needed
    assert graph.parameter_gradient(0) == [1] * SIZE


def test_a_plan_is_kept_for_the_same_loss(planner):
    graph, loss = chain(planner, 3, WHOLE)
    graph.backward(loss, run=True)
    tape = graph.tape("backward")
    graph.buffers["nodes"][loss * len(at.NODE) + at.NODE.stage] = 99  # would be found again by a new plan
    graph.backward(loss, run=True)
    assert graph.tape("backward") == tape and graph["backward_plan"] == graph["plan"]
    assert graph.parameter_gradient(0) == [2] * SIZE
    graph.buffers["nodes"][loss * len(at.NODE) + at.NODE.stage] = graph.node(loss - 1, "stage")
    graph.backward(loss - 1, run=True)
    assert graph["backward_loss"] == loss - 1
    assert graph.parameter_gradient(0) == [3] * SIZE


def test_rows_of_lookup_tables_are_noted(planner):
    rows = 5
    table = Table()
    lookup = table.add(
        [view(at.SELF), view(0, index=0, scale=SIZE)],
        forward=[copy(value_of(0), value_of(1))],
        backward=[add(gradient_of(1), gradient_of(0), gradient_of=0)],
        attributes=1,
    )
    total = table.sum(**WHOLE)
    graph = Planned(table, planner)
    operand = graph.parameter(0, np.arange(rows * SIZE, dtype=np.float32))
    touched = np.zeros(2 + 2 * rows, np.int64)
    graph.parameters[0, at.PARAMETER.touched], graph.parameters[0, at.PARAMETER.rows] = touched.ctypes.data, rows
    node = graph.record(lookup, operand, 3)
    for row in (1, 3):
        node = graph.record(total, node, graph.record(lookup, operand, row))
    graph.forward(run=True)
    assert graph.value(node) == [28 + 3 * k for k in range(SIZE)]
    for times in (1, 2):
        graph.backward(node, run=True)
        assert graph["backward_plan"] == graph["plan"]  # but the rows are noted each time
        assert touched[0] == 2 and sorted(touched[1:3]) == [1, 3]
        assert touched[1 + rows : 1 + 2 * rows].tolist() == [0, 1, 0, 1, 0]
        assert graph.parameter_gradient(0)[::SIZE] == [0, times, 0, 2 * times, 0]
        touched[:] = 0


@pytest.mark.parametrize("last", [True, False])
def test_gradients_that_parts_set(planner, last):
    """Each later part sets its share of the gradient of the first part; if a part does not run, its share is 0."""
    table = Table()
    x = table.same()
    projection = table.add(
        [view(at.SELF, stride=SIZE), view(at.EACH, period=1)],
        forward=[copy(value_of(0), value_of(1))],
        backward=[add(gradient_of(1), gradient_of(0), gradient_of=at.EACH_OPERAND)],
        operands=1, variadic=1, size=0, size_each=SIZE, columns=0, columns_each=1, waits_count=0, waits_each=1,
    )  # fmt: skip
    share = view(at.FIRST, scale=SIZE)
    forward = [copy(value_of(0), value_of(1)), add(value_of(0), value_of(2))]

    def backward(operand):
        return [copy(gradient_of(1), gradient_of(0)), add(gradient_of(2), gradient_of(0), gradient_of=operand)]

    first = table.add([view(at.SELF), share, view(0)], forward, backward(0), waits_count=1)
    later = table.add([view(at.SELF), share, view(at.BEFORE)], forward, backward(at.BEFORE_OPERAND), waits_count=0)
    whole = table.add(operands=1, variadic=1, parts=[projection, first, later], last_part_repeats=1)
    graph = Planned(table, planner)
    nodes = [graph.record(x, trained(graph, row)) for row in range(4)]
    end = graph.record(whole, *nodes, variadic=True, parts=4)
    graph.forward(run=True)
    graph.backward(end if last else end - 1, run=True)
    assert [graph.parameter_gradient(row)[0] for row in range(4)] == [1, 1, 1, float(last)]


@pytest.mark.parametrize("known", [{}, WHOLE, ALIASED])
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(planner, known, seed):
    """Values and gradients equal those computed node by node."""
    random = np.random.default_rng(seed)
    table = Table()
    same, total, doubled = table.same(**known), table.sum(**known), table.sum(**known)
    part, x = table.alias(), table.input()
    graph = Planned(table, planner, floats=1 << 16, gradients=1 << 16)
    operands: dict[int, list[int]] = {}
    values: dict[int, np.ndarray] = {}
    for row in range(2):
        values[-1 - row] = random.integers(-3, 4, SIZE).astype(np.float32)
        graph.parameter(row, values[-1 - row])
    numbers = random.integers(-3, 4, SIZE).astype(np.float32)
    values[graph.input(x, *numbers)] = numbers
    for _ in range(60):
        earlier = [*values]
        kind = [same, total, doubled, part][random.integers(4)]
        chosen = [
            earlier[-1 - min(random.geometric(0.3) - 1, len(earlier) - 1)]
            for _ in range(1 + (kind in (total, doubled)))
        ]
        node = graph.record(kind, *chosen)
        operands[node], values[node] = chosen, sum(values[k] for k in chosen)
    assert graph.forward(run=True) == at.READY
    for node, value in values.items():
        assert node < 0 or graph.value(node) == value.tolist()
    loss = max(operands)
    gradients = dict.fromkeys(values, 0.0) | {loss: 1.0}
    for node in range(loss, 0, -1):
        for operand in operands.get(node, ()):
            gradients[operand] += gradients[node]
    for everything in (0, 1):
        before = [np.array(graph.parameter_gradient(row)) for row in range(2)]
        assert graph.backward(loss, everything, run=True) == at.READY
        for row in range(2):
            assert (np.array(graph.parameter_gradient(row)) - before[row]).tolist() == [gradients[-1 - row]] * SIZE
        for node in operands:
            if everything and graph.has(node, at.HAS_GRADIENT):
                assert graph.gradient(node) == [gradients[node]] * SIZE


def test_hidden_values_of_a_group_of_cells_are_together(planner):
    """y = u, where u = 2 x is hidden: first come the results of all cells, then all u, then the gradients of all u."""
    table = Table()
    inner = view(at.HIDDEN, stride=LINE, index_step=LINE)
    x_of, u_of, y_of = 2, 1, 0
    cell = table.add(
        [view(at.SELF), inner, view(0)],
        forward=[
            copy(value_of(u_of), value_of(x_of)),
            add(value_of(u_of), value_of(x_of)),
            copy(value_of(y_of), value_of(u_of)),
        ],
        backward=[
            add(gradient_of(u_of), gradient_of(y_of), gradient_of=at.OWN_FIRST),
            add(gradient_of(u_of), gradient_of(y_of), gradient_of=at.OWN),
            add(gradient_of(x_of), gradient_of(u_of), gradient_of=0, covers=SIZE),
        ],
        size=3 * LINE,
        hidden=2 * LINE,
        attributes=len(at.HIDDEN_PLACE),
        is_cell=1,
    )
    graph = Planned(table, planner)
    start, total = table.same(), table.sum()
    graph = Planned(table, planner)
    xs = [graph.record(start, trained(graph, row)) for row in range(2)]
    one, other = (graph.record(cell, x, 0, 0, 0) for x in xs)
    loss = graph.record(total, one, other)
    graph.forward(run=True)
    first = graph.node(one, "value")
    assert graph.node(other, "value") == first + LINE
    row = next(
        row for row in graph.tape(views=3) if row.count == 2 and row.lists[value_of(u_of)][0] == first + 2 * LINE
    )
    assert row.lists[value_of(u_of)] == [first + 2 * LINE, first + 3 * LINE]
    graph.backward(loss, run=True)
    fresh = [
        row.fresh for row in graph.tape("backward", views=3) if row.lists[gradient_of(u_of)][:1] == [first + 4 * LINE]
    ]
    assert fresh[:3] == [1, 0, 1]
    assert graph.parameter_gradient(0) == graph.parameter_gradient(1) == [2] * SIZE
