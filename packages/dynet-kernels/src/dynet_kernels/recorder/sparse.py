"""The fast paths of ops that add an input node, given some elements: `sparse_inputTensor` and `one_hot`.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..plain import on_stack
from . import words
from .arrays import find_shape, new_input, read_indices
from .c_api import need
from .calls import recording
from .here import Here, Item, Items
from .structures import Function
from .tables import find


@recording(3, 4, 5, key=words.ARRAY_KEY)
def sparse(here: Here, function: Function, given: Items):
    """Record an input node: lists of indices for each dimension, a list of values, and a list of sizes.

    Two more arguments may be True or False, whether the last dimension is the batch; and the number that all other
    elements are. The key is that of `arrays.array`.
    """
    axes, values, shape = (here.items(each) for each in given.first(3))
    need(shape.size >= 1 and shape.size <= words.MOST_DIMS and axes.size == shape.size and values.size > 0)
    batched, key, count = here.flag(given, 3), on_stack(words.ARRAY_KEY), 1
    for axis in range(shape.size):
        size = here.index(shape[axis])
        need(size > 0)
        key[axis + 1] = size
        count *= size
    row = find_shape(function, key, shape.size, batched)
    new = new_input(here, row, count)

    def fill(other):
        for element in range(count):
            new.floats[new.first + element] = other

    if given.size > 4:
        fill(here.number(given[4]))
    else:
        fill(0.0)
    for number in range(values.size):
        place, stride = new.first, 1
        for axis in range(shape.size):
            indices, size = here.items(axes[axis]), key[axis + 1]
            need(indices.size == values.size)
            place += here.index_below(size, indices[number]) * stride
            stride *= size
        new.floats[place] = here.number(values[number])
    return new.finish(row.result)


@recording(2, key=2)
def one_hot(here: Here, function: Function, size: Item, given: Item):
    """Record an input node: the size of a column, and an index, or a list, tuple or array of one index for each column.

    The key is the size of a column, and the number of columns.
    """
    rows = here.index(size)
    need(rows > 0)

    def use(columns, at: Callable):
        row, count = find(function, rows, columns), rows * columns
        new = new_input(here, row, count)
        for place in range(count):
            new.floats[new.first + place] = 0
        for column in range(columns):
            index = at(column)
            need(index >= 0 and index < rows)
            new.floats[new.first + column * rows + index] = 1
        return new.finish(row.result)

    return read_indices(here, given, use, or_one=True)
