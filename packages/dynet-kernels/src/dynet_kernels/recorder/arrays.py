"""Copies numbers, numpy arrays and nested lists to the graph's input buffer, as float32 in column-major order.

Arrays are read through Python's buffer protocol: CPython fills in a C structure, the Py_buffer, which describes the
memory. If something cannot be read, the functions here leave the entry, so that Python does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..plain import Words, entry, on_stack, plain
from . import words
from .c_api import extern, need
from .calls import recording
from .extension import c_function
from .here import Here, Item, Items, NewRecord, checked_index
from .structures import Buffer, Function, Shared
from .tables import Row, find, find_row_with_hash, hash_of, is_one_of

STRIDED, FORMAT = 0x18, 0x4  # CPython's flags PyBUF_STRIDES and PyBUF_FORMAT: which fields of a Py_buffer to fill in
# Type of elements that can be read -> (size in bytes, letters that CPython uses for it). On Windows, "l" has 4 bytes.
INT_TYPES = {"int64": (8, "lq"), "int32": (4, "il")}
AXES = range(words.MOST_DIMS)
NUMBER_TYPES = {"float32": (4, "f"), "float64": (8, "d"), **INT_TYPES}


class Array:
    """A nonempty numpy array of 1 to MOST_DIMS dimensions, of a type in NUMBER_TYPES (INT_TYPES if `of_ints`).

    Python handles subclasses of `numpy.ndarray`. The array's memory stays valid after the Py_buffer is released,
    because nothing interrupts a compiled function.
    """

    is_batched = 0  # whether the last dimension is the batch

    @plain
    def __init__(self, here: Here, x: Item, of_ints: bool = False):
        need(x.type == here.shared.array)
        address, buffer = x.address, Buffer(on_stack(len(words.BUFFER)))
        self.count = (
            fill_buffer(address, buffer, INT_TYPES) if of_ints else extern("dynet_read_array", address, buffer.address)
        )
        need(self.count > 0)
        self.buffer, self.begin, self.ndim, self.item_size = buffer, buffer.begin, ndim_of(buffer), buffer.item_size
        self.shape, self.stride = Words(buffer.shape), Words(buffer.strides)[0]
        self.sizes = [self.shape[k] if k < self.ndim else 0 for k in AXES]

    @plain
    def integer(self, index, limit):
        """Return an element of a 1-D integer array. Leave the entry unless this is at least 0 and below `limit`."""
        address = self.begin + index * self.stride
        return checked_index(limit, Words(address)[0] if self.item_size == 8 else Words(address, "int32")[0])

    @plain
    def store(self, inputs: Words, start) -> None:
        extern("dynet_copy_array", self.buffer.address, self.count, inputs.address + 4 * start)


def ndim_of(buffer: Buffer):
    return buffer.flag_and_ndim >> 32


@plain
def has_format(buffer: Buffer, *formats: tuple[int, str]):
    # The first two bytes of the format string are the letter and the terminating 0.
    letter, result = Words(buffer.format, "int16")[0], 0
    for size, letters in formats:
        if buffer.item_size == size and is_one_of(letter, map(ord, letters)):
            result = 1
    return result


@plain
def fill_buffer(address, buffer: Buffer, types: dict):
    """Fill in a Py_buffer for a numpy array. Return the array's number of elements, or 0 if they cannot be read."""
    if extern("PyObject_GetBuffer", address, buffer.address, STRIDED | FORMAT, returns="int32") != 0:
        extern("PyErr_Clear")
        return 0
    count, ndim = 0, ndim_of(buffer)
    if ndim > 0 and ndim <= words.MOST_DIMS:
        count = has_format(buffer, *types.values())  # 0 if the elements have another type
        for k in range(ndim):
            count *= Words(buffer.shape)[k]
    extern("PyBuffer_Release", buffer.address)
    return count


@c_function("dynet_read_array")
def read_array(shared_words: Shared, array_address, buffer_address):
    return fill_buffer(array_address, Buffer(buffer_address), NUMBER_TYPES)


