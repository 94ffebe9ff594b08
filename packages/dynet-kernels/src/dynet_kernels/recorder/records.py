"""The functions by which Python code appends records to the graph, and makes expressions for nodes.

A record is one operation as integers. If arguments are invalid, these functions append nothing and call Python
functions, which return None or raise an error. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..plain import Words, entry, plain
from .c_api import NULL, extern, fail
from .calls import recording
from .here import NO_INDEX, Here, Item, Items, become_node
from .structures import Function, List


@plain
def number_of(here: Here, x: Item):
    """Return an int, or the operand number of an expression that fits the graph; NO_INDEX for anything else."""
    if x.type == here.shared.int:
        return here.index(x)
    if here.is_operand(x):
        return x.at
    return NO_INDEX


@recording(5, key=0, anywhere=True)
@entry
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
    if nodes.type != shared.int or version.type != shared.int or head.type != shared.tuple:
        return
    if not here.is_sequence(operands) or here.index(version) != here.version:
        return
    count, first, rest = here.index(nodes), here.items(head), here.items(operands)
    if count < 0:
        return
    new, place = here.record(first.size + rest.size), 0
    for items in (first, rest):
        for k in range(items.size):
            number = number_of(here, items[k])
            if number == NO_INDEX:
                return
            new.write(place, number)
            place += 1
    return new.finish(dim.address, count)


@recording(5, key=0, anywhere=True)
@entry
def sequence(here: Here, function: Function, result: Item, head: Item, xs: Item, dim: Item, version: Item):
    """sequence(result, head, xs, dim, version) appends one record for a whole sequence `xs` of nodes.

    For example, it records a layer of a recurrent network. The record is the integers of the tuple `head`, which begin
    with the signature, then the numbers of the nodes in the list `xs`, which must all have the shape `dim`. The record
    adds one node to the graph, and then one more for each item of `xs`. `sequence` returns a list of the expressions of
    these further nodes, which have the shape `result`. It returns None if the graph has another version than `version`,
    or if an item of `xs` is not a node of the graph with the shape `dim`.
    """
    shared, graph = here.shared, here.graph
    if head.type != shared.tuple or xs.type != shared.list or version.type != shared.int:
        return
    # The list is made before the checks: making it may run the garbage collector, and so any Python code, which could
    # change what has been checked.
    size = List(xs.address).size
    made = extern("PyList_New", size)
    if made == NULL:
        fail()
    now, first, items = Here(shared, graph, graph.version), here.items(head), here.items(xs)
    length = first.size + size
    if here.index(version) != now.version or items.size != size or not are_nodes(now, first, items, dim):
        extern("Py_DecRef", made)
        return
    if graph.length + length > graph.room and extern("dynet_make_room", graph.address, length) == NULL:
        extern("Py_DecRef", made)
        fail()
    nodes, found = graph.nodes, Words(List(made).items)
    for place in range(size):
        node = here.take_expression()
        if node == NULL:
            extern("Py_DecRef", made)
            fail()
        become_node(node, nodes + 1 + place, now.version, result.address)
        found[place] = node
    integers, start = Words(graph.records), graph.length
    for place in range(first.size):
        integers[start + place] = here.index(first[place])
    for place in range(size):
        integers[start + first.size + place] = items[place].at
    graph.length = start + length
    graph.nodes = nodes + size + 1
    return made


@plain
def are_nodes(here: Here, head: Items, xs: Items, dim: Item):
    """Whether all items of `head` are ints, and all of `xs` nodes of the graph with the shape `dim`."""
    fine = 1
    for place in range(head.size):
        if head[place].type != here.shared.int:
            fine = 0
    for place in range(xs.size):
        x = xs[place]
        if not (x.type == here.shared.expression and here.is_node(x) and x.dim == dim.address):
            fine = 0
    return fine


@recording(2, key=0, anywhere=True)
@entry
def handle(here: Here, function: Function, at: Item, dim: Item):
    """handle(at, dim) returns an expression for node number `at` of this thread's graph, of shape `dim`."""
    place = here.index(at)
    if place < 0 or place >= here.graph.nodes:
        return
    node = here.take_expression()
    if node == NULL:
        fail()
    become_node(node, place, here.version, dim.address)
    return node
