"""Functions that write address lists and the tape, run as Python: alone, and on graphs planned by compiled code."""

import ctypes
import random
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planning import SIZE, Planned, Table, add, copy, gradient_of, value_of, view
from test_planning_repeats import MANY, Example
from test_planning_updates import NUMBERS, OPCODE, STATES, Trained

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.plain import Words
from dynet_kernels.plan import update
from dynet_kernels.plan.nodes import Node, Plan
from dynet_kernels.plan.repeats import (
    EqualColumns,
    copy_values,
    number_columns,
    skip_equal_columns,
    sum_equal_gradients,
    sums_are_listed,
)
from dynet_kernels.plan.tape import (
    LEAST_THREAD_COLUMNS,
    GroupLists,
    ViewLists,
    add_clear,
    add_fill,
    add_steps,
    choose_sharing,
    each_group,
    each_group_backwards,
    start_tape,
    write_lists,
)
from dynet_kernels.table import KERNELS


def words(*numbers):
    return Words((ctypes.c_int64 * len(numbers))(*numbers))


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


class Again:
    """A copy of a graph's context and buffers, in which `plan` plans again."""

    def __init__(self, graph):
        self.graph, self.slots = graph, graph.slots.copy()
        buffers = graph.buffers | {"parameters": graph.parameters, "table": graph._table}
        self.buffers = {name: buffer.copy() for name, buffer in buffers.items() if name != "sharing" and buffer.size}
        self.views = graph.table.views
        for name, buffer in self.buffers.items():
            self.slots[at.CONTEXT[name]] = buffer.ctypes.data

    def use(self, direction):
        """Clear one tape and its lists. Return a plan whose buffers are bounded: an index outside is an IndexError."""
        kinds = ("index", "tape")
        for kind in kinds:
            self.buffers[f"{direction}_{kind}"][:] = 0
        bounded = {name: bounded_words(buffer) for name, buffer in self.buffers.items() if name in at.BUFFERS}
        bounded |= {kind: bounded[f"{direction}_{kind}"] for kind in kinds}
        self.plan = Plan(self.slots.ctypes.data, **bounded)
        start_tape(self.plan.context)
        return self.plan

    def same(self, *names):
        for name in names:
            ours, theirs = self.slots[at.CONTEXT[name]], self.graph[name]
            assert ours == theirs, (name, ours, theirs)


def bounded_words(array: Any):
    return Words((ctypes.c_int64 * array.size).from_buffer(array))


def plan_forward_again(again):
    """Write the forward tape; compare it, its lists and all side effects."""
    plan = again.use("forward")
    plan.context.searches = 0
    again.buffers["buckets"][:] = 0
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        steps = group.signature.forward
        equal, block = skip_equal_columns(group, write_lists(group, steps))
        add_steps(group, steps, block)
        copy_values(equal)
    again.same("index_top", "tape_count", "shared_work", "most_work", "searches", "status")
    for name in ("forward_index", "forward_tape", "buckets", "numbers_of_columns"):
        assert again.buffers[name].tolist() == again.graph.buffers[name].tolist(), name


class Kinds(Table):
    """Signatures whose views have all sources and shapes."""

    def __init__(self):
        super().__init__()
        reads = [copy(value_of(0), value_of(1), work=10**6), add(value_of(0), value_of(1))]
        to = [add(gradient_of(1), gradient_of(0), gradient_of=0)]
        self.x, self.one, self.total = self.input(), self.same(), self.sum()
        self.row = self.add([view(at.SELF), view(0, index=0, scale=SIZE)], reads, to, attributes=1)
        columns = [view(at.SELF, stride=1), view(0, period=2, outer=2, stride=1), view(at.NOWHERE)]
        self.columns = self.add(columns, reads, to, columns=4, attributes=1)
        each = [view(at.SELF, stride=SIZE), view(at.EACH, period=1)]
        some: Any = {"variadic": 1, "size": 0, "size_each": SIZE, "columns": 0, "columns_each": 1}
        some |= {"waits_count": 0, "waits_each": 1}
        self.many = self.add(
            each, reads, [add(gradient_of(1), gradient_of(0), gradient_of=at.EACH_OPERAND)], operands=0, **some
        )
        share = view(at.FIRST, scale=SIZE)
        before = [add(gradient_of(2), gradient_of(0), gradient_of=at.BEFORE_OPERAND)]
        parts = [
            self.add(
                each, reads, [add(gradient_of(1), gradient_of(0), gradient_of=at.ANY_OPERAND)], operands=1, **some
            ),
            self.add([view(at.SELF), share, view(0)], reads, waits_count=1),
            self.add([view(at.SELF), share, view(at.BEFORE)], reads, before, waits_count=0),
        ]
        self.chain = self.add(operands=1, variadic=1, parts=parts, last_part_repeats=1)


