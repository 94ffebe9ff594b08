"""Emits code that copies numpy arrays and nested lists to the graph's input buffer.

There the numbers are float32 in column-major order. The emitted code reads an array by Python's buffer protocol:
CPython fills in a C structure, the Py_buffer, which describes the array's memory. Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .inputs import begin_input, keep_or_give_back, store_number
from .objects import both, either, is_number, is_sequence, items_of, not_, taking
from .recording import Recording, with_graph
from .structures import List, Object, words_at, words_on_stack
from .tables import Found, mixed

STRIDED, FORMAT = 0x18, 0x4  # CPython's flags PyBUF_STRIDES and PyBUF_FORMAT: which fields of a Py_buffer to fill in
# How numpy describes types of elements: a size in bytes, and letters. An "l" has another size on Windows.
FLOATS = {"float32": (4, "f"), "float64": (8, "d")}
INTEGERS = {"int64": (8, "lq"), "int32": (4, "il")}
NUMBERS = FLOATS | INTEGERS


class Array:
    """A numpy array, described by a Py_buffer that CPython has filled in.

    `dims` is its number of dimensions, `count` its number of elements. `count` is 0 if the emitted code cannot read
    the array: if the type of its elements is not in `formats`, or if it has no dimensions or more than MOST_DIMS.

    Args:
        view: the memory of the Py_buffer, as a TIR buffer of 64-bit words.
        formats: the types that elements may have: FLOATS, INTEGERS or NUMBERS.
    """

    def __init__(self, view, formats):
        def field(name):
            return view[int64(words.BUFFER.index(name))]

        self.begin, self.dims = let(field("begin")), let(T.shift_right(field("dims_and_flag"), int64(32)))
        self.shape, self.strides = words_at(let(field("shape"))), words_at(let(field("strides")))
        # The first two bytes of the format string, which names the type of the elements. For a type in `formats` they
        # are its letter and the 0 that ends the string.
        found, size_of_one = let(T.Cast("int64", tir.buffer_at(let(field("format")), "int16")[int64(0)])), field("item")
        self.types = {
            dtype: let(T.And(size_of_one == int64(size), either(*[found == int64(ord(letter)) for letter in letters])))
            for dtype, (size, letters) in formats.items()
        }
        self._sizes = {dtype: size for dtype, (size, _) in formats.items()}
        self.known = T.And(self.dims > int64(0), self.dims <= int64(words.MOST_DIMS))
        self.count = IntVariable(int64(0))
        with when(both(either(*self.types.values()), self.known)):
            self.count.set(int64(1))
            with T.serial(int64(0), self.dims) as place:
                self.count.set(self.count.get() * self.shape[place])

    def size(self, place):
        """Return the size of dimension number `place`, counted from 0; 0 if the array has fewer dimensions."""
        return let(T.if_then_else(place < self.dims, self.shape[T.min(place, self.dims - int64(1))], int64(0)))

    def integer(self, place):
        """Emit a load of element number `place` of an array that has one dimension and elements of INTEGERS."""
        address = let(self.begin + place * self.strides[int64(0)])
        small = T.Cast("int64", tir.buffer_at(address, "int32")[int64(0)])
        return let(T.if_then_else(self.types["int64"], tir.buffer_at(address, "int64")[int64(0)], small))

    def store(self, inputs, start, fine):
        """Emit loops that copy the elements to the buffer `inputs`, from offset `start` on.

        There they are float32 in column-major order. The variable `fine` stays 1, because all of them can be copied.
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
                target, of_one = let(start + column * rows), int64(self._sizes[dtype])
                near, near_one = tir.buffer_at(first, dtype), step == of_one
                with when(near_one):
                    with T.serial(int64(0), rows) as row:
                        T.buffer_store(inputs, T.Cast("float32", near[row]), [target + row])
                with when(not_(near_one)):
                    with T.serial(int64(0), rows) as row:
                        number = tir.buffer_at(let(first + row * step), dtype)[int64(0)]
                        T.buffer_store(inputs, T.Cast("float32", number), [target + row])


