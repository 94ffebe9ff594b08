"""What a thread records: how a record is added, and the memory of them all.

Everything is checked before the first word of a record is written, and nothing interrupts a compiled function: a record
is whole or absent.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import tir
from ..tir import Counter, int64, let, when
from . import words
from .extension import CFunction
from .objects import (
    NULL,
    Call,
    Int,
    Outcome,
    both,
    either,
    extern,
    fits,
    is_expression,
    is_int,
    is_number,
    is_sequence,
    items_of,
    not_,
)
from .structures import Expression, Function, Graph, List, Object, Shared, Tuple, words_at


def thread_graph(shared):
    """The address of this thread's graph; NULL before the first."""
    return extern("PyThread_tss_get", shared.thread_graph)


def with_graph(emit: Callable) -> Callable:
    """Emit something where this thread has a graph that goes the quick way: emit(graph, its version)."""

    def emitted(shared, *arguments):
        graph_at = thread_graph(shared)
        with when(graph_at != int64(NULL)):
            graph = Graph(graph_at)
            version = let(graph.open)
            with when(version > int64(0)):
                emit(shared, graph, version, *arguments)

    return emitted


class Recording:
    """A record that is being made in this thread's graph.

    Used as `with Recording(shared, outcome, length) as new`: what is within is emitted where there is room for `length`
    integers and `inputs` floats, and an expression, `new.node`. Without memory, the outcome is an exception.
    """

    def __init__(self, shared, outcome, graph, length, nodes=1, inputs=0):
        self.shared, self.outcome, self.graph = shared, outcome, graph
        self.length, self.nodes, self.inputs = int64(length), int64(nodes), inputs
        self._fine, self._taken = Counter(int64(1)), Counter(int64(NULL))

    def __enter__(self):
        graph, fine = self.graph, self._fine
        with when(graph.length + self.length > graph.room):
            fine.set(extern("dynet_make_room", graph.address, self.length))
        if not isinstance(self.inputs, int) or self.inputs:
            with when(both(fine.get() != int64(0), graph.inputs_length + int64(self.inputs) > graph.inputs_room)):
                fine.set(extern("dynet_make_input_room", graph.address, int64(self.inputs)))
        with when(fine.get() != int64(0)):
            take_expression(self.shared, self._taken)
        self._within = when(self._taken.get() != int64(NULL))
        with when(self._taken.get() == int64(NULL)):
            self.outcome.done.set(int64(1))
        self._within.__enter__()
        self.node = let(self._taken.get())
        self.start = let(graph.length)
        self.integers = words_at(graph.records)
        return self

    def __exit__(self, *problem):
        return self._within.__exit__(*problem)

    def write(self, place, value):
        """Write an integer of the record."""
        T.buffer_store(self.integers, int64(value), [self.start + int64(place)])

    def finish(self, dim, integers=()):
        """Write the first integers, and have the record be one. The expression is that of the last of its nodes."""
        for place, value in enumerate(integers):
            self.write(place, value)
        graph = self.graph
        graph.length = self.start + self.length
        nodes = let(graph.nodes + self.nodes)
        graph.nodes = nodes
        become_node(self.node, let(nodes - int64(1)), graph.version, dim)
        self.outcome.give(self.node)


def become_node(expression_at, at, version, dim):
    expression = Expression(expression_at)
    expression.references = 1
    expression.at = at
    expression.version = version
    expression.dim = dim


def take_expression(shared, taken):
    """Take an expression from the chain of free ones, or a new one; NULL without memory."""
    taken.set(shared.free)
    none_free = taken.get() == int64(NULL)
    tir.choose(
        none_free,
        lambda: taken.set(extern("_PyObject_New", shared.expression)),
        lambda: shorten_chain(shared, taken.get()),
    )


def shorten_chain(shared, expression_at):
    shared.free = Expression(expression_at).at
    shared.free_count = shared.free_count - int64(1)


