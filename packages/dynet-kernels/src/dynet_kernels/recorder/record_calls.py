"""Functions with which Python code appends records and makes expressions. Invalid arguments are left to Python."""

from __future__ import annotations

from ..plain import Words, plain
from .c_api import call_or_fail, extern, need
from .calls import recording
from .here import Here, Item, NewRecord, checked_index
from .structures import Function, List


@plain
def integer_of(here: Here, x: Item):
    """Return an int, or the operand number of an expression valid in this graph. Leave the entry for anything else."""
    if x.type == here.shared.int:
        return here.index(x)
    need(here.is_operand(x))
    return x.at


@recording(5, key=0, even_watched=True)
def commit(here: Here, function: Function, dim: Item, node_count: Item, head: Item, operands: Item, version: Item):
    """commit(dim, node_count, head, operands, version) appends a record to this thread's graph.

    The record adds `node_count` nodes to the graph. It consists of the items of the tuple `head`, which begins with the
    signature, and of the list or tuple `operands`. An expression is written as its operand number. `commit` returns the
    expression of the last node, which has the shape `dim`. It returns None if the graph's version is not `version`, or
    if an item is neither an int nor an expression valid in the graph.

    The graph's `open` may be WATCHED: only Python code calls `commit`, and so it sees each new node.
    """
    shared = here.shared
    need(node_count.type == shared.int and version.type == shared.int and head.type == shared.tuple)
    need(here.index(version) == here.version)
    count, head_items, operand_items = here.index(node_count), here.items(head), here.items(operands)
    need(count >= 0)
    new, position = NewRecord(here, head_items.size + operand_items.size), 0
    for items in (head_items, operand_items):
        for k in range(items.size):
            new.write(integer_of(here, items[k]), begin=position)
            position += 1
    return new.finish(dim.address, count)


@recording(5, key=0, even_watched=True)
def sequence(here: Here, function: Function, result_dim: Item, head: Item, xs: Item, x_dim: Item, version: Item):
    """sequence(result_dim, head, xs, x_dim, version) appends a record for a sequence of nodes, such as an RNN layer.

    The record consists of the integers of the tuple `head`, which begins with the signature, and the numbers of the
    nodes in the list `xs`, which must all have the shape `x_dim`. This adds a node to the graph, then one for each item
    of `xs`. `sequence` returns a list of the expressions of these further nodes, which have the shape `result_dim`. It
    returns None if the graph's version is not `version`, or if an item of `xs` is not a node of shape `x_dim`.
    """
    shared, graph = here.shared, here.graph
    need(head.type == shared.tuple and xs.type == shared.list and version.type == shared.int)
    expected_version, head_items = here.index(version), here.items(head)
    for k in range(head_items.size):
        here.index(head_items[k])  # leaves the entry if it is not an int64
    # Make the list before the checks: making it may run the garbage collector, and so code that changes the graph.
    size = List(xs.address).size
    made_list = call_or_fail("PyList_New", size)
    here_now, items = Here(shared, graph, graph.version), here.items(xs)
    is_valid = here_now.version == expected_version and items.size == size
    for k in range(items.size):
        x = items[k]
        if not (x.type == shared.expression and here_now.is_node(x) and x.dim == x_dim.address):
            is_valid = 0
    if not is_valid:
        extern("Py_DecRef", made_list)
        return
    new = NewRecord(here_now, head_items.size + size, 0, made_list)
    made_nodes = Words(List(made_list).items)
    for k in range(size):
        made_nodes[k] = here_now.new_expression(1 + k, result_dim.address, made_list)
        new.write(items[k].at, begin=head_items.size + k)
    for k in range(head_items.size):
        new.write(here.index(head_items[k]), begin=k)
    graph.fill(length=new.start + new.length, nodes=graph.nodes + size + 1)
    return made_list


@recording(2, key=0, even_watched=True)
def handle(here: Here, function: Function, at: Item, dim: Item):
    """handle(at, dim) returns an expression for node `at` of this thread's graph, which has the shape `dim`."""
    count = here.graph.nodes
    return here.new_expression(checked_index(count, here.index(at)) - count, dim.address)
