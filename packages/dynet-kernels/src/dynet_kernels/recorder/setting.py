"""The fast path of `x.set(values)`, which replaces the values of an input node. Terms: see `recorder/__init__.py`."""

from __future__ import annotations

from .. import layout as at
from ..plain import Words, entry, plain
from ..plan.nodes import Node, Plan
from .arrays import Nested, Values, opened
from .c_api import new_reference
from .calls import recording
from .here import Here, Item
from .passes import can_forget, forget_values
from .structures import Function
from .tables import find

MOST_SEARCHED = 1 << 12  # a search passes at most this many records: Python keeps an index for large graphs


@recording(2, name="set")
@entry
def set_values(here: Here, function: Function, x: Item, given: Item):
    """set(x, values), where `values` is a number, a list of numbers or an array.

    The path runs only if all of the graph or nothing of it has been planned. The key is the Dim (shape) of `x`. The row
    has the signature of input nodes with this Dim, and its `limit` is their number of elements.
    """
    if x.type != here.shared.expression or x.version != here.version:
        return
    row = find(function, x.dim)
    if not row.found or not can_forget(here):
        return
    start = start_of(here, x.at, row.signature)
    if start < 0:
        return
    for dims in (0, 1):
        numbers = Nested(here, given, dims)
        if numbers.count == row.limit and numbers.fits():
            return store(here, numbers, start)
    for array in opened(here, given):
        if array.dims == 1 and array.count == row.limit:
            return store(here, array, start)


@entry
def store(here: Here, values: Values, start):
    """Store all numbers in the input buffer from offset `start` on."""
    values.store(Words(here.graph.inputs, "float32"), start)
    if start < here.graph.inputs_done:
        forget_values(here.graph)
    return new_reference(here.shared.none)


@plain
def start_of(here: Here, place, signature):
    """Find the values of an input node in the input buffer.

    In a graph that has been planned, the planner's table says where the record of the node is. In one that has not, the
    records are searched, from the input on that was found last. Most programs set inputs in the order of their nodes,
    or each one when it is made.

    Args:
        place, signature: the number of the node; and its signature, if it is an input.

    Returns:
        The offset of the first value, or -1 if it is not found: then Python has to search.
    """
    graph, start = here.graph, -1
    records = Words(graph.records)
    if graph.planned == graph.length:
        node = Node(Words(graph.node_rows), place * len(at.NODE))
        if node.signature_at == signature:
            start = records[node.operands]
    elif graph.planned == 0:
        position, number, turns = 0, 0, 0
        if graph.searched_version == here.version and graph.searched_node <= place:
            position, number = graph.searched, graph.searched_node
        plan = Plan(graph.context, records=records)
        while number < place and turns < MOST_SEARCHED:
            record = plan.record(position)
            number += record.part_count
            position = record.end
            turns += 1
        if number == place and records[position] == signature:
            start = records[position + 1]
            graph.fill(searched_version=here.version, searched=position, searched_node=place)
    return start