def give_back(shared, expression_at):
    """Put an expression that was taken back into the chain."""
    Expression(expression_at).at = shared.free
    shared.free = expression_at
    shared.free_count = shared.free_count + int64(1)


def begin_input(recording):
    """Where the record's floats begin among the inputs, and the memory of these."""
    graph = recording.graph
    return let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")


def commit(shared_at, function_at, arguments, count, keywords, out):
    """commit(dim, nodes, head, operands, version): a record of the integers of the tuple `head` and of `operands`.

    Gives the expression of its last node. None if the graph is of another version, or an operand is neither an int nor
    an expression of it. It works for graphs that something watches, too.
    """
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(5)):
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
                    good = either(
                        is_int(shared, item), both(is_expression(shared, item), fits(Expression(item), version))
                    )
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
                    with when(fine.get() == int64(0)):  # an int of more than 63 bits: nothing has been recorded
                        give_back(shared, new.node)
    outcome.otherwise(function.slow, arguments, count, keywords)


def sequence(shared_at, function_at, arguments, count, keywords, out):
    """sequence(result, head, xs, dim, version): a record of the ints of `head` and of a list of nodes, all of one Dim.

    Its first node is followed by one for each of the list: gives a list of these, whose Dim is `result`. None if the
    graph is of another version, or what is in the list is no such node.
    """
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(5)):
        result, head_at, list_at, dim, version_at = (call[place] for place in range(5))
        graph_at = thread_graph(shared)
        kinds = Object(head_at).type == shared.tuple, Object(list_at).type == shared.list, is_int(shared, version_at)
        with when(both(graph_at != int64(NULL), *kinds)):
            size = let(List(list_at).size)
            made = extern("PyList_New", size)  # first: it may collect garbage, and that may run any program
            with when(made == int64(NULL)):
                outcome.give(made)
            with when(made != int64(NULL)):
                add_sequence(
                    shared, Graph(graph_at), outcome, result, head_at, list_at, dim, Int(version_at), made, size
                )
                with outcome.undone():
                    T.evaluate(T.call_extern("int32", "Py_DecRef", made))
    outcome.otherwise(function.slow, arguments, count, keywords)


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


def handle(shared_at, function_at, arguments, count, keywords, out):
    """handle(at, dim): an expression of a node of this thread's graph."""
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(2)):
        graph_at = thread_graph(shared)
        with when(both(graph_at != int64(NULL), is_int(shared, call[0]))):
            graph, at = Graph(graph_at), Int(call[0])
            with when(T.And(at.fits.get() != int64(0), T.And(at.value >= int64(0), at.value < graph.nodes))):
                taken = Counter(int64(NULL))
                take_expression(shared, taken)
                outcome.give(taken.get())
                with when(taken.get() != int64(NULL)):
                    become_node(let(taken.get()), at.value, graph.version, call[1])
    outcome.otherwise(function.slow, arguments, count, keywords)


# ------------------------------------------------------------------------------------------------------------ memory

LINK = 64  # bytes before a buffer, of which the first word links those that have been outgrown


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


def take_inputs(shared_at, graph_at, floats_at, count, out):
    """Keep floats among the inputs; where they begin, or -1 with a MemoryError."""
    graph, result = Graph(graph_at), words_at(out)
    fine = Counter(int64(1))
    with when(graph.inputs_length + count > graph.inputs_room):
        fine.set(extern("dynet_make_input_room", graph_at, count))
    T.buffer_store(result, int64(-1), [int64(0)])
    with when(fine.get() != int64(0)):
        start, inputs = let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")
        given = tir.buffer_at(floats_at, "float32")
        with T.serial(int64(0), count) as place:
            T.buffer_store(inputs, given[place], [start + place])
        graph.inputs_length = start + count
        T.buffer_store(result, start, [int64(0)])


SHRINK_FROM, SHRINK_TO = 1 << 20, 8
"""Integers or floats, from which on a graph gives back its room, if the last graph used no eighth of it."""


