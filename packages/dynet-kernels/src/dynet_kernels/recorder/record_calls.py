"""The functions by which Python code appends records and makes expressions. Invalid arguments are left to Python."""

from __future__ import annotations

from ..plain import Words, plain
from .c_api import extern, made, need
from .calls import recording
from .here import Here, Item, NewRecord, below
from .structures import Function, List


@plain
def number_of(here: Here, x: Item):
    """Return an int, or the operand number of an expression that fits the graph. For anything else, leave the entry."""
    if x.type == here.shared.int:
        return here.index(x)
    need(here.is_operand(x))
    return x.at


@recording(5, key=0, anywhere=True)
def commit(here: Here, function: Function, dim: Item, nodes: Item, head: Item, operands: Item, version: Item):
    """commit(dim, nodes, head, operands, version) appends a record to this thread's graph.

    The record adds `nodes` nodes to the graph. It is the integers of the tuple `head`, which begin with the signature,
    then those of the list or tuple `operands`. An expression among them is written as its operand number. `commit`
    returns the expression of the last of the nodes, which has the shape `dim`. It returns None if the graph has another
    version than `version`, or if an item is neither an int nor an expression that fits the graph.

    Unlike the fast paths of ops, `commit` also appends to a graph whose `open` is WATCHED. `renew_cg` sets `open` to
    WATCHED for its options `immediate_compute` and `check_validity`, with which Python has to see each new node. Python
    sees the nodes that `commit` adds, because only Python code calls `commit`.
    """
    shared = here.shared
    need(nodes.type == shared.int and version.type == shared.int and head.type == shared.tuple)
    need(here.index(version) == here.version)
    count, first, rest = here.index(nodes), here.items(head), here.items(operands)
    need(count >= 0)
    new, position = NewRecord(here, first.size + rest.size), 0
    for items in (first, rest):
        for k in range(items.size):
            new.write(number_of(here, items[k]), begin=position)
            position += 1
    return new.finish(dim.address, count)


@recording(5, key=0, anywhere=True)
def sequence(here: Here, function: Function, result: Item, head: Item, xs: Item, dim: Item, version: Item):
    """sequence(result, head, xs, dim, version) appends one record for a whole sequence `xs` of nodes.

    For example, it records a layer of a recurrent network. The record is the integers of the tuple `head`, which begin
    with the signature, then the numbers of the nodes in the list `xs`, which must all have the shape `dim`. The record
    adds one node to the graph, and then one more for each item of `xs`. `sequence` returns a list of the expressions of
    these further nodes, which have the shape `result`. It returns None if the graph has a version other than `version`,
    or if an item of `xs` is not a node of the graph with the shape `dim`.
    """
    shared, graph = here.shared, here.graph
    need(head.type == shared.tuple and xs.type == shared.list and version.type == shared.int)
    wanted, first = here.index(version), here.items(head)
    for k in range(first.size):
        here.index(first[k])  # leaves the entry if it does not fit
    # The list is made before the checks: making it may run the garbage collector, and so Python code that changes what
    # was checked.
    size = List(xs.address).size
    made_list = made("PyList_New", size)
    now, items = Here(shared, graph, graph.version), here.items(xs)
    fine = now.version == wanted and items.size == size
    for k in range(items.size):
        x = items[k]
        if not (x.type == shared.expression and now.is_node(x) and x.dim == dim.address):
            fine = 0
    if not fine:
        extern("Py_DecRef", made_list)
        return
    new = NewRecord(now, first.size + size, 0, made_list)
    made_nodes = Words(List(made_list).items)
    for k in range(size):
        made_nodes[k] = now.node(1 + k, result.address, made_list)
        new.write(items[k].at, begin=first.size + k)
    for k in range(first.size):
        new.write(here.index(first[k]), begin=k)
    graph.fill(length=new.start + new.length, nodes=graph.nodes + size + 1)
    return made_list


@recording(2, key=0, anywhere=True)
def handle(here: Here, function: Function, at: Item, dim: Item):
    """handle(at, dim) returns an expression for node number `at` of this thread's graph, of shape `dim`."""
    count = here.graph.nodes
    return here.node(below(count, here.index(at)) - count, dim.address)
