"""Records that Python has prepared are added here."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from ..tir import Counter, int64, let, when
from .objects import (
    NULL,
    Int,
    both,
    either,
    extern,
    fits,
    is_expression,
    is_int,
    is_sequence,
    items_of,
    not_,
    taking,
)
from .recording import Recording, become_node, give_back, take_expression, thread_graph
from .structures import Expression, Graph, List, Object, Tuple, words_at


@taking(5)
def commit(shared, function, call, outcome):
    """commit(dim, nodes, head, operands, version): a record of the integers of the tuple `head` and of `operands`.

    Gives the expression of its last node. None if the graph is of another version, or an operand is neither an int nor
    an expression of it. It works for graphs that something watches, too.
    """
    dim, nodes_at, head_at, operands_at = (call[place] for place in range(4))
    graph_at = thread_graph(shared)
    sequences = both(
        graph_at != int64(NULL),
        is_int(shared, nodes_at),
        is_int(shared, call[4]),
        Object(head_at).type == shared.tuple,
        is_sequence(shared, operands_at),
    )
    with when(sequences):
        graph = Graph(graph_at)
        head, operands = words_at(items_of(shared, head_at)), words_at(items_of(shared, operands_at))
        head_size, size = let(Tuple(head_at).size), let(Tuple(operands_at).size)
        nodes, wanted = Int(nodes_at), Int(call[4])
        version = let(graph.version)
        fine = Counter(T.if_then_else(wanted.value == version, nodes.fits.get(), int64(0)))
        for items, length in ((head, head_size), (operands, size)):
            with T.serial(int64(0), length) as place:
                item = let(items[place])
                good = either(is_int(shared, item), both(is_expression(shared, item), fits(Expression(item), version)))
                with when(not_(good)):
                    fine.set(int64(0))
        with when(fine.get() != int64(0)):
            with Recording(shared, outcome, graph, head_size + size, nodes.value) as new:
                for items, length, begin in ((head, head_size, int64(0)), (operands, size, head_size)):
                    with T.serial(int64(0), length) as place:
                        item = let(items[place])
                        number = Counter(int64(0))
                        with when(is_int(shared, item)):
                            value = Int(item)
                            number.set(value.value)
                            with when(value.fits.get() == int64(0)):
                                fine.set(int64(0))
                        with when(not_(is_int(shared, item))):
                            number.set(Expression(item).at)
                        new.write(begin + place, number.get())
                with when(fine.get() != int64(0)):
                    new.finish(dim)
                with when(fine.get() == int64(0)):  # an int does not fit into an int64: nothing has been recorded
                    give_back(shared, new.node)


@taking(5)
def sequence(shared, function, call, outcome):
    """sequence(result, head, xs, dim, version): a record of the ints of `head` and of a list of nodes, all of one Dim.

    Its first node is followed by one for each of the list: gives a list of these, whose Dim is `result`. None if the
    graph is of another version, or what is in the list is no such node.
    """
    result, head_at, list_at, dim, version_at = (call[place] for place in range(5))
    graph_at = thread_graph(shared)
    kinds = Object(head_at).type == shared.tuple, Object(list_at).type == shared.list, is_int(shared, version_at)
    with when(both(graph_at != int64(NULL), *kinds)):
        size = let(List(list_at).size)
        made = extern("PyList_New", size)  # first: it may collect garbage, and that may run any program
        with when(made == int64(NULL)):
            outcome.give(made)
        with when(made != int64(NULL)):
            add_sequence(shared, Graph(graph_at), outcome, result, head_at, list_at, dim, Int(version_at), made, size)
            with outcome.undone():
                T.evaluate(T.call_extern("int32", "Py_DecRef", made))


def add_sequence(shared, graph, outcome, result, head_at, list_at, dim, wanted, made, size):
    head, items, found = words_at(items_of(shared, head_at)), words_at(List(list_at).items), words_at(List(made).items)
    head_size, version = let(Tuple(head_at).size), let(graph.version)
    fine = Counter(T.if_then_else(both(wanted.value == version, List(list_at).size == size), int64(1), int64(0)))
    with T.serial(int64(0), head_size) as place:
        with when(not_(is_int(shared, let(head[place])))):
            fine.set(int64(0))
    with when(fine.get() != int64(0)):
        with T.serial(int64(0), size) as place:
            item = let(items[place])
            x = Expression(item)
            good = both(Object(item).type == shared.expression, x.version == version, x.dim == dim)
            with when(not_(good)):
                fine.set(int64(0))
    length, needed = let(graph.length), let(head_size + size)
    with when(both(fine.get() != int64(0), length + needed > graph.room)):
        fine.set(extern("dynet_make_room", graph.address, needed))
        with when(fine.get() == int64(0)):
            fail(outcome, made)
    nodes = let(graph.nodes)
    with when(fine.get() != int64(0)):
        with T.serial(int64(0), size) as place:
            with when(fine.get() != int64(0)):
                taken = Counter(int64(NULL))
                take_expression(shared, taken)
                T.buffer_store(found, taken.get(), [place])
                with when(taken.get() == int64(NULL)):
                    fine.set(int64(0))
                with when(taken.get() != int64(NULL)):
                    become_node(let(taken.get()), nodes + int64(1) + place, version, result)
        with when(fine.get() == int64(0)):
            fail(outcome, made)
    with when(fine.get() != int64(0)):
        integers = words_at(graph.records)
        with T.serial(int64(0), head_size) as place:
            T.buffer_store(integers, Int(let(head[place])).value, [length + place])
        with T.serial(int64(0), size) as place:
            T.buffer_store(integers, Expression(let(items[place])).at, [length + head_size + place])
        graph.length = length + needed
        graph.nodes = nodes + size + int64(1)
        outcome.give(made)


def fail(outcome, object_at):
    """Give an exception that is set, and let go of an object."""
    outcome.give(int64(NULL))
    T.evaluate(T.call_extern("int32", "Py_DecRef", object_at))


@taking(2)
def handle(shared, function, call, outcome):
    """handle(at, dim): an expression of a node of this thread's graph."""
    graph_at = thread_graph(shared)
    with when(both(graph_at != int64(NULL), is_int(shared, call[0]))):
        graph, at = Graph(graph_at), Int(call[0])
        with when(T.And(at.fits.get() != int64(0), T.And(at.value >= int64(0), at.value < graph.nodes))):
            taken = Counter(int64(NULL))
            take_expression(shared, taken)
            outcome.give(taken.get())
            with when(taken.get() != int64(NULL)):
                become_node(let(taken.get()), at.value, graph.version, call[1])
