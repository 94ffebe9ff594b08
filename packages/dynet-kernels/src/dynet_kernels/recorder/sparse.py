"""The fast paths of ops that add an input node, given some elements: `sparse_inputTensor` and `one_hot`.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..plain import Words, entry, on_stack, plain
from . import words
from .arrays import Indices, Values, add_input, batch_flag, listed, tensor
from .calls import recording
from .here import Here, Item, Items
from .structures import Function
from .tables import find


class Sparse(Values):
    """A tensor given by lists: the indices of some elements for each dimension, and their values.

    Its last dimension may be the batch. `count` is 0 if a size is not a positive integer.

    Args:
        axes, values, shape: the lists of indices, the values and the sizes. There are as many lists of indices as
            sizes, and not more than MOST_DIMS.
        other: the number that all other elements are.
    """

    def __init__(self, here: Here, axes: Items, values: Items, shape: Items, other):
        self.here, self.axes, self.values, self.other = here, axes, values, other
        self.shape, self.dims = on_stack(words.MOST_DIMS), shape.size
        self.count = self._count(shape)
        self.sizes = [self.shape[place] for place in range(words.MOST_DIMS)]

    @plain
    def _count(self, shape: Items):
        count = 1
        for place in range(words.MOST_DIMS):
            self.shape[place] = 0
        for place in range(shape.size):
            size = self.here.index(shape[place])
            self.shape[place] = size
            count = count * size if size > 0 else 0
        return count

    @plain
    def store(self, inputs: Words, start):
        """Write all elements. Return whether there are values, and all indices and values can be read."""
        fine = 1 if self.values.size else 0
        for axis in range(self.dims):
            if listed(self.here, self.axes[axis]).size != self.values.size:
                fine = 0
        if fine:
            for element in range(self.count):
                inputs[start + element] = self.other
            for number in range(self.values.size):
                place, stride = start, 1
                for axis in range(self.dims):
                    index, size = self.here.index(listed(self.here, self.axes[axis])[number]), self.shape[axis]
                    if index < 0 or index >= size:
                        fine = 0
                    place += index * stride
                    stride *= size
                if not self.here.is_number(self.values[number]):
                    fine = 0
                if fine:
                    value, fits = self.here.number(self.values[number])
                    inputs[place] = value
                    if not fits:
                        fine = 0
        return fine


@recording(3, 4, 5, key=words.ARRAY_KEY)
@entry
def sparse(here: Here, function: Function, given: Items):
    """Record an input node: lists of indices for each dimension, a list of values, and a list of sizes.

    Two more arguments may be True or False, whether the last dimension is the batch; and the number that all other
    elements are. The key is that of `arrays.array`.
    """
    batched = batch_flag(here, given, 3)
    if batched < 0:
        return
    if given.size > 4:
        if not here.is_number(given[4]):
            return
        other, fits = here.number(given[4])
        if not fits:
            return
        return sparse_with(here, function, given, batched, other)
    return sparse_with(here, function, given, batched, 0.0)


@entry
def sparse_with(here: Here, function: Function, given: Items, batched, other):
    for x in given.first(3):
        if not here.is_sequence(x):
            return
    axes, values, shape = (listed(here, each) for each in given.first(3))
    if shape.size < 1 or shape.size > words.MOST_DIMS or axes.size != shape.size:
        return
    tensor_of = Sparse(here, axes, values, shape, other)
    if tensor_of.count:
        return tensor(here, function, tensor_of, batched)


class OneHot(Values):
    """Columns of which each is 1 at one index and 0 elsewhere.

    Args:
        rows: the size of a column.
        indices: an index for each column.
    """

    def __init__(self, rows, indices: Indices):
        self.rows, self.indices, self.count = rows, indices, rows * indices.size

    @plain
    def store(self, inputs: Words, start):
        fine = 1
        for place in range(self.count):
            inputs[start + place] = 0
        for column in range(self.indices.size):
            index = self.indices[column]
            if index >= 0 and index < self.rows:
                inputs[start + column * self.rows + index] = 1
            else:
                fine = 0
        return fine


@recording(2, key=2)
@entry
def one_hot(here: Here, function: Function, size: Item, given: Item):
    """Record an input node: the size of a column, and an index, or a list, tuple or array of one index for each column.

    The key is the size of a column, and the number of columns.
    """
    rows = here.index(size)
    if rows <= 0:
        return
    indices = Indices(here, given, or_one=True)
    return add_input(here, find(function, rows, indices.size), OneHot(rows, indices))
