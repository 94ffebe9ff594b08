"""The two buffers of a graph: integers of records, and input values, which include random keys.

Outgrown buffers form a linked list. They stay until the graph is renewed, because a pass may be reading them.
"""

from __future__ import annotations

from ..plain import Words, plain
from . import words
from .c_api import NULL, call_or_fail, extern, need, new_reference
from .calls import recording
from .extension import c_function
from .here import Here, Item, NewRecord
from .structures import Function, Graph, Shared

# How many bytes precede the items of a buffer. In an outgrown buffer, they begin with the address of the next such one.
HEAD_SIZE = 64
BUFFERS = (("records", "length", "room", 8), ("inputs", "inputs_length", "inputs_room", 4))
"""For each buffer: the words of GRAPH with its address, length and room in items, and the size of an item in bytes."""
# A renewed graph gives up a buffer of more than SHRINK_FROM items if it used less than 1 / SHRINK_FACTOR of them.
SHRINK_FROM, SHRINK_FACTOR = 1 << 20, 8
ZERO_WHEN_RENEWED = (
    "nodes", "length", "inputs_length", "done", "inputs_done", "planned", "past_nodes", "newest_random_key",
    "differentiated_fully", "unusual", "has_watch",
)  # fmt: skip
"""The words of a graph that are set to 0 when it is renewed."""


def outgrow(graph: Graph, buffer_address) -> None:
    Words(buffer_address - HEAD_SIZE)[0] = graph.outgrown
    graph.outgrown = buffer_address


@c_function("dynet_make_room")
def make_room(shared_words: Shared, graph_address, integer_count, float_count):
    """Give the buffers room for `integer_count` and `float_count` items, at least doubling it. Return 1 or NULL."""
    graph = Graph(graph_address)
    for buffer, length, room, size, needed in ((*BUFFERS[0], integer_count), (*BUFFERS[1], float_count)):
        if needed > getattr(graph, room):
            wanted, old = getattr(graph, room) + needed, getattr(graph, buffer)
            begin = call_or_fail("PyMem_RawMalloc", (wanted + 1) * size + HEAD_SIZE) + HEAD_SIZE
            if old != NULL:
                extern("memcpy", begin, old, getattr(graph, length) * size)
                outgrow(graph, old)
            graph.fill(**{buffer: begin, room: wanted})
    return 1


@c_function()
def take_inputs(shared_words: Shared, graph_address, floats_address, count):
    """Append `count` floats to the input buffer. Return their offset, or 0 with an error set if memory runs out."""
    graph = Graph(graph_address)
    new = NewRecord(Here(shared_words, graph, graph.version), 0, count)
    extern("memcpy", graph.inputs + new.inputs_start * 4, floats_address, count * 4)
    graph.inputs_length = new.inputs_start + count
    return new.inputs_start


@recording(1, key=0, even_watched=True, take=0, take_keyed=1 + len(words.RANDOM_KEY))
def take(here: Here, function: Function, number_tuple: Item, room_before: int):
    """take(numbers) appends a tuple of numbers to the input buffer, and returns their offset.

    If an item is not a number or is too large, it appends nothing and leaves the call to Python. If `room_before` is
    not 0, the link and a new random key take this many floats before the numbers, and `take` returns the key's offset.
    """
    need(number_tuple.type == here.shared.tuple)
    numbers = here.items(number_tuple)
    new = NewRecord(here, 0, room_before + numbers.size)
    for k in range(numbers.size):
        new.floats[new.inputs_start + room_before + k] = here.number(numbers[k])
    if room_before:
        put_random_key(here.shared, here.graph, new.inputs_start + 1)
    here.graph.inputs_length = new.inputs_start + new.inputs
    return extern("PyLong_FromSsize_t", new.inputs_start + 1 if room_before else new.inputs_start)


@plain
def put_random_key(shared_words: Shared, graph: Graph, start) -> None:
    """Write a new random key at offset `start` of the input buffer, and before it the link to the previous key."""
    int32s = Words(graph.inputs, "int32")
    int32s[start - 1] = graph.newest_random_key
    graph.newest_random_key = start + 1
    draw_random_key(shared_words, int32s, start)


