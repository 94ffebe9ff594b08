"""Emits code that copies numpy arrays to the graph's input buffer, as float32 and in column-major order.

The emitted code reads an array by Python's buffer protocol: CPython fills in a C structure, the Py_buffer, which
describes the array's memory. Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .inputs import begin_input
from .objects import both
from .recording import Recording, with_graph
from .structures import Object, words_at, words_on_stack
from .tables import Found, mixed

STRIDED, FORMAT = 0x18, 0x4  # CPython's flags PyBUF_STRIDES and PyBUF_FORMAT: which fields of a Py_buffer to fill in
FORMATS = {"float32": "f", "float64": "d"}


class Array:
    """A numpy array, described by a Py_buffer that CPython has filled in.

    `dims` is its number of dimensions, `count` its number of elements. `count` is 0 if the emitted code cannot read
    the array: if the type of its elements is not in FORMATS, or if it has no dimensions or more than MOST_DIMS.

    Args:
        view: the memory of the Py_buffer, as a TIR buffer of 64-bit words.
    """

    def __init__(self, view):
        def field(name):
            return view[int64(words.BUFFER.index(name))]

        self.begin, self.dims = let(field("begin")), let(T.shift_right(field("dims_and_flag"), int64(32)))
        self.shape, self.strides = words_at(let(field("shape"))), words_at(let(field("strides")))
        # The first two bytes of the format string, which names the type of the elements. For a type in FORMATS they are
        # its letter and the 0 that ends the string.
        letters = let(T.Cast("int64", tir.buffer_at(let(field("format")), "int16")[int64(0)]))
        self.types = {dtype: let(letters == int64(ord(letter))) for dtype, letter in FORMATS.items()}
        self.known = T.And(self.dims > int64(0), self.dims <= int64(words.MOST_DIMS))
        self.count = IntVariable(int64(0))
        with when(both(T.Or(*self.types.values()), self.known)):
            self.count.set(int64(1))
            with T.serial(int64(0), self.dims) as place:
                self.count.set(self.count.get() * self.shape[place])

    def size(self, place):
        """Return the size of dimension number `place`, counted from 0; 0 if the array has fewer dimensions."""
        return let(T.if_then_else(place < self.dims, self.shape[T.min(place, self.dims - int64(1))], int64(0)))

    def store(self, inputs, start):
        """Emit loops that copy the elements to the buffer `inputs`, from offset `start` on.

        There they are float32 in column-major order.
        """
        rows = let(self.shape[int64(0)])
        step, columns = let(self.strides[int64(0)]), let(T.floordiv(self.count.get(), rows))
        for dtype, is_it in self.types.items():
            with when(is_it), T.serial(int64(0), columns) as column:
                source, rest = IntVariable(self.begin), IntVariable(column)
                with T.serial(int64(1), self.dims) as place:
                    size = let(self.shape[place])
                    source.set(source.get() + T.floormod(rest.get(), size) * self.strides[place])
                    rest.set(T.floordiv(rest.get(), size))
                first = let(source.get())
                with T.serial(int64(0), rows) as row:
                    number = tir.buffer_at(let(first + row * step), dtype)[int64(0)]
                    T.buffer_store(inputs, T.Cast("float32", number), [start + column * rows + row])


@contextmanager
def opened(shared, object_at):
    """Emit code that gets the Py_buffer of a numpy array and releases it at the end. Yield the array as an `Array`.

    The code of the `with` block runs only if the object is a `numpy.ndarray` that this code can read; see `Array`. It
    does not run for objects of subclasses of `numpy.ndarray`, which Python has to handle.

    Args:
        object_at: the address of the object.
    """
    with when(Object(object_at).type == shared.array):
        view = words_on_stack(len(words.BUFFER))
        failed = let(
            T.call_extern("int32", "PyObject_GetBuffer", object_at, T.address_of(view[int64(0)]), STRIDED | FORMAT)
        )
        with when(failed == 0):
            array = Array(view)
            with when(array.count.get() > int64(0)):
                yield array
            T.evaluate(T.call_extern("int32", "PyBuffer_Release", T.address_of(view[int64(0)])))
        with when(failed != 0):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))


@with_graph
def record_array(shared, graph, version, function, array_at, outcome):
    """Emit the fast path of an op that takes an array and adds an input node with its values to the graph.

    The key that is looked up in the op's table is the array's number of dimensions and their sizes.
    """
    with opened(shared, array_at) as array:
        sizes = [array.size(int64(place)) for place in range(words.MOST_DIMS)]
        value = IntVariable(mixed(int64(0), array.dims))
        for size in sizes:
            with when(size != int64(0)):
                value.set(mixed(value.get(), size))

        def same(row, known):
            for place, size in enumerate(sizes, 1):
                with when(row.key_word(int64(place)) != size):
                    known.set(int64(0))

        count = let(array.count.get())
        with Found(function, words.ARRAY_KEY, array.dims, same, let(value.get())) as row:
            with Recording(shared, outcome, graph, 2, inputs=count) as new:
                start, inputs = begin_input(new)
                array.store(inputs, start)
                graph.inputs_length = start + count
                new.finish(row.result, [row.signature, start])