def random_graph(planner, seed):
    dice, kinds = random.Random(seed), Kinds()
    graph = Planned(kinds, planner, floats=1 << 14, gradients=1 << 14)
    known = [graph.parameter(0, np.ones(SIZE * 4, np.float32)), graph.parameter(1, np.ones(SIZE, np.float32), False)]
    known += [graph.input(kinds.x, *range(SIZE)) for _ in range(2)]
    some = lambda count: [dice.choice(known) for _ in range(count)]  # noqa: E731
    records = [
        lambda: graph.record(kinds.one, *some(1)),
        lambda: graph.record(kinds.total, *some(2)),
        lambda: graph.record(kinds.row, *some(1), dice.randrange(4)),
        lambda: graph.record(kinds.columns, *some(1), 0),
        lambda: graph.record(kinds.many, *some(3), variadic=True),
        lambda: graph.record(kinds.chain, *some(4), variadic=True, parts=4),
    ]
    for _ in range(50):
        known.append(dice.choice(records)())
    known.append(graph.record(kinds.total, *known[-2:]))
    return graph


@pytest.mark.parametrize("seed", range(8))
def test_forward(planner, seed):
    graph = random_graph(planner, seed)
    assert graph.forward() == at.READY
    plan_forward_again(Again(graph))


@pytest.mark.parametrize("choices", [MANY, list(range(10)), [0] * 9], ids=["some", "none", "all"])
def test_equal_columns(planner, choices):
    graph = Example(planner, choices, copies=True, rounds=2).graph
    assert graph.forward() == at.READY
    plan_forward_again(Again(graph))


def instructions(again, direction):
    """The integers of each instruction except `base`, `fresh` and `shared`; and all addresses at `base`."""
    rows = again.buffers[f"{direction}_tape"].reshape(-1, len(at.INSTRUCTION))
    found = []
    for opcode, base, count, parameters, *_ in rows[: again.slots[at.CONTEXT.tape_count]].tolist():
        size = 2 * count * again.views.get(parameters, 1)
        found.append((opcode, count, parameters, again.buffers[f"{direction}_index"][base : base + size].tolist()))
    return found


