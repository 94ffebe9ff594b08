"""Emits code that copies numbers, numpy arrays and nested lists to the graph's input buffer.

There the numbers are float32 in column-major order. The emitted code reads an array by Python's buffer protocol:
CPython fills in a C structure, the Py_buffer, which describes the array's memory. Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from contextlib import contextmanager

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .inputs import as_float, store_number
from .objects import Flag, both, either, index_of, is_index, is_number, is_sequence, items_of, not_, taking
from .recording import Recording, with_graph
from .structures import List, Object, words_at, words_on_stack
from .tables import find, found, mixed

STRIDED, FORMAT = 0x18, 0x4  # CPython's flags PyBUF_STRIDES and PyBUF_FORMAT: which fields of a Py_buffer to fill in
# How numpy describes types of elements: a size in bytes, and letters. An "l" has another size on Windows.
FLOATS = {"float32": (4, "f"), "float64": (8, "d")}
INTEGERS = {"int64": (8, "lq"), "int32": (4, "il")}
NUMBERS = FLOATS | INTEGERS


class Array:
    """A numpy array, described by a Py_buffer that CPython has filled in.

    `dims` is its number of dimensions, `sizes` a list of their sizes, with zeros for those it lacks, and `count` its
    number of elements. `count` is 0 if the emitted code cannot read the array: if the type of its elements is not in
    `formats`, or if it has no dimensions or more than MOST_DIMS.

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
        self.sizes = [
            let(T.if_then_else(int64(place) < self.dims, self.shape[int64(place)], int64(0)))
            for place in range(words.MOST_DIMS)
        ]

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
    """A number; a list or tuple of numbers, or of lists or tuples with equally many numbers; otherwise as an `Array`.

    `count` is 0 if the emitted code cannot read the object: if it is an empty list, or anything else.

    Args:
        place: the address of the word that has the address of the object.
        dims: 0 for a number, 1 for a list of numbers, 2 for a list of lists.
        fits: whether `count` is also to be 0 if a number is too large for a float, so that `store` stores all or none.
    """

    def __init__(self, shared, place, dims, fits=False):
        self._shared, self.dims, self._is_deep = shared, int64(dims), dims == 2
        rows, columns, items = (IntVariable(first) for first in (int64(1), int64(1), place))
        if dims:
            given = let(words_at(place)[int64(0)])
            rows.set(T.if_then_else(is_sequence(shared, given), List(given).size, int64(0)))
            with when(rows.get() > int64(0)):
                items.set(items_of(shared, given))
                if self._is_deep:
                    first = let(words_at(let(items.get()))[int64(0)])
                    columns.set(T.if_then_else(is_sequence(shared, first), List(first).size, int64(0)))
        self._rows, self._columns, self._items = let(rows.get()), let(columns.get()), words_at(let(items.get()))
        self.sizes = [self._rows, self._columns][:dims]
        self.count = IntVariable(self._rows * self._columns)
        if self._is_deep:
            with when(self.count.get() != int64(0)), T.serial(int64(0), self._rows) as row:
                item = let(self._items[row])
                with when(not_(both(is_sequence(shared, item), List(item).size == self._columns))):
                    self.count.set(int64(0))
        with when(self.count.get() != int64(0)):
            self.each(lambda number, place: self._check(number, fits))

    def _check(self, number, fits):
        with when(not_(is_number(self._shared, number))):
            self.count.set(int64(0))
        if fits:
            with when(self.count.get() != int64(0)):
                as_float(number, self.count)

    def each(self, emit):
        """Emit a loop over the numbers: emit(address of the number, its place in column-major order) emits its body."""
        with T.serial(int64(0), self._rows) as row:
            item = let(self._items[row])
            if not self._is_deep:
                emit(item, row)
            else:
                numbers = words_at(items_of(self._shared, item))
                with T.serial(int64(0), self._columns) as column:
                    emit(let(numbers[column]), row + column * self._rows)

    def store(self, inputs, start, fine):
        """Emit loops that copy the numbers to the buffer `inputs`, from offset `start` on, in column-major order.

        The code sets the variable `fine` to 0 if a number is an int that is too large for a float.
        """
        self.each(lambda number, place: store_number(inputs, start + place, number, fine))


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
        self.sizes = [
            let(T.if_then_else(first.dims == int64(place), self._arrays, size))
            for place, size in enumerate(first.sizes)
        ]

    def store(self, inputs, start, fine):
        """Emit loops that copy the arrays to the buffer `inputs`, from offset `start` on, one after another.

        The code sets the variable `fine` to 0 if an item of the list is not an array of the shape of the first one.
        """
        with T.serial(int64(0), self._arrays) as number:
            alike = Flag(0)
            with opened(self._shared, let(self._items[number]), NUMBERS) as array:
                alike.set(T.Cast("int64", array.dims == self._first.dims))
                for size, expected in zip(array.sizes, self._first.sizes):
                    alike.require(size == expected)
                with when(alike.on):
                    array.store(inputs, let(start + number * self._first.count.get()), fine)
            fine.require(alike.on)