def store_number(inputs, place, object_at, fine):
    """Store a number as a float32, unless it is an int that is too large; `fine` says so."""
    number = let(T.call_extern("float64", "PyFloat_AsDouble", object_at))
    T.buffer_store(inputs, T.Cast("float32", number), [place])
    with when(number == tirx.const(-1.0, "float64")):
        with when(extern("PyErr_Occurred") != int64(NULL)):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))
            fine.set(int64(0))


def take(shared_at, function_at, arguments, count, keywords, out):
    """take(bits, numbers): keep, among the inputs, two tuples: of ints, each as the bits of a float, and of floats.

    Gives where they begin.
    """
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(2)):
        graph_at = thread_graph(shared)
        bits_at, numbers_at = call[0], call[1]
        tuples = both(Object(bits_at).type == shared.tuple, Object(numbers_at).type == shared.tuple)
        with when(both(graph_at != int64(NULL), tuples)):
            graph, fine = Graph(graph_at), Counter(int64(1))
            bits, numbers = words_at(items_of(shared, bits_at)), words_at(items_of(shared, numbers_at))
            of_bits, of_numbers = let(Tuple(bits_at).size), let(Tuple(numbers_at).size)
            with T.serial(int64(0), of_bits) as place:
                with when(not_(is_int(shared, let(bits[place])))):
                    fine.set(int64(0))
            with T.serial(int64(0), of_numbers) as place:
                with when(not_(is_number(shared, let(numbers[place])))):
                    fine.set(int64(0))
            size = let(of_bits + of_numbers)
            with when(T.And(fine.get() != int64(0), graph.inputs_length + size > graph.inputs_room)):
                fine.set(extern("dynet_make_input_room", graph.address, size))
                with when(fine.get() == int64(0)):
                    outcome.done.set(int64(1))
            with when(fine.get() != int64(0)):
                start = let(graph.inputs_length)
                raw, inputs = tir.buffer_at(graph.inputs, "int32"), tir.buffer_at(graph.inputs, "float32")
                with T.serial(int64(0), of_bits) as place:
                    value = Int(let(bits[place]))
                    T.buffer_store(raw, T.Cast("int32", value.value), [start + place])
                with T.serial(int64(0), of_numbers) as place:
                    store_number(inputs, start + of_bits + place, let(numbers[place]), fine)
                with when(fine.get() != int64(0)):
                    graph.inputs_length = start + size
                    outcome.give(extern("PyLong_FromSsize_t", start))
    outcome.otherwise(function.slow, arguments, count, keywords)


def write_inputs(shared_at, graph_at, start, floats_at, count, out):
    """Replace inputs from `start` on by other floats."""
    graph = Graph(graph_at)
    inputs, given = tir.buffer_at(graph.inputs, "float32"), tir.buffer_at(floats_at, "float32")
    with T.serial(int64(0), count) as place:
        T.buffer_store(inputs, given[place], [start + place])
    T.buffer_store(words_at(out), int64(0), [int64(0)])


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
    for name in ("nodes", "length", "inputs_length", "done", "inputs_done", "planned", "differentiated_fully", "unusual"):
        setattr(graph, name, 0)
    graph.differentiated = -1


def renew(shared_at, graph_at, out):
    """Forget what has been recorded."""
    graph = Graph(graph_at)
    renew_words(Shared(shared_at), graph)
    T.buffer_store(words_at(out), graph.version, [int64(0)])


def renew_quickly(shared_at, function_at, arguments, count, keywords, out):
    """renew_cg() of a graph of which nothing unusual is left."""
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(0)):
        graph_at = thread_graph(shared)
        with when(graph_at != int64(NULL)):
            graph = Graph(graph_at)
            with when(graph.unusual == int64(0)):
                renew_words(shared, graph)
                outcome.give_known(graph.object)
    outcome.otherwise(function.slow, arguments, count, keywords)


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
    T.buffer_store(words_at(out), version, [int64(0)])