@contextmanager
def opened(shared, object_at, formats=FLOATS):
    """Emit code that gets the Py_buffer of a numpy array and releases it at the end. Yield the array as an `Array`.

    The code of the `with` block runs only if the object is a `numpy.ndarray` that this code can read; see `Array`. It
    does not run for objects of subclasses of `numpy.ndarray`, which Python has to handle.

    Args:
        object_at: the address of the object.
        formats: the types that the elements may have: FLOATS, INTEGERS or NUMBERS.
    """
    with when(Object(object_at).type == shared.array):
        view = words_on_stack(len(words.BUFFER))
        failed = let(
            T.call_extern("int32", "PyObject_GetBuffer", object_at, T.address_of(view[int64(0)]), STRIDED | FORMAT)
        )
        with when(failed == 0):
            array = Array(view, formats)
            with when(array.count.get() > int64(0)):
                yield array
            T.evaluate(T.call_extern("int32", "PyBuffer_Release", T.address_of(view[int64(0)])))
        with when(failed != 0):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))


class Nested:
    """A list or tuple of numbers, or of lists or tuples with equally many numbers. It has the attributes of `Array`.

    `count` is 0 if the emitted code cannot read the list: if it is empty, or if an item is anything else.

    Args:
        list_at: the address of the list or tuple.
    """

    def __init__(self, shared, list_at):
        self._rows, self._items = let(List(list_at).size), words_at(items_of(shared, list_at))
        self._shared, self.count = shared, IntVariable(int64(0))
        dims, columns = IntVariable(int64(1)), IntVariable(int64(1))
        with when(self._rows > int64(0)):
            first = let(self._items[int64(0)])
            with when(is_sequence(shared, first)):
                dims.set(int64(2))
                columns.set(List(first).size)
            self.count.set(self._rows * columns.get())
        self.dims, self._columns = let(dims.get()), let(columns.get())
        with T.serial(int64(0), self._rows) as row:
            with when(self.count.get() != int64(0)):
                self._check(let(self._items[row]))

    def _check(self, item):
        """Emit code that sets `count` to 0 if an item of the list is not as the first one."""
        with when(self.dims == int64(1)), when(not_(is_number(self._shared, item))):
            self.count.set(int64(0))
        with when(self.dims == int64(2)):
            alike = let(both(is_sequence(self._shared, item), List(item).size == self._columns))
            with when(not_(alike)):
                self.count.set(int64(0))
            with when(alike):
                numbers = words_at(items_of(self._shared, item))
                with T.serial(int64(0), self._columns) as column:
                    with when(not_(is_number(self._shared, let(numbers[column])))):
                        self.count.set(int64(0))

    def size(self, place):
        """Return the size of dimension number `place`, counted from 0; 0 if there is no such dimension."""
        last = T.if_then_else(T.And(place == int64(1), self.dims == int64(2)), self._columns, int64(0))
        return let(T.if_then_else(place == int64(0), self._rows, last))

    def store(self, inputs, start, fine):
        """Emit loops that copy the numbers to the buffer `inputs`, from offset `start` on, in column-major order.

        The code sets the variable `fine` to 0 if a number is an int that is too large for a float.
        """
        with T.serial(int64(0), self._rows) as row:
            item, place = let(self._items[row]), let(start + row)
            with when(self.dims == int64(1)):
                store_number(inputs, place, item, fine)
            with when(self.dims == int64(2)):
                numbers = words_at(items_of(self._shared, item))
                with T.serial(int64(0), self._columns) as column:
                    store_number(inputs, place + column * self._rows, let(numbers[column]), fine)


