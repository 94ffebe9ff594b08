"""The memory of a graph's records and inputs: it grows, and is given back or cut."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from ..tir import int64, let, when
from . import words
from .extension import CFunction
from .inputs import key_before
from .objects import NULL, extern, taking
from .recording import thread_graph
from .structures import Graph, Shared, words_at

LINK = 64  # bytes before a buffer; their first word is the address of the buffer outgrown before


def outgrow(graph, buffer_at):
    """Keep a buffer until the graph is renewed."""
    T.buffer_store(words_at(buffer_at - int64(LINK)), graph.outgrown, [int64(0)])
    graph.outgrown = buffer_at


def free_outgrown(graph):
    with T.While(graph.outgrown != int64(NULL)):
        begin = let(graph.outgrown - int64(LINK))
        graph.outgrown = words_at(begin)[int64(0)]
        T.evaluate(T.call_extern("int32", "PyMem_RawFree", begin))


def more_room(buffer, length, room, size):
    def emit(shared_at, graph_at, count, out):
        """Have room for `count` more; 0 with a MemoryError if there is none."""
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

    return CFunction(("graph", "count"), emit)


SHRINK_FROM, SHRINK_TO = 1 << 20, 8
"""Integers or floats, from which on a graph gives back its room, if the last graph used no eighth of it."""


def renew_words(shared, graph):
    """Forget what has been recorded, under another version."""
    version = let(shared.newest + int64(1))
    shared.newest = version
    with when(graph.outgrown != int64(NULL)):
        free_outgrown(graph)
    for buffer, length, room in (("records", "length", "room"), ("inputs", "inputs_length", "inputs_room")):
        with when(getattr(graph, room) > int64(SHRINK_FROM)):
            with when(getattr(graph, room) > getattr(graph, length) * int64(SHRINK_TO)):
                outgrow(graph, let(getattr(graph, buffer)))  # freed when the next graph is renewed
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
        "newest_key",
        "differentiated_fully",
        "unusual",
        "watched",
    ):
        setattr(graph, name, 0)
    graph.differentiated = -1


def renew(shared_at, graph_at, out):
    """Forget what has been recorded."""
    graph = Graph(graph_at)
    renew_words(Shared(shared_at), graph)
    T.buffer_store(words_at(out), graph.version, [int64(0)])


@taking(0)
def renew_quickly(shared, function, call, outcome):
    """renew_cg() of a graph of which nothing unusual is left."""
    graph_at = thread_graph(shared)
    with when(graph_at != int64(NULL)):
        graph = Graph(graph_at)
        with when(graph.unusual == int64(0)):
            renew_words(shared, graph)
            outcome.give_known(graph.object)


def cut(shared_at, graph_at, nodes, length, inputs_length, out):
    """Forget the newest records, under another version."""
    shared, graph = Shared(shared_at), Graph(graph_at)
    version = let(shared.newest + int64(1))
    shared.newest = version
    graph.version = version
    graph.open = let(T.if_then_else(graph.open == int64(words.WATCHED), int64(words.WATCHED), version))
    graph.nodes = nodes
    graph.length = length
    graph.planned = T.min(graph.planned, int64(length))
    graph.inputs_length = inputs_length
    with T.While(graph.newest_key > int64(inputs_length)):
        graph.newest_key = key_before(graph, graph.newest_key)
    T.buffer_store(words_at(out), version, [int64(0)])
