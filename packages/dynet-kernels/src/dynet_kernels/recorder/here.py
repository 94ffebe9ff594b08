"""How the fast paths check objects against the calling thread's graph, and append a record.

Everything is checked before `NewRecord.finish` makes a record part of the graph. Nothing interrupts a compiled
function, so a graph never has an incomplete record.
"""

from __future__ import annotations

from typing import Any

from ..plain import Words, plain
from . import words
from .c_api import NULL, call_or_fail, extern, need
from .structures import Expression, Graph, List, Shared


class Item(Expression):
    """A Python object, with the words of EXPRESSION as attributes. The word at address `slot` points to the object."""

    def __init__(self, address: Any, slot: Any = NULL):
        super().__init__(address)
        self.slot = slot


class Here:
    """The calling thread's graph: the shared words, the words of the graph, and its version."""

    def __init__(self, shared_words: Shared, graph: Graph, version: Any):
        self.shared, self.graph, self.version = shared_words, graph, version

    @plain
    def is_expression(self, x: Item):
        """Whether x is an expression: a node, or a parameter that is not a lookup table.

        An op on a whole lookup table is left to Python, which must note that the graph uses the whole table.
        """
        kind, shared = x.type, self.shared
        return kind == shared.expression or kind == shared.parameters or kind == shared.constant

    @plain
    def is_valid(self, x: Item):
        """Whether the expression x is valid in this graph: a parameter, or a node of the graph."""
        return x.version == words.ANY_GRAPH or self.is_node(x)

    @plain
    def is_node(self, x: Item):
        """Whether x has the graph's version, or is an earlier node that `cg_revert` kept."""
        version, graph = x.version, self.graph
        if version == self.version:
            return True
        return version < self.version and version >= graph.past_version and x.at < graph.past_nodes

    @plain
    def is_operand(self, x: Item):
        return self.is_expression(x) and self.is_valid(x)

    @plain
    def is_index(self, x: Item):
        """Whether x is a Python int, or a numpy int64 or int32."""
        kind, shared = x.type, self.shared
        return kind == shared.int or kind == shared.int64 or kind == shared.int32

    @plain
    def is_number(self, x: Item):
        """Whether x is a Python float or int, or a numpy number: float64, float32, int64 or int32."""
        kind, shared = x.type, self.shared
        return kind == shared.float or kind == shared.float64 or kind == shared.float32 or self.is_index(x)

    @plain
    def is_sequence(self, x: Item):
        kind = x.type
        return kind == self.shared.list or kind == self.shared.tuple

    @plain
    def index(self, x: Item):
        """Return the index x. Leave the entry unless it is an integer that fits in an int64."""
        need(self.is_index(x))
        is_int = x.type == self.shared.int
        value = extern("PyLong_AsSsize_t", x.address) if is_int else extern("PyNumber_AsSsize_t", x.address, NULL)
        if value == -1:
            need_no_error()
        return value

    @plain
    def flag(self, arguments: Items, index: int):
        """Return 1 if argument `index` is True, 0 if it is False or missing. Leave the entry if it is anything else."""
        if arguments.size <= index:
            return 0
        x = arguments[index].address
        need(x == self.shared.true or x == self.shared.false)
        return x == self.shared.true

    @plain
    def number(self, x: Item):
        """Return a number as a float64. Leave the entry if x is not a number, or is an int that is too large."""
        need(self.is_number(x))
        value = extern("PyFloat_AsDouble", x.address, returns="float64")
        if value == -1.0:
            need_no_error()
        return value

    @plain
    def items(self, x: Item) -> Items:
        """Return the items of a list or tuple. Leave the entry if x is anything else."""
        need(self.is_sequence(x))
        tuple_items = items_of_tuple(x.address)  # also right for a list's size, which is at the same place
        return Items(List(x.address).items if x.type == self.shared.list else tuple_items.begin, tuple_items.size)

    @plain
    def one_or_all(self, x: Item) -> Items:
        """Return the items of a list or tuple. Treat any other object as a list of one item."""
        begin, size = x.slot, 1
        if self.is_sequence(x):
            items = self.items(x)
            begin, size = items.begin, items.size
        return Items(begin, size)

    @plain
    def append(self, dim_address, *integers):
        new = NewRecord(self, len(integers))
        new.write(*integers)
        return new.finish(dim_address)

    @plain
    def new_expression(self, offset, dim_address, *owned):
        """Return an expression for node number graph.nodes + `offset`. Reuse a freed expression, if there is one."""
        shared, graph = self.shared, self.graph
        x_address = shared.free
        if x_address == NULL:
            x_address = call_or_fail("_PyObject_New", shared.expression, owned=owned)  # on failure, releases `owned`
        else:
            shared.free = Expression(x_address).at
            shared.free_count -= 1
        Expression(x_address).fill(references=1, at=graph.nodes + offset, version=graph.version, dim=dim_address)
        return x_address


@plain
def graph_here(shared_words: Shared, even_watched: bool = False) -> Here:
    """Return this thread's graph. Unless `even_watched`, leave the entry if fast paths may not append to the graph."""
    graph_address = extern("PyThread_tss_get", shared_words.thread_graph)
    need(graph_address != NULL)
    graph = Graph(graph_address)
    need(even_watched or graph.open > 0)  # WATCHED is negative
    return Here(shared_words, graph, graph.version)


@plain
def need_no_error() -> None:
    """If an error is pending, clear it and leave the entry."""
    if extern("PyErr_Occurred") != NULL:
        extern("PyErr_Clear")
        need(False)


@plain
def checked_index(limit, index):
    """Return `index`. Leave the entry unless it is at least 0 and below `limit`."""
    need(index >= 0 and index < limit)
    return index


class Items:
    """Objects whose addresses are adjacent words, starting at the address `begin`."""

    def __init__(self, begin, size):
        self.begin, self.size = begin, size

    def __getitem__(self, index) -> Item:
        return Item(Words(self.begin)[index], self.begin + 8 * index)

    def first(self, count: int) -> list[Item]:
        return [self[index] for index in range(count)]


def items_of_tuple(address) -> Items:
    return Items(address + 8 * len(words.TUPLE), List(address).size)


class NewRecord:
    """A new record. Its integers are written after the graph's records, its input values after the graph's.

    It has `length` integers, which start at offset `start` of the records, and `inputs` floats, which start at offset
    `inputs_start` of the input buffer. If memory runs out, the objects in `owned` are released.
    """

    @plain
    def __init__(self, here: Here, length, inputs=0, *owned):
        graph = here.graph
        end, inputs_end = graph.length + length, graph.inputs_length + inputs
        if end > graph.room or (inputs and inputs_end > graph.inputs_room):
            call_or_fail("dynet_make_room", graph.address, end, inputs_end, owned=owned)
        self.here, self.length, self.inputs = here, length, inputs
        self.start, self.integers = graph.length, Words(graph.records)
        self.inputs_start, self.floats = graph.inputs_length, Words(graph.inputs, "float32")

    @plain
    def write(self, *integers, begin=0) -> None:
        for k, integer in enumerate(integers):
            self.integers[self.start + begin + k] = integer

    @plain
    def finish(self, dim_address, nodes=1):
        """Add the record, which has `nodes` nodes, to the graph. Return the expression of the last node."""
        node = self.here.new_expression(nodes - 1, dim_address)
        self.finish_counts(nodes)
        return node

    @plain
    def finish_counts(self, nodes) -> None:
        graph = self.here.graph
        graph.length = self.start + self.length
        graph.nodes += nodes
        if self.inputs:
            graph.inputs_length = self.inputs_start + self.inputs