class Stack:
    """A list or tuple of arrays of one shape, whose last dimension counts the arrays. It has the attributes of `Array`.

    Args:
        list_at: the address of the list or tuple.
        first: its first array.
    """

    def __init__(self, shared, list_at, first):
        self._shared, self._first = shared, first
        self._arrays, self._items = let(List(list_at).size), words_at(items_of(shared, list_at))
        self.dims, self.count = let(first.dims + int64(1)), IntVariable(first.count.get() * self._arrays)

    def size(self, place):
        """Return the size of dimension number `place`, counted from 0; 0 if there is no such dimension."""
        return let(T.if_then_else(place == self._first.dims, self._arrays, self._first.size(place)))

    def store(self, inputs, start, fine):
        """Emit loops that copy the arrays to the buffer `inputs`, from offset `start` on, one after another.

        The code sets the variable `fine` to 0 if an item of the list is not an array of the shape of the first one.
        """
        with T.serial(int64(0), self._arrays) as number:
            alike = IntVariable(int64(0))
            with opened(self._shared, let(self._items[number]), NUMBERS) as array:
                alike.set(T.Cast("int64", array.dims == self._first.dims))
                for place in range(words.MOST_DIMS - 1):
                    with when(array.size(int64(place)) != self._first.size(int64(place))):
                        alike.set(int64(0))
                with when(alike.get() != int64(0)):
                    array.store(inputs, let(start + number * self._first.count.get()), fine)
            with when(alike.get() == int64(0)):
                fine.set(int64(0))


@taking(1, 2)
@with_graph
def record_array(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op that takes numbers and adds an input node with these values.

    The numbers are an array, a nested list, or a list of arrays, each of which is a batch element. A second argument
    may be True or False: whether the last dimension is the batch. The key that is looked up in the op's table is the
    number of dimensions, plus words.BATCHED if the last one is the batch; and the sizes.
    """
    values_at, batched = call[0], IntVariable(int64(0))
    with when(call.has(2)):
        flag = call[1]
        batched.set(T.if_then_else(flag == shared.true, int64(words.BATCHED), int64(-1)))
        with when(flag == shared.false):
            batched.set(int64(0))
    with when(batched.get() >= int64(0)):
        with opened(shared, values_at, NUMBERS) as array:
            record_input(shared, graph, function, array, batched, outcome)
        with when(both(is_sequence(shared, values_at), List(values_at).size > int64(0))):
            with opened(shared, let(words_at(items_of(shared, values_at))[int64(0)]), NUMBERS) as first:
                with when(first.dims < int64(words.MOST_DIMS)):
                    stack, batch = Stack(shared, values_at, first), IntVariable(int64(words.BATCHED))
                    record_input(shared, graph, function, stack, batch, outcome)
        with when(both(outcome.done.get() == int64(0), is_sequence(shared, values_at))):
            nested = Nested(shared, values_at)
            with when(nested.count.get() > int64(0)):
                record_input(shared, graph, function, nested, batched, outcome)


def record_input(shared, graph, function, values, batched, outcome):
    """Emit code that records an input node with these values, if their key is in the table.

    Args:
        values: an `Array`, `Nested` or `Stack`, or another object with their attributes.
        batched: a variable of the emitted code, which is added to the first word of the key.
    """
    first = let(values.dims + batched.get())
    sizes = [values.size(int64(place)) for place in range(words.MOST_DIMS)]
    value = IntVariable(mixed(int64(0), first))
    for size in sizes:
        with when(size != int64(0)):
            value.set(mixed(value.get(), size))

    def same(row, known):
        for place, size in enumerate(sizes, 1):
            with when(row.key_word(int64(place)) != size):
                known.set(int64(0))

    count, fine = let(values.count.get()), IntVariable(int64(1))
    with Found(function, words.ARRAY_KEY, first, same, let(value.get())) as row:
        with Recording(shared, outcome, graph, 2, inputs=count) as new:
            start, inputs = begin_input(new)
            values.store(inputs, start, fine)
            keep_or_give_back(shared, new, start, count, row, fine)