@pytest.mark.parametrize("everything", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_backward(planner, seed, everything):
    """The same steps are requested, with the same lists of the nodes themselves."""
    graph = random_graph(planner, seed)
    graph["never_fresh"] = 1  # no step is left out
    graph.forward()
    assert graph.backward(graph.count - 1, everything) == at.READY
    again = Again(graph)
    theirs = [row for row in instructions(again, "backward") if row[0] not in (at.FILL, at.CLEAR)]
    plan = again.use("backward")
    for group in each_group_backwards(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        steps = group.signature.backward
        add_steps(group, steps, write_lists(group, steps, with_gradients=True), everything)
    assert instructions(again, "backward") == theirs


@pytest.mark.parametrize("copies", [False, True])
def test_gradients_of_equal_columns(planner, copies):
    graph = Example(planner, MANY, copies=copies).graph
    graph.forward()
    assert graph.backward(graph.count - 1) == at.READY
    again = Again(graph)
    theirs = instructions(again, "backward")
    plan = again.use("backward")
    search = plan.context.searches
    place = next(k for k, row in enumerate(theirs) if row[1] == len(MANY) - 3)  # adds sums of other columns
    plan.context.gradient_top = theirs[place - 1][3][0]
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        if group.signature.determined_by != at.NO_VIEW:
            block = sum_equal_gradients(group, write_lists(group, group.signature.backward, with_gradients=True), 0)
            assert sums_are_listed(group, search) and not sums_are_listed(group, search + 1)
            add_steps(group, group.signature.backward, block)
    ours = instructions(again, "backward")
    assert ours == theirs[place - 1 :][: len(ours)] and len(ours) == 3


@pytest.mark.parametrize("dense", [0, 1])
def test_updates(planner, dense):
    for name, arguments in (("gradient_norm", (0, 3, STATES, dense, 55)), ("update", (3, STATES, NUMBERS, 77, dense))):
        theirs, ours = Trained(planner), Trained(planner)
        ours.parameters[:, :2] = theirs.parameters[:, :2]
        getattr(planner, f"plan_{name}")(theirs.slots.ctypes.data, OPCODE, *arguments)
        getattr(update, f"plan_{name}")(ours.slots.ctypes.data, OPCODE, *arguments)
        for field in ("status", "index_top", "tape_count", "shared_work", "most_work"):
            assert ours[field] == theirs[field], field
        assert ours.tape() == theirs.tape() and ours["tape_count"] > 0
        for field in ("forward_index", "forward_tape"):
            assert ours.buffers[field].tolist() == theirs.buffers[field].tolist()
        assert ours.updates.tolist() == theirs.updates.tolist()
        assert ours.touched.tolist() == theirs.touched.tolist()


# Without TVM


def plan_of(limits=(2, 100)) -> Any:
    threads, least = limits
    code = (ctypes.c_int64 * 1)(1)
    context = SimpleNamespace(code=ctypes.addressof(code), tape_count=0, index_top=0, shared_work=0, most_work=0)
    context.status = at.READY
    context.fill = lambda **values: vars(context).update(values)
    limits = SimpleNamespace(threads=threads, least_instruction=least)
    return SimpleNamespace(
        context=context, limits=limits, tape=words(*[0] * 18), index=words(*[0] * 8), table=words(*[0] * 8), code=code
    )


def test_ways_to_share():
    plan, many = plan_of(), 2 * LEAST_THREAD_COLUMNS
    for way in (at.ALONE, at.BY_COLUMNS, at.BY_ROWS):
        assert choose_sharing(plan, way, 1, 0) == way
    assert [choose_sharing(plan, at.IF_DISTINCT, 1, k) for k in (0, 1)] == [at.ALONE, at.BY_COLUMNS]
    assert [choose_sharing(plan, at.EITHER, count, 0) for count in (many - 1, many)] == [at.BY_ROWS, at.BY_COLUMNS]
    either = [choose_sharing(plan, at.EITHER_IF_DISTINCT, many, k) for k in (0, 1)]
    assert either == [at.BY_ROWS, at.BY_COLUMNS]


def test_instructions():
    plan = plan_of()
    add_clear(plan, 64, 1)
    add_clear(plan, 80, 0)
    add_fill(plan, 2, 64, 16, 1)
    assert [*plan.tape.array] == [at.CLEAR, 0, 1, 0, 0, at.BY_ROWS, at.CLEAR, 2, 1, 0, 0, 0, at.FILL, 0, 1, 2, 0, 0]
    assert [*plan.index.array][:4] == [64, 1, 80, 0] and [*plan.table.array][:5] == [0, 0, 64, 16, 1]
    assert plan.context.shared_work == 100 and plan.context.status == at.READY
    plan.code[0] = plan.context.tape_count = 0
    add_clear(plan, 64, 1)
    assert (plan.context.status, plan.context.row) == (at.NO_CODE, 0)


def test_equal_columns_are_numbered():
    columns = [64, 32, 64, 80, 32]
    plan: Any = SimpleNamespace(context=SimpleNamespace(searches=0), index=words(*columns))
    plan.buckets, plan.numbers_of_columns = words(*[0] * 10), words(*[0] * 10)
    group: Any = SimpleNamespace(plan=plan)
    equal = EqualColumns(group, GroupLists(0, 5), 5)
    for search in (1, 2):
        assert number_columns(equal, 0, 0) == 3
        assert [*plan.numbers_of_columns.array][:8] == [0, 1, 0, 2, 1, 0, 1, 3]
        assert plan.context.searches == search
    assert [*equal.each_repeated_column()] == [(0, 2), (1, 4)]


def test_addresses_of_parts():
    nodes: Any = [SimpleNamespace(number=k, first_part=2, value=100 * k) for k in range(6)]
    for one, before in zip(nodes[1:], nodes):
        one.part_before = before
    plan: Any = SimpleNamespace(node=lambda number: nodes[number], index=None)
    for source, start in ((at.SELF, 507), (at.NOWHERE, 7), (at.BEFORE, 407), (at.FIRST, 207 + 2 * 16)):
        group, one_view = SimpleNamespace(plan=plan), SimpleNamespace(source=source, offset=7, scale=16)
        lists: Any = ViewLists(group, one_view, [])  # type: ignore[arg-type]
        assert lists.start_of(nodes[5], "value") == start


def test_no_tvm():
    modules = ", ".join(f"dynet_kernels.plan.{name}" for name in ("repeats", "tape"))
    assert (
        subprocess.run([sys.executable, "-c", f"import sys, {modules}; sys.exit('tvm' in sys.modules)"]).returncode == 0
    )
