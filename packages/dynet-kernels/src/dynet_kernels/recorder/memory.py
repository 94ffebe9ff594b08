"""Emits code that manages the two buffers of a graph: one for the integers of its records, one for its input values.

A buffer that is too small is replaced by a larger one. The old one is *outgrown*: it is freed only when the graph is
renewed (emptied by `renew_cg`), because a pass, which computes the graph, may still be reading it. The outgrown buffers
of a graph form a linked list. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..tir import int64, let, when
from ..tvm_modules import T
from . import words
from .inputs import key_before
from .objects import NULL, extern, taking
from .recording import with_any_graph
from .structures import Graph, Shared, words_at

# This many bytes are reserved before the start of each buffer. When the buffer is outgrown, the first 8 of them are the
# link of the linked list: the address of the next outgrown buffer.
LINK = 64


def outgrow(graph, buffer_at):
    """Emit code that adds a buffer to the graph's outgrown ones, which are freed when the graph is next renewed."""
    T.buffer_store(words_at(buffer_at - int64(LINK)), graph.outgrown, [int64(0)])
    graph.outgrown = buffer_at


def free_outgrown(graph):
    with T.While(graph.outgrown != int64(NULL)):
        begin = let(graph.outgrown - int64(LINK))
        graph.outgrown = words_at(begin)[int64(0)]
        T.evaluate(T.call_extern("int32", "PyMem_RawFree", begin))


def more_room(buffer, length, room, size):
    def emit(shared_at, graph_at, count, out):
        """Emit the C function that replaces one of a graph's buffers by one that is at least twice as large.

        The new buffer has room for at least `count` more integers or floats. The function returns 1. If there is no
        memory, it sets a MemoryError and returns 0. `buffer`, `length` and `room` are the words of GRAPH for this
        buffer, and `size` is how many bytes an integer or float takes.
        """
        graph, result = Graph(graph_at), words_at(out)
        wanted = let(getattr(graph, room) * int64(2) + count)
        given = extern("PyMem_RawMalloc", (wanted + int64(1)) * int64(size) + int64(LINK))
        T.buffer_store(result, int64(0), [int64(0)])
        with when(given == int64(NULL)):
            T.evaluate(T.call_extern("int64", "PyErr_NoMemory"))
        with when(given != int64(NULL)):
            old, begin = let(getattr(graph, buffer)), let(given + int64(LINK))
            with when(old != int64(NULL)):
                used = let(getattr(graph, length) * int64(size))
                T.evaluate(T.call_extern("int64", "memcpy", begin, old, used))
                outgrow(graph, old)
            setattr(graph, buffer, begin)
            setattr(graph, room, wanted)
            T.buffer_store(result, int64(1), [int64(0)])

    return emit


SHRINK_FROM, SHRINK_TO = 1 << 20, 8
"""When a graph is renewed, it gives up a buffer for more than SHRINK_FROM integers or floats if it used less than
1 / SHRINK_TO of it."""


def renew_words(shared, graph):
    """Emit code that renews a graph: removes all records and inputs, and gives the graph a new version.

    It also frees the outgrown buffers. Then it gives up each present buffer that is much larger than the graph needed:
    this buffer becomes an outgrown one, and the next record will allocate a smaller one.
    """
    version = let(shared.newest + int64(1))
    shared.newest = version
    with when(graph.outgrown != int64(NULL)):
        free_outgrown(graph)
    for buffer, length, room in (("records", "length", "room"), ("inputs", "inputs_length", "inputs_room")):
        with when(getattr(graph, room) > int64(SHRINK_FROM)):
            with when(getattr(graph, room) > getattr(graph, length) * int64(SHRINK_TO)):
                outgrow(graph, let(getattr(graph, buffer)))  # this buffer is freed only when the graph is next renewed
                setattr(graph, buffer, NULL)
                setattr(graph, room, 0)
    graph.version = version
    graph.open = version
    for name in (
        "nodes",
        "length",
        "inputs_length",
        "done",
        "inputs_done",
        "planned",
        "past_nodes",
        "newest_key",
        "differentiated_fully",
        "unusual",
        "watched",
    ):
        setattr(graph, name, 0)
    graph.differentiated = -1


def renew(shared_at, graph_at, out):
    """Emit the C function that renews a graph (see `renew_words`) and returns its new version."""
    graph = Graph(graph_at)
    renew_words(Shared(shared_at), graph)
    T.buffer_store(words_at(out), graph.version, [int64(0)])


@taking(0)
@with_any_graph
def renew_quickly(shared, graph, function, call, outcome):
    """Emit the fast path of renew_cg(), which serves only graphs for which Python has nothing to clean up.

    For all others, Python has set the word `unusual` to 1.
    """
    with when(graph.unusual == int64(0)):
        renew_words(shared, graph)
        outcome.give_known(graph.object)


def note_past(graph, old, nodes, new):
    """Emit code that notes which nodes stay valid when a graph's version changes from `old` to `new`.

    All versions from `past_version` to `new` must be this graph's. If other threads have had versions since `old`,
    nothing is noted, and Python has to check all nodes from before.

    Args:
        nodes: how many nodes stay.
    """
    with when(graph.past_nodes == int64(0)):
        graph.past_version = old
        graph.past_nodes = nodes
    graph.past_nodes = let(T.if_then_else(new == old + int64(1), T.min(graph.past_nodes, nodes), int64(0)))


def cut(shared_at, graph_at, expected, nodes, length, inputs_length, out):
    """Emit the C function cut(), by which `cg_revert` removes the newest records. It returns the graph's new version.

    The values of the other nodes stay, but not their gradients.

    Args:
        expected: the version that the graph should have. If it has another one, the function does nothing, returns 0.
        nodes, length, inputs_length: how many nodes, integers of records and input values to keep.
    """
    shared, graph, result = Shared(shared_at), Graph(graph_at), words_at(out)
    T.buffer_store(result, int64(0), [int64(0)])
    with when(graph.version == expected):
        version = let(shared.newest + int64(1))
        note_past(graph, int64(expected), int64(nodes), version)
        shared.newest = version
        graph.version = version
        graph.open = let(T.if_then_else(graph.open == int64(words.WATCHED), int64(words.WATCHED), version))
        graph.nodes = nodes
        graph.length = length
        graph.planned = T.min(graph.planned, int64(length))
        graph.inputs_length = inputs_length
        graph.done = T.min(graph.done, int64(length))
        graph.inputs_done = T.min(graph.inputs_done, int64(inputs_length))
        graph.differentiated = -1
        graph.differentiated_fully = 0
        with T.While(graph.newest_key > int64(inputs_length)):
            graph.newest_key = key_before(graph, graph.newest_key)
        T.buffer_store(result, version, [int64(0)])
