"""The planner's functions for values and gradients as ordinary Python, compared with compiled code on equal graphs."""

import ctypes
import itertools
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from planning import SIZE, Planned, Table, add, copy, gradient_of, value_of, view

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.plain import Words
from dynet_kernels.plan import backward, forward, tape
from dynet_kernels.plan.backward import Gradients
from dynet_kernels.plan.nodes import Parameter, Plan
from dynet_kernels.table import KERNELS

ROWS = 5  # rows of a lookup table
FLAGS = at.REACHED | at.DIFFERENTIATED | at.USED_TWICE | at.NEEDS_GRADIENT


def words(*numbers):
    return Words((ctypes.c_int64 * len(numbers))(*numbers))


def bounded(array):
    return Words((ctypes.c_int64 * array.size).from_buffer(array))


class Before:
    """A planner that copies a graph's context and buffers before each pass, which compiled code then plans."""

    def __init__(self, planner):
        self.planner = planner

    def plan_forward(self, context, *arguments):
        self.copy(arguments)
        return self.planner.plan_forward(context, *arguments)

    def plan_backward(self, context, *arguments):
        self.copy(arguments)
        return self.planner.plan_backward(context, *arguments)

    def copy(self, arguments):
        graph = self.graph
        self.arguments, self.slots = arguments, graph.slots.copy()
        buffers = graph.buffers | {"table": graph._table, "new_records": graph._records, "parameters": graph.parameters}
        self.buffers = {name: buffer.copy() for name, buffer in buffers.items() if buffer.size}
        self.touched = graph.touched.copy()
        lookup = self.buffers["parameters"][0]
        lookup[at.PARAMETER.touched] = self.touched.ctypes.data
        # Indices outside of these are an IndexError; compiled code would corrupt memory.
        others = {name: bounded(buffer) for name, buffer in self.buffers.items() if name in at.BUFFERS}
        self.plan = Plan(self.slots.ctypes.data, **others)
        self.plan._parameters = type(self.plan._parameters)(Parameter, others["parameters"])

    def same(self, *names):
        for name in names:
            ours, theirs = self.slots[at.CONTEXT[name]], self.graph[name]
            assert ours == theirs, (name, ours, theirs)

    def same_lists(self, count, *names):
        for name in names:
            assert self.buffers[name][:count].tolist() == self.graph.buffers[name][:count].tolist(), name

    def rows(self):
        """The rows of nodes, here and as written by compiled code."""
        size = self.graph["node_count"] * len(at.NODE)
        return (one.buffers["nodes"][:size].reshape(-1, len(at.NODE)) for one in (self, self.graph))


class Kinds(Table):
    """Signatures of all kinds of records."""

    def __init__(self):
        super().__init__()
        self.x, self.whole, self.shifted = self.input(), self.alias(), self.alias(alias_scale=1, attributes=1, size=1)
        self.apart, self.one, self.total = self.alias(kind=at.APART), self.same(), self.sum()
        self.lookup = self.add(
            [view(at.SELF), view(0, index=0, scale=SIZE)],
            forward=[copy(value_of(0), value_of(1))],
            deferred=[add(gradient_of(1), gradient_of(0), gradient_of=0)],
            attributes=1,
        )
        each = [view(at.SELF, stride=SIZE), view(at.EACH, period=1)]
        some = {"variadic": 1, "size": 0, "size_each": SIZE, "columns": 0, "columns_each": 1}
        some |= {"waits_count": 0, "waits_each": 1}
        to_each = [add(gradient_of(1), gradient_of(0), gradient_of=at.EACH_OPERAND)]
        start = [copy(value_of(0), value_of(1))]
        self.many = self.add(each, start, to_each, operands=0, **some)
        share = view(at.FIRST, scale=SIZE)
        parts = [
            self.add(each, start, to_each, operands=1, **some),
            self.add([view(at.SELF), share, view(0)], start, waits_count=1),
            self.add([view(at.SELF), share, view(at.BEFORE)], start, waits_count=0),
        ]
        self.chain = self.add(operands=1, variadic=1, parts=parts, last_part_repeats=1)


