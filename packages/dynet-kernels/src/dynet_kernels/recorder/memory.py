"""The memory of graphs. Each graph has two buffers: one for the integers of its records, one for its input values.

A buffer that is too small is replaced by a larger one. The old one is *outgrown*: it is freed only when the graph is
renewed (emptied by `renew_cg`), because a pass, which computes the graph, may still be reading it. The outgrown buffers
of a graph form a linked list. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..plain import Words, plain
from . import words
from .c_api import NULL, extern, fail, new_reference
from .calls import recording
from .extension import c_function
from .here import Here
from .inputs import key_before
from .structures import Function, Graph, Shared

# This many bytes are reserved before the start of each buffer. When the buffer is outgrown, the first 8 of them are the
# link of the linked list: the address of the next outgrown buffer.
LINK = 64
BUFFERS = (("records", "length", "room", 8), ("inputs", "inputs_length", "inputs_room", 4))
"""For each buffer the words of GRAPH with its address, length and room, counted in items; and the size of an item."""
# When a graph is renewed, it gives up a buffer for more than SHRINK_FROM integers or floats if it used less than
# 1 / SHRINK_TO of it.
SHRINK_FROM, SHRINK_TO = 1 << 20, 8
EMPTY = (
    "nodes", "length", "inputs_length", "done", "inputs_done", "planned", "past_nodes", "newest_key",
    "differentiated_fully", "unusual", "watched",
)  # fmt: skip
"""The words of a graph that are 0 after it was renewed."""


def outgrow(graph: Graph, buffer_at) -> None:
    """Add a buffer to the graph's outgrown ones, which are freed when the graph is next renewed."""
    Words(buffer_at - LINK)[0] = graph.outgrown
    graph.outgrown = buffer_at


def more_room(name: str, buffer: str, length: str, room: str, size: int) -> None:
    @c_function(name)
    def path(shared: Shared, graph_at, count):
        """Replace one of a graph's buffers by one that is at least twice as large. Return 1.

        The new buffer has room for at least `count` more integers or floats, of `size` bytes each. If there is no
        memory, return NULL, with an error.
        """
        graph = Graph(graph_at)
        wanted = getattr(graph, room) * 2 + count
        given = extern("PyMem_RawMalloc", (wanted + 1) * size + LINK)
        if given == NULL:
            extern("PyErr_NoMemory")
            fail()
        old, begin = getattr(graph, buffer), given + LINK
        if old != NULL:
            extern("memcpy", begin, old, getattr(graph, length) * size)
            outgrow(graph, old)
        graph.fill(**{buffer: begin, room: wanted})
        return 1


more_room("dynet_make_room", *BUFFERS[0])
more_room("dynet_make_input_room", *BUFFERS[1])


@plain
def renew_words(shared: Shared, graph: Graph) -> None:
    """Renew a graph: remove all records and inputs, and give the graph a new version.

    Also free the outgrown buffers. Then give up each present buffer that is much larger than the graph needed: this
    buffer becomes an outgrown one, and the next record will allocate a smaller one.
    """
    version = shared.newest + 1
    shared.newest = version
    while graph.outgrown != NULL:
        begin = graph.outgrown - LINK
        graph.outgrown = Words(begin)[0]
        extern("PyMem_RawFree", begin)
    for buffer, length, room, _ in BUFFERS:
        if getattr(graph, room) > SHRINK_FROM and getattr(graph, room) > getattr(graph, length) * SHRINK_TO:
            outgrow(graph, getattr(graph, buffer))  # this buffer is freed only when the graph is next renewed
            graph.fill(**{buffer: NULL, room: 0})
    graph.fill(version=version, open=version, differentiated=-1, **dict.fromkeys(EMPTY, 0))


@c_function()
def renew(shared: Shared, graph_at):
    """Renew a graph (see `renew_words`) and return its new version."""
    graph = Graph(graph_at)
    renew_words(shared, graph)
    return graph.version


@recording(0, key=0, anywhere=True)
def renew_quickly(here: Here, function: Function):
    """The fast path of renew_cg(), for graphs for which Python has nothing to clean up.

    For all others, Python has set the word `unusual` to 1.
    """
    if here.graph.unusual == 0:
        renew_words(here.shared, here.graph)
        return new_reference(here.graph.object)


@plain
def note_past(graph: Graph, old, nodes, new) -> None:
    """Note which nodes stay valid when a graph's version changes from `old` to `new`.

    All versions from `past_version` to `new` must be this graph's. If other threads have had versions since `old`,
    nothing is noted, and Python has to check all nodes from before.

    Args:
        nodes: how many nodes stay.
    """
    if graph.past_nodes == 0:
        graph.past_version = old
        graph.past_nodes = nodes
    graph.past_nodes = min(graph.past_nodes, nodes) if new == old + 1 else 0


@c_function()
def cut(shared: Shared, graph_at, expected, nodes, length, inputs_length):
    """Remove the newest records of a graph, for `cg_revert`. Return the graph's new version.

    The values of the other nodes stay, but not their gradients.

    Args:
        expected: the version that the graph should have. If it has another one, do nothing, and return 0.
        nodes, length, inputs_length: how many nodes, integers of records and input values to keep.
    """
    graph = Graph(graph_at)
    if graph.version != expected:
        return 0
    version = shared.newest + 1
    note_past(graph, expected, nodes, version)
    shared.newest = version
    graph.open = words.WATCHED if graph.open == words.WATCHED else version
    graph.fill(version=version, nodes=nodes, length=length, inputs_length=inputs_length)
    graph.planned = min(graph.planned, length)
    graph.done = min(graph.done, length)
    graph.inputs_done = min(graph.inputs_done, inputs_length)
    graph.fill(differentiated=-1, differentiated_fully=0)
    while graph.newest_key > inputs_length:
        graph.newest_key = key_before(graph, graph.newest_key)
    return version