class Indices:
    """Integers: `size` is how many they are, or 0 if they cannot be read; `indices[k]` is NO_INDEX if item k is none.

    Args:
        object_at: the address of a list or tuple, or of an array of one dimension.
        place: None; or the address of the word that has this address. Then the object may also be an integer.
    """

    def __init__(self, shared, object_at, place=None):
        self._shared = shared
        size, begin, step = (IntVariable(int64(k)) for k in (0, 0, 8))
        self._types = {dtype: Flag(0) for dtype in INTEGERS}
        if place is not None:
            with when(is_index(shared, object_at)):
                size.set(int64(1))
                begin.set(place)
        with when(is_sequence(shared, object_at)):
            size.set(List(object_at).size)
            begin.set(items_of(shared, object_at))
        # The memory stays as it is after the Py_buffer is released, because nothing interrupts a compiled function.
        with opened(shared, object_at, INTEGERS) as array, when(array.dims == int64(1)):
            size.set(array.count.get())
            begin.set(array.begin)
            step.set(array.strides[int64(0)])
            for dtype, is_it in array.types.items():
                self._types[dtype].set(T.Cast("int64", is_it))
        self.size, self._begin, self._step = let(size.get()), let(begin.get()), let(step.get())

    def __getitem__(self, place):
        address, number = let(self._begin + place * self._step), IntVariable(int64(0))
        is_listed = Flag()
        for dtype, is_it in self._types.items():
            with when(is_it.on):
                is_listed.set(int64(0))
                number.set(T.Cast("int64", tir.buffer_at(address, dtype)[int64(0)]))
        with when(is_listed.on):
            number.set(index_of(self._shared, let(words_at(address)[int64(0)])))
        return let(number.get())


def batch_flag(shared, call, place):
    """Emit code that reads an argument that says whether the last dimension is the batch.

    Return BATCHED if it is True, 0 if it is False or there is none, and -1 if it is anything else.
    """
    flag = IntVariable(int64(0))
    with when(call.count() > int64(place)):
        other = T.if_then_else(call[place] == shared.false, int64(0), int64(-1))
        flag.set(T.if_then_else(call[place] == shared.true, int64(words.BATCHED), other))
    return let(flag.get())


def record_numbers(dims):
    """Return what emits the C function of an op that takes numbers and adds an input node with these values.

    The key is how many they are.

    Args:
        dims: 0 if the op takes a number, 1 if it takes a list or an array.
    """

    @taking(1)
    @with_graph
    def record(shared, graph, version, function, call, outcome):
        nested = Nested(shared, call.place(0), dims)
        with when(nested.count.get() > int64(0)), find(function, nested.count.get()) as row:
            add_input(shared, graph, row, nested, outcome)
        if dims:
            with opened(shared, call[0], NUMBERS) as array, when(array.dims == int64(1)):
                with find(function, array.count.get()) as row:
                    add_input(shared, graph, row, array, outcome)

    return record


@taking(1, 2)
@with_graph
def record_array(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op that takes numbers and adds an input node with these values.

    The numbers are an array, a nested list, or a list of arrays, each of which is a batch element. A second argument
    may be True or False: whether the last dimension is the batch. The key that is looked up in the op's table is the
    number of dimensions, plus words.BATCHED if the last one is the batch; and the sizes.
    """
    values_at, batched = call[0], batch_flag(shared, call, 1)
    with when(batched >= int64(0)):
        with opened(shared, values_at, NUMBERS) as array:
            record_input(shared, graph, function, array, batched, outcome)
        with when(both(is_sequence(shared, values_at), List(values_at).size > int64(0))):
            with opened(shared, let(words_at(items_of(shared, values_at))[int64(0)]), NUMBERS) as first:
                with when(first.dims < int64(words.MOST_DIMS)):
                    stack = Stack(shared, values_at, first)
                    record_input(shared, graph, function, stack, int64(words.BATCHED), outcome)
            for dims in (2, 1):
                with outcome.undone():
                    nested = Nested(shared, call.place(0), dims)
                    with when(nested.count.get() > int64(0)):
                        record_input(shared, graph, function, nested, batched, outcome)


def record_input(shared, graph, function, values, batched, outcome):
    """Emit code that records an input node with these values, if their key is in the table.

    Args:
        values: an `Array`, `Nested` or `Stack`, or another object with their attributes.
        batched: is added to the first word of the key.
    """
    first = let(values.dims + batched)
    value = IntVariable(mixed(int64(0), first))
    for size in values.sizes:
        with when(size != int64(0)):
            value.set(mixed(value.get(), size))

    def same(row, known):
        for place, size in enumerate(values.sizes, 1):
            known.require(row.key_word(int64(place)) == size)

    with found(function, words.ARRAY_KEY, first, same, let(value.get())) as row:
        add_input(shared, graph, row, values, outcome)


def add_input(shared, graph, row, values, outcome):
    """Emit code that records an input node with these values, as a row of the op's table says."""
    with Recording(shared, outcome, graph, 2, inputs=let(values.count.get())) as new:
        fine = Flag()
        values.store(new.floats, new.first, fine)
        new.finish(row.result, [row.signature, new.first], fine)