def random_graph(planner, seed):
    dice, kinds = np.random.default_rng(seed), Kinds()
    graph = Planned(kinds, planner, floats=1 << 14, gradients=1 << 14)
    graph.touched = np.zeros(2 + 2 * ROWS, np.int64)
    rows = graph.parameter(0, np.ones(SIZE * ROWS, np.float32), needs_gradient=seed % 3 > 0)
    graph.parameters[0, at.PARAMETER.touched] = graph.touched.ctypes.data
    graph.parameters[0, at.PARAMETER.width : at.PARAMETER.copy] = SIZE, ROWS
    known = [graph.parameter(1, np.ones(SIZE, np.float32)), graph.parameter(2, np.ones(SIZE, np.float32), False)]
    known += [graph.input(kinds.x, *dice.random(SIZE)) for _ in range(2)]
    some = lambda count: [int(known[k]) for k in dice.integers(len(known), size=count)]  # noqa: E731
    add_record = [
        lambda: graph.input(kinds.x, *dice.random(SIZE)),
        lambda: graph.record(kinds.lookup, rows, int(dice.integers(ROWS))),
        lambda: graph.record(kinds.whole, *some(1)),
        lambda: graph.record(kinds.shifted, *some(1), 3),
        lambda: graph.record(kinds.one, *some(1)),
        lambda: graph.record(kinds.total, *some(2)),
        lambda: graph.record(kinds.many, *some(3), variadic=True),
        lambda: graph.record(kinds.chain, *some(4), variadic=True, parts=4),
    ] + [lambda: graph.record(kinds.apart, *some(1))] * (seed % 2)
    for _ in range(60):
        known.append(add_record[dice.integers(len(add_record))]())
    known.append(graph.record(kinds.total, *known[-2:]))
    return graph


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


@pytest.fixture(params=range(8))
def graph(request, planner):
    before = Before(planner)
    before.graph = random_graph(before, request.param)
    return before.graph


def test_nodes_and_values(graph):
    """A forward pass without the tape; the second pass adds records to the first."""
    done = 0
    for _ in range(2):
        inputs_begin = len(graph.inputs) if done else 0
        if done:
            graph.record(graph.table.total, *[graph.count - 1] * 2)
        assert graph.forward(done, inputs_begin) == at.READY
        before = graph.planner
        plan, (begin, end, address, inputs_begin, inputs_end) = before.plan, before.arguments
        inputs = forward.Inputs(plan, address, inputs_begin, inputs_end - inputs_begin)
        assert not forward.can_reuse_plan(plan, begin, end, inputs)
        check_nodes(before, plan, inputs, begin, end)
        done = end


def check_nodes(before, plan, inputs, begin, end):
    context, graph = plan.context, before.graph
    context.one_numbering = begin == 0
    forward.forget_nodes(plan, begin)
    for k in range(begin, end):
        plan.records[k] = plan.new_records[k]
    first = context.node_count
    forward.start_numbering(plan)
    forward.add_nodes(plan, inputs, begin, end)
    graph.memory[inputs.start - graph.arena :][: inputs.count] = np.nan
    inputs.copy()
    assert graph.numbers(inputs.start, inputs.count) == graph._inputs[inputs.begin :][: inputs.count].tolist()
    forward.find_depths(plan, first, context.node_count, forward.is_computed)
    tape.sort_planned(plan)
    forward.place_values(plan, inputs.start + at.aligned(inputs.count))
    forward.place_aliases(plan)
    ours, theirs = before.rows()
    assert (ours == theirs).all()
    before.same("node_count", "planned_count", "deepest", "alias_count", "one_numbering", "numbered")
    before.same("needed_index", "needed_tape")
    before.same_lists(context.alias_count, "aliases")
    before.same_lists(end, "records")
    before.same_lists(context.planned_count, "by_depth", "by_signature")
    forward.keep_plan(plan, inputs, end)
    context.arena_top = inputs.start
    assert forward.can_reuse_plan(plan, 0, end, inputs)
    plan.kept_records[end - 1] += 1
    assert not forward.can_reuse_plan(plan, 0, end, inputs)