@plain
def draw_random_key(shared_words: Shared, int32s: Words, start) -> None:
    int32s[start] = shared_words.seed
    int32s[start + 1] = shared_words.drawn
    shared_words.drawn += 1


# Gives new values to all random keys of a graph, so that recomputing its random nodes draws anew.
@c_function("dynet_renew_keys")
def renew_keys(shared_words: Shared, graph_address):
    graph = Graph(graph_address)
    int32s, key = Words(graph.inputs, "int32"), graph.newest_random_key
    while key != 0:
        draw_random_key(shared_words, int32s, key - 1)
        key = int32s[key - 2]
    return 0


@c_function()
def overwrite(shared_words: Shared, graph_address, version, is_input, start, numbers_address, count):
    """Replace `count` input values, or integers of records, from offset `start` of their buffer. Return 1.

    If the graph's version is not `version`, or if the item at `start` has been computed, do nothing and return 0. The
    caller guarantees that the graph of this version has all these items.
    """
    graph = Graph(graph_address)
    if graph.version != version or (graph.inputs_done if is_input else graph.done) > start:
        return 0
    begin, size = graph.inputs if is_input else graph.records, 4 if is_input else 8
    extern("memcpy", begin + start * size, numbers_address, count * size)
    return 1


@plain
def renew_graph(shared_words: Shared, graph: Graph) -> None:
    """Renew a graph: remove all records and inputs, give it a new version, and free its outgrown buffers.

    Then give up each current buffer that is much larger than the graph needed: it becomes an outgrown buffer, and the
    next record will allocate a smaller buffer.
    """
    version = shared_words.newest_version + 1
    shared_words.newest_version = version
    while graph.outgrown != NULL:
        begin = graph.outgrown - HEAD_SIZE
        graph.outgrown = Words(begin)[0]
        extern("PyMem_RawFree", begin)
    for buffer, length, room, _ in BUFFERS:
        if getattr(graph, room) > SHRINK_FROM and getattr(graph, room) > getattr(graph, length) * SHRINK_FACTOR:
            outgrow(graph, getattr(graph, buffer))  # freed only when the graph is next renewed
            graph.fill(**{buffer: NULL, room: 0})
    graph.fill(version=version, open=version, differentiated=-1, **dict.fromkeys(ZERO_WHEN_RENEWED, 0))


@c_function()
def renew(shared_words: Shared, graph_address):
    renew_graph(shared_words, Graph(graph_address))
    return 0


@recording(0, key=0, even_watched=True)
def renew_quickly(here: Here, function: Function):
    """The fast path of renew_cg(). If the word `unusual` is 1, Python must do more."""
    if here.graph.unusual == 0:
        renew_graph(here.shared, here.graph)
        return new_reference(here.graph.object)


@c_function()
def cut(shared_words: Shared, graph_address, expected_version, nodes, length, inputs_length):
    """Remove the newest records of a graph, for `cg_revert`. Return the graph's new version.

    If the old version is not `expected_version`, only return 0. `nodes`, `length` and `inputs_length` say how many
    nodes, integers of records and input values to keep. The kept nodes keep their values, but not their gradients.
    """
    graph = Graph(graph_address)
    if graph.version != expected_version:
        return 0
    version = shared_words.newest_version + 1
    shared_words.newest_version = version
    if graph.past_nodes == 0:
        graph.fill(past_version=expected_version, past_nodes=nodes)
    # All versions from `past_version` to the new version must belong to this graph. If other threads have taken any
    # since `expected_version`, Python has to check all older nodes.
    graph.past_nodes = min(graph.past_nodes, nodes) if version == expected_version + 1 else 0
    graph.open = words.WATCHED if graph.open == words.WATCHED else version
    graph.fill(version=version, nodes=nodes, differentiated=-1, differentiated_fully=0)
    graph.fill(length=length, planned=min(graph.planned, length), done=min(graph.done, length))
    graph.fill(inputs_length=inputs_length, inputs_done=min(graph.inputs_done, inputs_length))
    while graph.newest_random_key > inputs_length:
        graph.newest_random_key = Words(graph.inputs, "int32")[graph.newest_random_key - 2]
    return version
