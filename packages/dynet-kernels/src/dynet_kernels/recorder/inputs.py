"""Emits code for inputs: numbers from the program, kept as floats in the input buffer of the graph.

The buffer also holds the *random keys* of nodes that draw random numbers. A random key is two int32, a seed and a
count; all random numbers of the node are computed from it. The int32 before it is a *link*: the offset of the previous
random key plus 1, or 0 if there is none. So all random keys of a graph form a linked list. They have nothing to do with
the keys in the tables of recording functions.

Other terms: see `recorder/__init__.py`. Arguments called `fine` are variables of the emitted code (`IntVariable`): they
are 1 until something fails, and then 0.
"""

from __future__ import annotations

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T, tirx
from .objects import NULL, Flag, behind, extern, is_number, not_, taking
from .recording import with_any_graph
from .structures import Graph, Object, Shared, Tuple, words_at


def take_inputs(shared_at, graph_at, floats_at, count, out):
    """Emit the C function that appends `count` floats, from address `floats_at` on, to a graph's input buffer.

    The function returns the offset of the first of them in the buffer. If there is no memory for a larger buffer, it
    sets a MemoryError and returns -1.
    """
    graph, result = Graph(graph_at), words_at(out)
    fine = Flag()
    with when(graph.inputs_length + count > graph.inputs_room):
        fine.set(extern("dynet_make_input_room", graph_at, count))
    T.buffer_store(result, int64(-1), [int64(0)])
    with when(fine.on):
        start = let(graph.inputs_length)
        copy_floats(graph, start, floats_at, count)
        graph.inputs_length = start + count
        T.buffer_store(result, start, [int64(0)])


def copy_floats(graph, start, floats_at, count):
    T.evaluate(T.call_extern("int64", "memcpy", graph.inputs + start * int64(4), floats_at, count * int64(4)))


def store_number(inputs, place, object_at, fine, sign=1):
    """Emit code that stores a Python number, multiplied by `sign`, as float32 in the input buffer.

    Args:
        inputs, place: the buffer, and the offset in it.
        object_at: the address of the number, an object for which `is_number` holds.
        fine: set to 0 if the number is an int that is too large for a float.
    """
    number = let(T.Cast("float32", as_float(object_at, fine)))
    T.buffer_store(inputs, number if sign == 1 else -number, [place])


def as_float(object_at, fine):
    """Emit code that reads a Python number as a float64, and sets `fine` to 0 if it is an int that is too large."""
    number = let(T.call_extern("float64", "PyFloat_AsDouble", object_at))
    with when(number == tirx.const(-1.0, "float64")):
        with when(extern("PyErr_Occurred") != int64(NULL)):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))
            fine.set(int64(0))
    return number


def take_numbers(before=0):
    """Return what emits the C function of take(numbers), which appends a tuple of numbers to the input buffer.

    Its result is where they begin there. If an item is not a number, or is too large, it appends nothing, and leaves
    the call to Python.

    Args:
        before: 0; or how many int32 a random key and its link take. If it is not 0, a new random key is stored before
            the numbers, and the result is the offset of this key.
    """

    @taking(1)
    @with_any_graph
    def take(shared, graph, function, call, outcome):
        numbers_at, fine = call[0], Flag()
        with when(Object(numbers_at).type == shared.tuple):
            numbers, size = words_at(behind(numbers_at)), let(Tuple(numbers_at).size)
            with T.serial(int64(0), size) as place:
                fine.require(is_number(shared, let(numbers[place])))
            needed = let(size + int64(before))
            with when(T.And(fine.on, graph.inputs_length + needed > graph.inputs_room)):
                fine.set(extern("dynet_make_input_room", graph.address, needed))
                with when(not_(fine.on)):
                    outcome.done.set(int64(1))
            with when(fine.on):
                start, inputs = let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")
                with T.serial(int64(0), size) as place:
                    store_number(inputs, start + int64(before) + place, let(numbers[place]), fine)
                with when(fine.on):
                    if before:
                        put_key(shared, graph, start + int64(1))
                    graph.inputs_length = start + needed
                    outcome.give(extern("PyLong_FromSsize_t", start + int64(1 if before else 0)))

    return take


def put_key(shared, graph, start):
    """Emit code that writes a new random key at offset `start` of the input buffer, and its link just before it.

    The link leads to the random key that was the graph's newest until now.
    """
    raw = tir.buffer_at(graph.inputs, "int32")
    T.buffer_store(raw, T.Cast("int32", graph.newest_key), [start - int64(1)])
    graph.newest_key = start + int64(1)
    draw_key(shared, raw, start)


def draw_key(shared, raw, start):
    T.buffer_store(raw, T.Cast("int32", shared.seed), [start])
    T.buffer_store(raw, T.Cast("int32", shared.drawn), [start + int64(1)])
    shared.drawn = shared.drawn + int64(1)


def key_before(graph, key):
    """Emit a load of the link of a random key, and return it: the offset of the previous random key plus 1.

    It is 0 if the graph has no previous random key.

    Args:
        key: the offset of the random key in the input buffer plus 1, like `newest_key` of the graph.
    """
    return let(T.Cast("int64", tir.buffer_at(graph.inputs, "int32")[key - int64(2)]))


def renew_keys(shared_at, graph_at, out):
    """Emit the C function that overwrites all random keys of a graph with new ones, so that nodes draw new numbers."""
    shared, graph = Shared(shared_at), Graph(graph_at)
    raw, key = tir.buffer_at(graph.inputs, "int32"), IntVariable(graph.newest_key)
    with T.While(key.get() != int64(0)):
        here = let(key.get())
        draw_key(shared, raw, here - int64(1))
        key.set(key_before(graph, here))
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def draw(shared_at, out):
    """Emit the C function draw(), which returns the count of a new random key, for numbers drawn outside of graphs."""
    shared = Shared(shared_at)
    T.buffer_store(words_at(out), shared.drawn, [int64(0)])
    shared.drawn = shared.drawn + int64(1)


def write_inputs(shared_at, graph_at, version, start, floats_at, count, out):
    """Emit the C function that copies `count` floats from address `floats_at` to offset `start` of the input buffer.

    It returns 1. If the graph has another version than `version`, or if the inputs from `start` on have been used to
    compute values, it copies nothing and returns 0.
    """
    graph, result = Graph(graph_at), words_at(out)
    T.buffer_store(result, int64(0), [int64(0)])
    with when(T.And(graph.version == version, graph.inputs_done <= start)):
        copy_floats(graph, start, floats_at, count)
        T.buffer_store(result, int64(1), [int64(0)])
