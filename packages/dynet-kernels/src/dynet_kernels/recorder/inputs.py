"""Inputs: numbers from the program, kept as floats in the input buffer of the graph.

The buffer also holds the *random keys* of nodes that draw random numbers. A random key is two int32, a seed and a
count; all random numbers of the node are computed from it. The int32 before it is a *link*: the offset of the previous
random key plus 1, or 0 if there is none. So all random keys of a graph form a linked list. They have nothing to do with
the keys in the tables of recording functions. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..plain import Words, plain
from . import words
from .c_api import NULL, extern, need
from .calls import recording
from .extension import c_function
from .here import Here, Item, NewRecord
from .structures import Function, Graph, Shared


@c_function()
def take_inputs(shared: Shared, graph_at, floats_at, count):
    """Append `count` floats, from address `floats_at` on, to a graph's input buffer.

    Return the offset of the first of them in the buffer; -1, with an error, if there is no memory for a larger buffer.
    """
    graph = Graph(graph_at)
    if graph.inputs_length + count > graph.inputs_room and extern("dynet_make_input_room", graph_at, count) == NULL:
        return -1
    start = graph.inputs_length
    extern("memcpy", graph.inputs + start * 4, floats_at, count * 4)
    graph.inputs_length = start + count
    return start


def taking_numbers(name: str, keyed: bool = False) -> None:
    """Make the kind take(numbers), which appends a tuple of numbers to the input buffer.

    Its result is where they begin there. If an item is not a number, or is too large, it appends nothing, and leaves
    the call to Python.

    Args:
        keyed: whether a new random key is stored before the numbers; the result is then the offset of this key.
    """

    @recording(1, name=name, key=0, anywhere=True)
    def take(here: Here, function: Function, given: Item):
        need(given.type == here.shared.tuple)
        numbers, before = here.items(given), 1 + len(words.KEY) if keyed else 0
        new = NewRecord(here, 0, before + numbers.size)
        for place in range(numbers.size):
            new.floats[new.first + before + place] = here.number(numbers[place])
        if keyed:
            put_key(here.shared, here.graph, new.first + 1)
        here.graph.inputs_length = new.first + before + numbers.size
        return extern("PyLong_FromSsize_t", new.first + int(keyed))


taking_numbers("take")
taking_numbers("take_keyed", keyed=True)


@plain
def put_key(shared: Shared, graph: Graph, start) -> None:
    """Write a new random key at offset `start` of the input buffer, and its link just before it.

    The link leads to the random key that was the graph's newest until now.
    """
    raw = Words(graph.inputs, "int32")
    raw[start - 1] = graph.newest_key
    graph.newest_key = start + 1
    draw_key(shared, raw, start)


@plain
def draw_key(shared: Shared, raw: Words, start) -> None:
    raw[start] = shared.seed
    raw[start + 1] = shared.drawn
    shared.drawn += 1


def key_before(graph: Graph, key):
    """Return the link of a random key: the offset of the previous random key plus 1, or 0 if there is none.

    Args:
        key: the offset of the random key in the input buffer plus 1, like `newest_key` of the graph.
    """
    return Words(graph.inputs, "int32")[key - 2]


@c_function("dynet_renew_keys")
def renew_keys(shared: Shared, graph_at):
    """Overwrite all random keys of a graph with new ones, so that nodes draw new numbers."""
    graph = Graph(graph_at)
    raw, key = Words(graph.inputs, "int32"), graph.newest_key
    while key != 0:
        draw_key(shared, raw, key - 1)
        key = key_before(graph, key)
    return 0


@c_function()
def draw(shared: Shared):
    """Return the count of a new random key, for numbers drawn outside of graphs."""
    count = shared.drawn
    shared.drawn = count + 1
    return count


@c_function()
def overwrite(shared: Shared, graph_at, version, is_input, start, numbers_at, count):
    """Copy `count` inputs, or integers of records, from an address to offset `start` of their buffer. Return 1.

    If the graph has another version than `version`, or those from `start` on have been computed, return 0.
    """
    graph = Graph(graph_at)
    if graph.version != version or (graph.inputs_done if is_input else graph.done) > start:
        return 0
    begin, size = graph.inputs if is_input else graph.records, 4 if is_input else 8
    extern("memcpy", begin + start * size, numbers_at, count * size)
    return 1
