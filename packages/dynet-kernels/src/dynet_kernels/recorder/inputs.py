"""Input values: how they are kept, and records of them."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import tir
from ..tir import Counter, int64, let, when
from .objects import NULL, Call, Int, Outcome, both, extern, is_int, is_number, items_of, not_
from .recording import Recording, give_back, thread_graph, with_graph
from .structures import Function, Graph, List, Object, Shared, Tuple, words_at
from .tables import find


def begin_input(recording):
    """Where the record's floats begin among the inputs, and the memory of these."""
    graph = recording.graph
    return let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")


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


def keep_or_give_back(shared, new, start, count, row, fine):
    """Make a record of an input whose numbers stand in their place, unless one of them could not be stored."""
    with when(fine.get() != int64(0)):
        new.graph.inputs_length = start + count
        new.finish(row.result, [row.signature, start])
    with when(fine.get() == int64(0)):
        give_back(shared, new.node)


@with_graph
def record_scalar(shared, graph, version, function, number_at, outcome):
    """A record of an input of one number."""
    with when(is_number(shared, number_at)):
        with find(function, int64(1)) as row, Recording(shared, outcome, graph, 2, inputs=1) as new:
            (start, inputs), fine = begin_input(new), Counter(int64(1))
            store_number(inputs, start, number_at, fine)
            keep_or_give_back(shared, new, start, int64(1), row, fine)


@with_graph
def record_vector(shared, graph, version, function, list_at, outcome):
    """A record of an input of a list of numbers; the key is how many they are."""
    with when(Object(list_at).type == shared.list):
        size, items, fine = let(List(list_at).size), words_at(List(list_at).items), Counter(int64(1))
        with T.serial(int64(0), size) as place:
            with when(not_(is_number(shared, let(items[place])))):
                fine.set(int64(0))
        with when(T.And(fine.get() != int64(0), size > int64(0))):
            with find(function, size) as row, Recording(shared, outcome, graph, 2, inputs=size) as new:
                start, inputs = begin_input(new)
                with T.serial(int64(0), size) as place:
                    store_number(inputs, start + place, let(items[place]), fine)
                keep_or_give_back(shared, new, start, size, row, fine)
