"""Emits the fast paths of ops that add an input node, given some elements: `sparse_inputTensor` and `one_hot`.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..tir import IntVariable, float32, int64, let, when
from ..tvm_modules import T
from . import words
from .arrays import Indices, add_input, batch_flag, record_input
from .inputs import store_number
from .objects import Flag, both, index_of, is_below, is_number, is_sequence, items_of, taking
from .recording import with_graph
from .structures import List, words_at, words_on_stack
from .tables import find


class Sparse:
    """A tensor given by lists: the indices of some elements for each dimension, and their values; as an `arrays.Array`.

    Its last dimension may be the batch. `count` is 0 if a size is not a positive integer.

    Args:
        axes_at, values_at, shape_at: the addresses of the lists or tuples of indices, of values and of sizes. There are
            as many lists of indices as sizes, and not more than MOST_DIMS.
        other_at: the address of the number that all other elements are; 0 for the number 0.
    """

    def __init__(self, shared, axes_at, values_at, shape_at, other_at):
        self._shared, self._other_at = shared, other_at
        self._axes, self._values = (words_at(items_of(shared, each)) for each in (axes_at, values_at))
        self._given, self.dims = let(List(values_at).size), let(List(shape_at).size)
        sizes, shape = words_on_stack(words.MOST_DIMS), words_at(items_of(shared, shape_at))
        self.count = IntVariable(int64(1))
        with T.serial(int64(0), int64(words.MOST_DIMS)) as place:
            T.buffer_store(sizes, int64(0), [place])
        with T.serial(int64(0), self.dims) as place:
            size = index_of(shared, let(shape[place]))
            T.buffer_store(sizes, size, [place])
            self.count.set(T.if_then_else(size > int64(0), self.count.get() * size, int64(0)))
        self._shape, self.sizes = sizes, [let(sizes[int64(place)]) for place in range(words.MOST_DIMS)]

    def store(self, inputs, start, fine):
        """Emit loops that write all elements to the buffer `inputs`, from offset `start` on, in column-major order.

        The code sets the variable `fine` to 0 if there are no values, or if an index or a value cannot be read.
        """
        count = let(self.count.get())
        T.buffer_store(inputs, float32(0), [start])
        with when(self._other_at != int64(0)):
            store_number(inputs, start, self._other_at, fine)
        other = let(inputs[start])
        with T.serial(int64(0), count) as place:
            T.buffer_store(inputs, other, [start + place])
        fine.require(self._given != int64(0))
        with T.serial(int64(0), self.dims) as axis:
            indices = let(self._axes[axis])
            fine.require(both(is_sequence(self._shared, indices), List(indices).size == self._given))
        with T.serial(int64(0), self._given) as number, when(fine.on):
            place, stride = IntVariable(start), IntVariable(int64(1))
            with T.serial(int64(0), self.dims) as axis:
                indices, size = words_at(items_of(self._shared, let(self._axes[axis]))), let(self._shape[axis])
                index = index_of(self._shared, let(indices[number]))
                fine.require(is_below(index, size))
                place.set(place.get() + index * stride.get())
                stride.set(stride.get() * size)
            value_at = let(self._values[number])
            fine.require(is_number(self._shared, value_at))
            with when(fine.on):
                store_number(inputs, let(place.get()), value_at, fine)


@taking(3, 4, 5)
@with_graph
def record_sparse(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op on lists of indices for each dimension, a list of values, and a list of sizes.

    Two more arguments may be True or False, whether the last dimension is the batch; and the number that all other
    elements are. The key is that of `arrays.record_array`.
    """
    batched, other_at, known = batch_flag(shared, call, 3), IntVariable(int64(0)), Flag()
    with when(call.count() > int64(4)):
        other_at.set(call[4])
        known.require(is_number(shared, call[4]))
    lists = axes_at, values_at, shape_at = call[0], call[1], call[2]
    with when(both(known.on, batched >= int64(0), *[is_sequence(shared, each) for each in lists])):
        dims = let(List(shape_at).size)
        with when(both(dims > int64(0), dims <= int64(words.MOST_DIMS), List(axes_at).size == dims)):
            sparse = Sparse(shared, axes_at, values_at, shape_at, let(other_at.get()))
            with when(sparse.count.get() > int64(0)):
                record_input(shared, graph, function, sparse, batched, outcome)


class OneHot:
    """Columns of which each is 1 at one index and 0 elsewhere: values for `arrays.add_input`.

    Args:
        rows: the size of a column.
        indices: an `Indices`, with an index for each column.
    """

    def __init__(self, rows, indices):
        self._rows, self._indices, self.count = rows, indices, IntVariable(rows * indices.size)

    def store(self, inputs, start, fine):
        with T.serial(int64(0), let(self.count.get())) as place:
            T.buffer_store(inputs, float32(0), [start + place])
        with T.serial(int64(0), self._indices.size) as column:
            index = self._indices[column]
            with when(is_below(index, self._rows)):
                T.buffer_store(inputs, float32(1), [start + column * self._rows + index])
            fine.require(is_below(index, self._rows))


@taking(2)
@with_graph
def record_one_hot(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op on a size and an index, or a list, tuple or array with an index for each column.

    The key is the size of a column, and the number of columns.
    """
    rows = index_of(shared, call[0])
    with when(rows > int64(0)):
        indices = Indices(shared, call[1], call.place(1))
        with find(function, rows, indices.size) as row:
            add_input(shared, graph, row, OneHot(rows, indices), outcome)
