"""Copies numbers, numpy arrays and nested lists to the graph's input buffer, as float32 in column-major order.

An array is read by Python's buffer protocol: CPython fills in a C structure, the Py_buffer, which describes the array's
memory. Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..plain import Words, entry, on_stack, plain
from . import words
from .c_api import extern
from .calls import recording
from .here import Here, Item, Items
from .structures import Buffer, Function
from .tables import Row, find, is_one_of, look_up, mixed

STRIDED, FORMAT = 0x18, 0x4  # CPython's flags PyBUF_STRIDES and PyBUF_FORMAT: which fields of a Py_buffer to fill in
# How numpy describes types of elements: a size in bytes, and letters. An "l" has another size on Windows.
FLOATS = {"float32": (4, "f"), "float64": (8, "d")}
INTEGERS = {"int64": (8, "lq"), "int32": (4, "il")}
NUMBERS = FLOATS | INTEGERS


class Values:
    """Numbers for an input node. Subclasses are arrays, nested lists and others.

    `count` is how many numbers there are, 0 if they cannot be read. `dims` is the number of dimensions, and `sizes`
    lists their sizes, with zeros for those that are missing.
    """

    count: Any
    dims: Any
    sizes: list

    def store(self, inputs: Words, start) -> Any:
        """Copy the numbers to `inputs`, from offset `start` on. Return whether all of them can be copied."""
        raise NotImplementedError


class Array(Values):
    """A numpy array, described by a Py_buffer that CPython has filled in.

    Its `count` is 0 if the type of its elements is not in `formats`, or if it has no dimensions or more than MOST_DIMS.

    Args:
        view: the Py_buffer.
        formats: the types that elements may have: FLOATS, INTEGERS or NUMBERS.
    """

    def __init__(self, view: Buffer, formats):
        self.begin, self.dims, self.formats = view.begin, view.dims_and_flag >> 32, formats
        self.shape, self.strides = Words(view.shape), Words(view.strides)
        # The first two bytes of the format string, which names the type of the elements. For a type in `formats` they
        # are its letter and the 0 that ends the string.
        self.letter, self.item = Words(view.format, "int16")[0], view.item
        self.count = self._count()
        self.sizes = [self._size(place) for place in range(words.MOST_DIMS)]

    @plain
    def is_of(self, dtype: str):
        size, letters = self.formats[dtype]
        return self.item == size and is_one_of(self.letter, [ord(letter) for letter in letters])

    @plain
    def _count(self):
        count = 0
        for dtype in self.formats:
            if self.is_of(dtype):
                count = 1
        if self.dims <= 0 or self.dims > words.MOST_DIMS:
            count = 0
        if count:
            for place in range(self.dims):
                count *= self.shape[place]
        return count

    @plain
    def _size(self, place: int):
        return self.shape[place] if place < self.dims else 0

    @plain
    def store(self, inputs: Words, start):
        rows, step = self.shape[0], self.strides[0]
        for dtype in self.formats:
            if self.is_of(dtype):
                for column in range(self.count // rows):
                    source, rest = self.begin, column
                    for place in range(1, self.dims):
                        source += rest % self.shape[place] * self.strides[place]
                        rest //= self.shape[place]
                    target = start + column * rows
                    if step == self.formats[dtype][0]:
                        near = Words(source, dtype)
                        for row in range(rows):
                            inputs[target + row] = near[row]
                    else:
                        for row in range(rows):
                            inputs[target + row] = Words(source + row * step, dtype)[0]
        return True


@plain
def opened(here: Here, x: Item, formats=FLOATS) -> Iterator[Array]:
    """Loop over one array: x, if it is a `numpy.ndarray` that can be read (see `Array`); else over none.

    Objects of subclasses of `numpy.ndarray` are left to Python. The memory stays as it is after the Py_buffer is
    released, because nothing interrupts a compiled function.
    """
    if x.type == here.shared.array:
        memory = on_stack(len(words.BUFFER))
        if extern("PyObject_GetBuffer", x.address, memory.address, STRIDED | FORMAT, returns="int32") == 0:
            array = Array(Buffer(memory), formats)
            extern("PyBuffer_Release", memory.address)
            if array.count > 0:
                yield array
        else:
            extern("PyErr_Clear")


class Nested(Values):
    """A number; or a list or tuple of numbers, or of lists or tuples with equally many numbers.

    `count` is 0 if the object is anything else, such as an empty list.

    Args:
        x: the object.
        dims: 0 for a number, 1 for a list of numbers, 2 for a list of lists.
    """

    def __init__(self, here: Here, x: Item, dims: int):
        self.here, self.dims = here, dims
        self.items = listed(here, x) if dims else Items(x.place, 1)
        self.columns = self._columns()
        self.count = self._count()
        self.sizes = [self.items.size, self.columns][:dims]

    @plain
    def _columns(self):
        if self.dims < 2:
            return 1
        return listed(self.here, self.items[0]).size if self.items.size else 0

    def row(self, number) -> Items:
        return listed(self.here, self.items[number]) if self.dims == 2 else Items(self.items.begin + 8 * number, 1)

    @plain
    def _count(self):
        fine = 1
        for number in range(self.items.size):
            row = self.row(number)
            if row.size != self.columns:
                fine = 0
            if fine:
                for column in range(row.size):
                    if not self.here.is_number(row[column]):
                        fine = 0
        return fine * self.items.size * self.columns

    @plain
    def store(self, inputs: Words, start):
        fine = 1
        for number in range(self.items.size):
            row = self.row(number)
            for column in range(self.columns):
                value, fits = self.here.number(row[column])
                inputs[start + number + column * self.items.size] = value
                if not fits:
                    fine = 0
        return fine

    @plain
    def fits(self):
        """Whether no number is an int that is too large for a float."""
        fine = 1
        for number in range(self.items.size):
            row = self.row(number)
            for column in range(self.columns):
                _, fits = self.here.number(row[column])
                if not fits:
                    fine = 0
        return fine


@plain
def listed(here: Here, x: Item) -> Items:
    """Return the items of a list or tuple; none for any other object."""
    begin, size = 0, 0
    if here.is_sequence(x):
        items = here.items(x)
        begin, size = items.begin, items.size
    return Items(begin, size)


class Stack(Values):
    """A list or tuple of arrays of one shape, whose last dimension counts the arrays.

    Args:
        first: the first array.
    """

    def __init__(self, here: Here, arrays: Items, first: Array):
        self.here, self.arrays, self.first = here, arrays, first
        self.dims, self.count = first.dims + 1, first.count * arrays.size
        self.sizes = [self._size(place) for place in range(words.MOST_DIMS)]

    @plain
    def _size(self, place: int):
        return self.arrays.size if self.first.dims == place else self.first.sizes[place]

    @plain
    def store(self, inputs: Words, start):
        """Copy the arrays, one after another. Stop at an item that is not an array of the shape of the first one."""
        alike, number = 1, 0
        while alike and number < self.arrays.size:
            alike = 0
            for array in opened(self.here, self.arrays[number], NUMBERS):
                if array.dims == self.first.dims:
                    alike = 1
                for size, expected in zip(array.sizes, self.first.sizes):
                    if size != expected:
                        alike = 0
                if alike:
                    array.store(inputs, start + number * self.first.count)
            number += 1
        return alike


class Indices:
    """Integers of a list, a tuple or an array of one dimension; or with `or_one` a single integer.

    `size` is how many they are, or 0 if they cannot be read. `indices[k]` is NO_INDEX if item k is no integer.
    """

    def __init__(self, here: Here, x: Item, or_one: bool = False):
        self.here = here
        self.size, self.begin, self.step, self.bytes = self._read(x, or_one)

    @plain
    def _read(self, x: Item, or_one: bool):
        size, begin, step, width = 0, 0, 8, 0  # how wide an integer of an array is; 0 for Python's integers
        if or_one and self.here.is_index(x):
            size, begin = 1, x.place
        if self.here.is_sequence(x):
            items = self.here.items(x)
            size, begin = items.size, items.begin
        for array in opened(self.here, x, INTEGERS):
            if array.dims == 1:
                size, begin, step, width = array.count, array.begin, array.strides[0], array.item
        return size, begin, step, width

    @plain
    def __getitem__(self, place):
        at = self.begin + place * self.step
        if self.bytes == 0:
            return self.here.index(Item(Words(at)[0]))
        return Words(at)[0] if self.bytes == 8 else Words(at, "int32")[0]


@plain
def batch_flag(here: Here, given: Items, place: int):
    """Read an argument that says whether the last dimension is the batch.

    Return BATCHED if it is True, 0 if it is False or there is none, and -1 if it is anything else.
    """
    if given.size <= place:
        return 0
    if given[place].address == here.shared.true:
        return words.BATCHED
    return 0 if given[place].address == here.shared.false else -1


@recording(1)
@entry
def scalar(here: Here, function: Function, x: Item):
    """Record an input node: a number."""
    return numbers(here, function, Nested(here, x, 0))


@recording(1)
@entry
def vector(here: Here, function: Function, x: Item):
    """Record an input node: a list or tuple of numbers, or an array of one dimension. The key is how many they are."""
    nested = Nested(here, x, 1)
    if nested.count:
        return numbers(here, function, nested)
    for array in opened(here, x, NUMBERS):
        if array.dims == 1:
            return numbers(here, function, array)


@entry
def numbers(here: Here, function: Function, values: Values):
    if values.count:
        return add_input(here, find(function, values.count), values)


@recording(1, 2, key=words.ARRAY_KEY)
@entry
def array(here: Here, function: Function, given: Items):
    """Record an input node: an array, a nested list, or a list of arrays, each of which is a batch element.

    A second argument may be True or False: whether the last dimension is the batch. The key is the number of
    dimensions, plus words.BATCHED if the last one is the batch; and the sizes.
    """
    x, batched = given[0], batch_flag(here, given, 1)
    if batched < 0:
        return
    for of_numpy in opened(here, x, NUMBERS):
        return tensor(here, function, of_numpy, batched)
    items = listed(here, x)
    if items.size == 0:
        return
    for first in opened(here, items[0], NUMBERS):
        if first.dims < words.MOST_DIMS:
            return tensor(here, function, Stack(here, items, first), words.BATCHED)
    for dims in (2, 1):
        nested = Nested(here, x, dims)
        if nested.count:
            return tensor(here, function, nested, batched)


@entry
def tensor(here: Here, function: Function, values: Values, batched):
    """Record an input node with these values, if their key is in the table.

    Args:
        batched: is added to the first word of the key.
    """
    first = values.dims + batched
    value = mixed(0, first)
    for size in values.sizes:
        if size != 0:
            value = mixed(value, size)

    def same(row: Row):
        alike = 1
        for place, size in enumerate(values.sizes, 1):
            if row.key_word(place) != size:
                alike = 0
        return alike

    return add_input(here, look_up(function, words.ARRAY_KEY, first, value, same), values)


@entry
def add_input(here: Here, row: Row, values: Values):
    """Record an input node with these values, as a row of the op's table says, if it is found."""
    if not row.found:
        return
    new = here.record(2, values.count)
    if not values.store(new.floats, new.first):
        return
    new.write(0, row.signature)
    new.write(1, new.first)
    return new.finish(row.result)
