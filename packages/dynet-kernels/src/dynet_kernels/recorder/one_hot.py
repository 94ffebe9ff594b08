"""Emits the fast path of `one_hot`, an op that takes indices and adds an input node: 1 at the indices, 0 elsewhere.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..tir import IntVariable, float32, int64, let, when
from ..tvm_modules import T
from .arrays import INTEGERS, opened
from .inputs import begin_input, keep_or_give_back
from .objects import Int, is_index, is_sequence, items_of, not_
from .operations import index_in, index_of
from .recording import Recording, with_graph
from .structures import List, words_at
from .tables import find


@with_graph
def record_one_hot(shared, graph, version, function, size_at, indices_at, outcome):
    """Emit the fast path of an op on a size and an index, or a list, tuple or array with an index for each column.

    The key is the size of a column, which is also the row's `limit`, and the number of columns.
    """
    known = IntVariable(int64(0))
    with when(is_index(shared, size_at)):
        number = Int(size_at, shared)
        with when(number.fits.get() != int64(0)):
            known.set(number.value)
    rows = let(known.get())

    def record(columns, index_at):
        with find(function, rows, columns) as row:
            count = let(rows * columns)
            with Recording(shared, outcome, graph, 2, inputs=count) as new:
                (start, inputs), fine = begin_input(new), IntVariable(int64(1))
                with T.serial(int64(0), count) as place:
                    T.buffer_store(inputs, float32(0), [start + place])
                with T.serial(int64(0), columns) as column:
                    index = index_at(column)
                    inside = let(index_in(row, index, False))
                    with when(inside):
                        T.buffer_store(inputs, float32(1), [start + column * rows + index])
                    with when(not_(inside)):
                        fine.set(int64(0))
                keep_or_give_back(shared, new, start, count, row, fine)

    with when(rows > int64(0)):
        with when(is_index(shared, indices_at)):
            record(int64(1), lambda column: index_of(shared, indices_at))
        with when(is_sequence(shared, indices_at)):
            items = words_at(items_of(shared, indices_at))
            record(let(List(indices_at).size), lambda column: index_of(shared, let(items[column])))
        with opened(shared, indices_at, INTEGERS) as array, when(array.dims == int64(1)):
            record(let(array.count.get()), array.integer)
