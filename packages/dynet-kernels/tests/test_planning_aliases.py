"""Backward planning of aliases: an alias's first gradient is written, or added to memory that was cleared."""

import numpy as np
import pytest
from planning import ACCUMULATE, SIZE, Planned, Table

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.table import KERNELS

WHOLE = {"covers": SIZE}


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


def trained(graph, row=0, size=SIZE):
    return graph.parameter(row, np.ones(size, np.float32))


def test_a_whole_alias_is_overwritten(planner):
    """For example a reshape: its gradient, through an alias of another alias, is the whole gradient of the node."""
    table = Table()
    same, whole = table.same(**WHOLE), table.alias()
    graph = Planned(table, planner)
    node = graph.record(same, trained(graph))
    for _ in range(2):
        one = graph.record(whole, node)
        other = graph.record(whole, one)
        node = graph.record(same, other)
    graph.forward(run=True)
    graph.backward(node, run=True)
    assert [row.opcode for row in graph.tape("backward")] == [at.CLEAR, at.FILL] + [ACCUMULATE] * 3
    assert [row.fresh for row in graph.tape("backward")] == [0, 0, 1, 1, 0]
    assert graph.node(other, "gradient") == graph.node(one - 1, "gradient")
    assert graph.parameter_gradient(0) == [1] * SIZE


@pytest.mark.parametrize("fields", [{"alias_offset": 1}, {"size": SIZE - 1}])
def test_a_part_of_a_node_is_not_overwritten(planner, fields):
    table = Table()
    size = fields.get("size", SIZE)
    start = table.same(SIZE + 1, covers=SIZE + 1)
    same, part = table.same(size, covers=size), table.alias(**fields)
    graph = Planned(table, planner)
    node = graph.record(start, trained(graph, size=SIZE + 1))
    loss = graph.record(same, graph.record(part, node))
    graph.forward(run=True)
    graph.backward(loss, run=True)
    assert not any(row.fresh for row in graph.tape("backward"))
    offset = fields.get("alias_offset", 0)
    assert graph.parameter_gradient(0) == [float(offset <= k < offset + size) for k in range(SIZE + 1)]


@pytest.mark.parametrize("first", [0, 1])
def test_two_aliases_of_a_node_are_not_overwritten(planner, first):
    """The first of them would be overwritten; that decision is reversed, and the step adds to both."""
    table = Table()
    start, same, total, whole = table.same(**WHOLE), table.same(**WHOLE), table.sum(**WHOLE), table.alias()
    graph = Planned(table, planner)
    x, y = (graph.record(start, trained(graph, row)) for row in range(2))
    operands = [graph.record(whole, x), graph.record(whole, x)]
    operands.insert(first, y)
    one, other, third = (graph.record(same, operand) for operand in operands)
    loss = graph.record(total, graph.record(total, one, other), third)
    graph.forward(run=True)
    graph.backward(loss, run=True)
    (row,) = [row for row in graph.tape("backward") if row.count == 3]
    assert not row.fresh
    assert graph.parameter_gradient(0) == [2] * SIZE and graph.parameter_gradient(1) == [1] * SIZE


def test_an_alias_of_a_parameter_is_not_overwritten(planner):
    table = Table()
    same, whole = table.same(**WHOLE), table.alias()
    graph = Planned(table, planner)
    loss = graph.record(same, graph.record(whole, trained(graph)))
    graph.forward(run=True)
    for times in (1, 2):
        graph.backward(loss, run=True)
        assert graph.parameter_gradient(0) == [times] * SIZE
