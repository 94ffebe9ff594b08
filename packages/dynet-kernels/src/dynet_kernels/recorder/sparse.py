"""The fast paths of ops that add an input node, given some elements: `sparse_inputTensor` and `one_hot`.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..plain import Words, on_stack, plain
from . import words
from .arrays import Values, add_input, read_indices, tensor
from .c_api import need
from .calls import recording
from .here import Here, Item, Items
from .structures import Function
from .tables import find


class Sparse(Values):
    """A tensor given by lists: the indices of some elements for each dimension, and their values.

    Args:
        axes, values, shape: the lists of indices, the values and the sizes. There are as many lists of indices as
            sizes, and not more than MOST_DIMS.
        other: the number that all other elements are.
    """

    def __init__(self, here: Here, axes: Items, values: Items, shape: Items, other):
        self.here, self.axes, self.values, self.other = here, axes, values, other
        self.shape, self.dims = on_stack(words.MOST_DIMS), shape.size
        self.count = self.counted(shape)
        self.sizes = [self.shape[place] for place in range(words.MOST_DIMS)]

    @plain
    def counted(self, shape: Items):
        count = 1
        for place in range(words.MOST_DIMS):
            self.shape[place] = 0
        for place in range(shape.size):
            size = self.here.index(shape[place])
            need(size > 0)
            self.shape[place] = size
            count *= size
        return count

    @plain
    def store(self, inputs: Words, start) -> None:
        for element in range(self.count):
            inputs[start + element] = self.other
        for number in range(self.values.size):
            place, stride = start, 1
            for axis in range(self.dims):
                indices, size = self.here.items(self.axes[axis]), self.shape[axis]
                need(indices.size == self.values.size)
                index = self.here.index(indices[number])
                need(index >= 0 and index < size)
                place += index * stride
                stride *= size
            inputs[place] = self.here.number(self.values[number])


@recording(3, 4, 5, key=words.ARRAY_KEY)
def sparse(here: Here, function: Function, given: Items):
    """Record an input node: lists of indices for each dimension, a list of values, and a list of sizes.

    Two more arguments may be True or False, whether the last dimension is the batch; and the number that all other
    elements are. The key is that of `arrays.array`.
    """
    axes, values, shape = (here.items(each) for each in given.first(3))
    need(shape.size >= 1 and shape.size <= words.MOST_DIMS and axes.size == shape.size and values.size > 0)
    batched = here.flag(given, 3)

    def record(other):
        return tensor(here, function, Sparse(here, axes, values, shape, other), batched)

    if given.size > 4:
        return record(here.number(given[4]))
    return record(0.0)


class OneHot(Values):
    """Columns of which each is 1 at one index and 0 elsewhere.

    Args:
        rows, columns: the size of a column, and how many there are.
        at: returns the index for a column.
    """

    def __init__(self, rows, columns, at: Callable):
        self.rows, self.columns, self.at, self.count = rows, columns, at, rows * columns

    @plain
    def store(self, inputs: Words, start) -> None:
        for place in range(self.count):
            inputs[start + place] = 0
        for column in range(self.columns):
            index = self.at(column)
            need(index >= 0 and index < self.rows)
            inputs[start + column * self.rows + index] = 1


@recording(2, key=2)
def one_hot(here: Here, function: Function, size: Item, given: Item):
    """Record an input node: the size of a column, and an index, or a list, tuple or array of one index for each column.

    The key is the size of a column, and the number of columns.
    """
    rows = here.index(size)
    need(rows > 0)

    def use(columns, at: Callable):
        return add_input(here, find(function, rows, columns), OneHot(rows, columns, at))

    return read_indices(here, given, use, or_one=True)