@c_function("dynet_copy_array")
def copy_array(shared_words: Shared, buffer_address, count, target_address):
    buffer, target = Buffer(buffer_address), Words(target_address, "float32")
    shape, strides = Words(buffer.shape), Words(buffer.strides)
    rows, stride, item_size = shape[0], strides[0], buffer.item_size
    for dtype, number_format in NUMBER_TYPES.items():
        if has_format(buffer, number_format):
            for column in range(count // rows):  # a column for each index in the other dimensions
                source, rest = buffer.begin, column
                for k in range(1, ndim_of(buffer)):
                    source += rest % shape[k] * strides[k]
                    rest //= shape[k]
                column_start = column * rows
                if stride == item_size:
                    column_values = Words(source, dtype)
                    for row in range(rows):
                        target[column_start + row] = column_values[row]
                else:
                    for row in range(rows):
                        target[column_start + row] = Words(source + row * stride, dtype)[0]
    return 0


class Stack:
    """A list of arrays of one shape, read as one array with a batch. Each array of the list is a batch element."""

    is_batched = 1

    @plain
    def __init__(self, here: Here, arrays: Items):
        first_array = Array(here, arrays[0])
        need(first_array.ndim < words.MOST_DIMS)
        self.here, self.arrays, self.first_array = here, arrays, first_array
        self.ndim, self.count = first_array.ndim + 1, first_array.count * arrays.size
        self.sizes = [arrays.size if first_array.ndim == k else first_array.sizes[k] for k in AXES]

    @plain
    def store(self, inputs: Words, start) -> None:
        for k in range(self.arrays.size):
            array = Array(self.here, self.arrays[k])
            need(array.ndim == self.first_array.ndim)
            for size, expected in zip(array.sizes, self.first_array.sizes):
                need(size == expected)
            array.store(inputs, start + k * self.first_array.count)


class Numbers:
    """A number, a list of numbers or a list of lists: `ndim` is 0, 1 or 2.

    For a list of lists, the items of `rows` are the inner lists. Otherwise the only item is the number or the list.
    """

    def __init__(self, here: Here, rows: Items, ndim: int):
        self.here, self.rows, self.ndim, self.is_batched = here, rows, ndim, 0
        self.columns = self.row(0).size
        self.count = rows.size * self.columns
        self.sizes = [rows.size, self.columns][2 - ndim :]  # the last `ndim` of these

    def row(self, index) -> Items:
        return self.here.items(self.rows[index]) if self.ndim else self.rows

    @plain
    def store(self, inputs: Words, start) -> None:
        for k in range(self.rows.size):
            row = self.row(k)
            need(row.size == self.columns)
            for column in range(self.columns):
                inputs[start + k + column * self.rows.size] = self.here.number(row[column])


@entry
def read_flat(here: Here, x: Item, use: Callable):
    """Return `use(values)` for an array, a number or a list of numbers.

    The object `values` has `count` elements and `ndim` dimensions. Its list `sizes` has the sizes of the dimensions,
    perhaps followed by zeros. Its method `store` copies the elements to the input buffer.
    """
    if x.type == here.shared.array:
        return use(Array(here, x))
    single = Items(x.slot, 1)
    if not here.is_sequence(x):
        return use(Numbers(here, single, 0))
    need(here.items(x).size > 0)
    return use(Numbers(here, single, 1))


@entry
def read_nested(here: Here, x: Item, use: Callable):
    """Return `use(values)`, as `read_flat` does, but also accept a list of lists or arrays."""
    if here.is_sequence(x):
        items = here.items(x)
        need(items.size > 0)
        if items[0].type == here.shared.array:
            return use(Stack(here, items))
        if here.is_sequence(items[0]):
            return use(Numbers(here, items, 2))
    return read_flat(here, x, use)


@entry
def read_indices(here: Here, x: Item, use: Callable, or_one: bool = False):
    """Return `use(count, integer_at)` for a list, tuple or 1-D array of integers; with `or_one`, also for one integer.

    integer_at(k, limit) returns integer k. It leaves the entry unless this integer is at least 0 and below `limit`.
    """
    if x.type == here.shared.array:
        array = Array(here, x, of_ints=True)
        need(array.ndim == 1)
        return use(array.count, array.integer)
    need(or_one or here.is_sequence(x))
    items = here.one_or_all(x)

    def integer_at(index, limit):
        return checked_index(limit, here.index(items[index]))

    return use(items.size, integer_at)


@recording(1, key=words.ARRAY_KEY_SIZE)
def vector(here: Here, function: Function, x: Item):
    """Record an input node that is a number or a vector. For the key, see `words.ARRAY_KEY_SIZE`."""
    return read_flat(here, x, partial(record_input, here, function, 0))


@recording(1, 2, key=words.ARRAY_KEY_SIZE)
def array(here: Here, function: Function, arguments: Items):
    """Record an input node from an array, a nested list, or a list of arrays, one for each batch element.

    The optional second argument says whether the last dimension is the batch. For the key, see `words.ARRAY_KEY_SIZE`.
    """
    return read_nested(here, arguments[0], partial(record_input, here, function, here.flag(arguments, 1)))


@plain
def record_input(here: Here, function: Function, is_batched, values: Array | Stack | Numbers):
    key = on_stack(words.ARRAY_KEY_SIZE)
    for k, size in enumerate(values.sizes):
        key[k + 1] = size
    row = find_by_shape(function, key, values.ndim, values.is_batched or is_batched)
    new = new_input_record(here, row, values.count)
    values.store(new.floats, new.inputs_start)
    return new.finish(row.result)


@plain
def find_by_shape(function: Function, key: Words, ndim, is_batched) -> Row:
    """Set the first word of `key`, whose next `ndim` words are a shape. Return the row for this key."""
    key[0] = ndim + 1 + words.BATCH_FLAG if is_batched else ndim + 1
    return find_row_with_hash(function, key, ndim + 1, words.ARRAY_KEY_SIZE, hash_of(key, 0, ndim + 1))


@plain
def new_input_record(here: Here, row: Row, count) -> NewRecord:
    new = NewRecord(here, 2, count)
    new.write(row.signature, new.inputs_start)
    return new


@recording(3, 4, 5, key=words.ARRAY_KEY_SIZE)
def sparse(here: Here, function: Function, arguments: Items):
    """Record an input node from a list of indices for each dimension, a list of values, and a shape.

    Optional arguments: whether the last dimension is the batch, and the value of unlisted elements. Key: see `array`.
    """
    axes, values, shape = [here.items(each) for each in arguments.first(3)]
    need(shape.size >= 1 and shape.size <= words.MOST_DIMS and axes.size == shape.size and values.size > 0)
    batched, key, count = here.flag(arguments, 3), on_stack(words.ARRAY_KEY_SIZE), 1
    for axis in range(shape.size):
        size = here.index(shape[axis])
        need(size > 0)
        key[axis + 1] = size
        count *= size
    row = find_by_shape(function, key, shape.size, batched)
    new = new_input_record(here, row, count)
    new.floats[new.inputs_start] = 0.0
    if arguments.size > 4:
        new.floats[new.inputs_start] = here.number(arguments[4])
    default = new.floats[new.inputs_start]  # via memory: a name assigned in two places can only be an integer
    for element in range(count):
        new.floats[new.inputs_start + element] = default
    for k in range(values.size):
        offset, stride = new.inputs_start, 1
        for axis in range(shape.size):
            indices, size = here.items(axes[axis]), key[axis + 1]
            need(indices.size == values.size)
            offset += checked_index(size, here.index(indices[k])) * stride
            stride *= size
        new.floats[offset] = here.number(values[k])
    return new.finish(row.result)


@recording(2, key=2)
def one_hot(here: Here, function: Function, size: Item, indices: Item):
    """Record an input node whose columns have `size` floats: a 1, and otherwise 0s. The key is `size` and their number.

    `indices` has the index of the 1 in each column: a list, tuple or array, or one int.
    """
    rows = here.index(size)
    need(rows > 0)

    def record(columns, integer_at: Callable):
        row, count = find(function, rows, columns), rows * columns
        new = new_input_record(here, row, count)
        for k in range(count):
            new.floats[new.inputs_start + k] = 0
        for column in range(columns):
            new.floats[new.inputs_start + column * rows + integer_at(column, rows)] = 1
        return new.finish(row.result)

    return read_indices(here, indices, record, or_one=True)
