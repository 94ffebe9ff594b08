"""The fast path of `x.set(values)`, which replaces the values of an input node. Terms: see `recorder/__init__.py`."""

from __future__ import annotations

from .. import layout as at
from ..plain import Words, plain
from ..plan.nodes import Node, Plan
from .arrays import read
from .c_api import extern, need, new_reference
from .calls import recording
from .here import Here, Item, NewRecord
from .passes import can_forget, forget_values
from .structures import Function
from .tables import find

MOST_SEARCHED = 1 << 12  # a search passes at most this many records: Python keeps an index for large graphs


@recording(2, name="set")
def set_values(here: Here, function: Function, x: Item, given: Item):
    """set(x, values), where `values` is a number, a list of numbers or an array.

    The path runs only if all of the graph or nothing of it has been planned. The key is the Dim (shape) of `x`. The row
    has the signature of input nodes with this Dim, and its `limit` is their number of elements.
    """
    need(x.type == here.shared.expression and x.version == here.version)
    row = find(function, x.dim)
    need(can_forget(here))
    start = start_of(here, x.at, row.signature)

    def use(values):
        need(values.dims <= 1 and values.count == row.limit)
        graph, new = here.graph, NewRecord(here, 0, row.limit)
        values.store(new.floats, new.first)  # behind the graph's inputs: it may find what is no number
        extern("memcpy", graph.inputs + 4 * start, graph.inputs + 4 * new.first, 4 * row.limit)
        if start < graph.inputs_done:
            forget_values(graph)
        return new_reference(here.shared.none)

    return read(here, given, use)


@plain
def start_of(here: Here, place, signature):
    """Find the values of an input node in the input buffer.

    In a graph that has been planned, the planner's table says where the record of the node is. In one that has not, the
    records are searched, from the input on that was found last. Most programs set inputs in the order of their nodes,
    or each one when it is made.

    Args:
        place, signature: the number of the node; and its signature, if it is an input.

    Returns:
        The offset of the first value. If it is not found, leave the entry, and Python has to search.
    """
    graph, records = here.graph, Words(here.graph.records)
    if graph.planned == graph.length:
        node = Node(Words(graph.node_rows), place * len(at.NODE))
        need(node.signature_at == signature)
        return records[node.operands]
    need(graph.planned == 0)
    position, number, turns = 0, 0, 0
    if graph.searched_version == here.version and graph.searched_node <= place:
        position, number = graph.searched, graph.searched_node
    plan = Plan(graph.context, records=records)
    while number < place and turns < MOST_SEARCHED:
        record = plan.record(position)
        number += record.part_count
        position = record.end
        turns += 1
    need(number == place and records[position] == signature)
    graph.fill(searched_version=here.version, searched=position, searched_node=place)
    return records[position + 1]
