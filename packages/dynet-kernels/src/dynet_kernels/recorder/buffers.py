"""The two buffers of a graph: integers of records, and input values, which include random keys.

Outgrown buffers form a linked list. They are freed only when the graph is renewed: a pass may still be reading them.
"""

from __future__ import annotations

from ..plain import Words, plain
from . import words
from .c_api import NULL, call_or_fail, extern, need, new_reference
from .calls import recording
from .extension import c_function
from .here import Here, Item, NewRecord
from .structures import Function, Graph, Shared

# The number of bytes before each buffer. In an outgrown buffer, they begin with the address of the next such buffer.
LINK = 64
BUFFERS = (("records", "length", "room", 8), ("inputs", "inputs_length", "inputs_room", 4))
"""For each buffer: the words of GRAPH with its address, length and room in items, and the size of an item in bytes."""
# A renewed graph gives up a buffer of more than SHRINK_FROM items if less than 1 / SHRINK_TO of it was used.
SHRINK_FROM, SHRINK_TO = 1 << 20, 8
EMPTY = (
    "nodes", "length", "inputs_length", "done", "inputs_done", "planned", "past_nodes", "newest_key",
    "differentiated_fully", "unusual", "watched",
)  # fmt: skip
"""The words of a graph that are set to 0 when it is renewed."""


def outgrow(graph: Graph, address) -> None:
    Words(address - LINK)[0] = graph.outgrown
    graph.outgrown = address


@c_function("dynet_make_room")
def make_room(shared: Shared, graph_at, integers, floats):
    """Make room for `integers` and `floats` in total. Buffers at least double. Return 1, or NULL with an error set."""
    graph = Graph(graph_at)
    for buffer, length, room, size, most in ((*BUFFERS[0], integers), (*BUFFERS[1], floats)):
        if most > getattr(graph, room):
            wanted, old = getattr(graph, room) + most, getattr(graph, buffer)
            begin = call_or_fail("PyMem_RawMalloc", (wanted + 1) * size + LINK) + LINK
            if old != NULL:
                extern("memcpy", begin, old, getattr(graph, length) * size)
                outgrow(graph, old)
            graph.fill(**{buffer: begin, room: wanted})
    return 1


@c_function()
def take_inputs(shared: Shared, graph_at, floats_at, count):
    """Append `count` floats to the input buffer. Return their offset, or 0 with an error set if memory runs out."""
    graph = Graph(graph_at)
    new = NewRecord(Here(shared, graph, graph.version), 0, count)
    extern("memcpy", graph.inputs + new.first * 4, floats_at, count * 4)
    graph.inputs_length = new.first + count
    return new.first


@recording(1, key=0, anywhere=True, take=0, take_keyed=1 + len(words.KEY))
def take(here: Here, function: Function, given: Item, before: int):
    """take(numbers) appends a tuple of numbers to the input buffer, and returns their offset.

    If an item is not a number or is too large, it appends nothing and leaves the call to Python. If `before` is not 0,
    a new random key and its link take this many floats before the numbers, and the result is the offset of the key.
    """
    need(given.type == here.shared.tuple)
    numbers = here.items(given)
    new = NewRecord(here, 0, before + numbers.size)
    for k in range(numbers.size):
        new.floats[new.first + before + k] = here.number(numbers[k])
    if before:
        put_key(here.shared, here.graph, new.first + 1)
    here.graph.inputs_length = new.first + new.inputs
    return extern("PyLong_FromSsize_t", new.first + 1 if before else new.first)


@plain
def put_key(shared: Shared, graph: Graph, start) -> None:
    """Write a new random key at offset `start` of the input buffer, and before it the link to the previous key."""
    raw = Words(graph.inputs, "int32")
    raw[start - 1] = graph.newest_key
    graph.newest_key = start + 1
    draw_key(shared, raw, start)


@plain
def draw_key(shared: Shared, raw: Words, start) -> None:
    raw[start] = shared.seed
    raw[start + 1] = shared.drawn
    shared.drawn += 1


@c_function("dynet_renew_keys")
def renew_keys(shared: Shared, graph_at):
    graph = Graph(graph_at)
    raw, key = Words(graph.inputs, "int32"), graph.newest_key
    while key != 0:
        draw_key(shared, raw, key - 1)
        key = raw[key - 2]
    return 0


@c_function()
def overwrite(shared: Shared, graph_at, version, is_input, start, numbers_at, count):
    """Copy `count` input values, or integers of records, to offset `start` of their buffer. Return 1.

    If the graph's version is not `version`, or if the item at `start` has been computed, do nothing and return 0.
    """
    graph = Graph(graph_at)
    if graph.version != version or (graph.inputs_done if is_input else graph.done) > start:
        return 0
    begin, size = graph.inputs if is_input else graph.records, 4 if is_input else 8
    extern("memcpy", begin + start * size, numbers_at, count * size)
    return 1


@plain
def renew_words(shared: Shared, graph: Graph) -> None:
    """Renew a graph: remove all records and inputs, give it a new version, and free its outgrown buffers.

    Then give up each current buffer that is much larger than the graph needed: it becomes an outgrown buffer, and the
    next record will allocate a smaller buffer.
    """
    version = shared.newest + 1
    shared.newest = version
    while graph.outgrown != NULL:
        begin = graph.outgrown - LINK
        graph.outgrown = Words(begin)[0]
        extern("PyMem_RawFree", begin)
    for buffer, length, room, _ in BUFFERS:
        if getattr(graph, room) > SHRINK_FROM and getattr(graph, room) > getattr(graph, length) * SHRINK_TO:
            outgrow(graph, getattr(graph, buffer))  # freed only when the graph is next renewed
            graph.fill(**{buffer: NULL, room: 0})
    graph.fill(version=version, open=version, differentiated=-1, **dict.fromkeys(EMPTY, 0))


@c_function()
def renew(shared: Shared, graph_at):
    renew_words(shared, Graph(graph_at))
    return 0


@recording(0, key=0, anywhere=True)
def renew_quickly(here: Here, function: Function):
    """The fast path of renew_cg(). If the word `unusual` is 1, Python must do more."""
    if here.graph.unusual == 0:
        renew_words(here.shared, here.graph)
        return new_reference(here.graph.object)


@c_function()
def cut(shared: Shared, graph_at, expected, nodes, length, inputs_length):
    """Remove the newest records of a graph, for `cg_revert`. Return the graph's new version.

    If its version is not `expected`, do nothing and return 0. `nodes`, `length` and `inputs_length` say how many nodes,
    integers of records and input values to keep. The kept nodes keep their values, but not their gradients.
    """
    graph = Graph(graph_at)
    if graph.version != expected:
        return 0
    version = shared.newest + 1
    shared.newest = version
    if graph.past_nodes == 0:
        graph.fill(past_version=expected, past_nodes=nodes)
    # All versions from `past_version` to the new version must belong to this graph. If other threads have taken any
    # since `expected`, Python has to check all older nodes.
    graph.past_nodes = min(graph.past_nodes, nodes) if version == expected + 1 else 0
    graph.open = words.WATCHED if graph.open == words.WATCHED else version
    graph.fill(version=version, nodes=nodes, differentiated=-1, differentiated_fully=0)
    graph.fill(length=length, planned=min(graph.planned, length), done=min(graph.done, length))
    graph.fill(inputs_length=inputs_length, inputs_done=min(graph.inputs_done, inputs_length))
    while graph.newest_key > inputs_length:
        graph.newest_key = Words(graph.inputs, "int32")[graph.newest_key - 2]
    return version