@pytest.mark.parametrize("everything", [0, 1])
def test_what_the_loss_depends_on(graph, everything):
    graph.forward()
    for loss in (graph.count - 1, graph.count // 2, graph.count - 1):
        assert graph.backward(loss, everything) == at.READY
        before = graph.planner
        gradients = Gradients(before.plan, loss, everything)
        assert not backward.can_reuse_plan(gradients)
        if not backward.depths_are_known(gradients):
            backward.find_depths_again(gradients)
        backward.find_planned(gradients)
        ours, theirs = before.rows()
        ours, theirs = (rows[:, [at.NODE.flags, at.NODE.stage, at.NODE.depth]] for rows in (ours, theirs))
        ours[:, 0] &= FLAGS
        theirs[:, 0] &= FLAGS
        assert (ours == theirs).all()
        before.same("planned_count", "lookup_count", "needed_index", "needed_tape", "one_numbering", "flags_used")
        before.same_lists(before.plan.context.lookup_count, "lookups")
        tape.sort_planned(before.plan)
        before.same_lists(before.plan.context.planned_count, "by_depth", "by_signature")
        backward.note_touched_rows(before.plan)
        assert before.touched.tolist() == graph.touched.tolist()
        check_owners(before.plan, gradients)


def check_owners(plan, gradients):
    """Check for values and gradients that an alias has a part of its owner's memory."""
    for number in range(gradients.loss + 1):
        owner, offset = gradients.owner_and_offset(number)
        assert plan.node(number).value == plan.address(owner, "value") + offset
        assert owner < 0 or gradients.has_own_gradient(plan.node(owner))


class Numbers(SimpleNamespace):
    def node(self, number):
        return self.nodes[number]


def test_records_that_are_gone_are_forgotten():
    nodes = [SimpleNamespace(operands=start) for start in (1, 4, 9)]
    for begin, left in ((0, 0), (1, 1), (4, 2), (8, 2), (9, 3), (12, 3)):
        plan = Numbers(nodes=nodes, context=SimpleNamespace(node_count=3))
        forward.forget_nodes(plan, begin)
        assert plan.context.node_count == left


def test_each_touched_row_is_listed_once():
    rows = words(*[0] * (2 + 2 * ROWS))
    numbers = [3, 1, 3, 0, 1]
    record = SimpleNamespace(operand=lambda k: numbers[k - 1])
    node = SimpleNamespace(signature=SimpleNamespace(attributes=len(numbers)), record=record)
    backward.touch_rows(node, SimpleNamespace(touched=ctypes.addressof(rows.array), rows=ROWS))
    assert [*rows.array] == [3, 3, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0]


def test_records_are_compared_whole():
    size = 2 * forward.COMPARED_AT_ONCE + 3
    context = SimpleNamespace(kept_end=size, kept_inputs=0, kept_start=7)
    inputs = SimpleNamespace(count=0, start=7)
    for wrong, end in itertools.product(
        (None, 0, forward.COMPARED_AT_ONCE - 1, forward.COMPARED_AT_ONCE, size - 1), (size, size - 1)
    ):
        plan = SimpleNamespace(context=context, new_records=words(*range(size)), kept_records=words(*range(size)))
        if wrong is not None:
            plan.kept_records[wrong] ^= 1
        assert bool(forward.can_reuse_plan(plan, 0, end, inputs)) == (wrong is None and end == size)


def test_these_modules_do_not_need_tvm():
    code = "import sys, dynet_kernels.plan.forward, dynet_kernels.plan.backward; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
