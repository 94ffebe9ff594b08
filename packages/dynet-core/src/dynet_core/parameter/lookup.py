"""Lookup parameters."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..annotations import Array, Index, Numbers
from ..checks import checked_array, checked_flag, checked_indices, real_array, whole
from ..dim import Dim
from ..errors import OutOfRangeError, ShapeError
from ..expression import Expression
from ..graph import current, pinned
from ..record import graph_of
from ..recorder import become, describe, function
from ..signature import Signature, View, alias, copy_step
from ..types import Collection
from .base import Constant, Shape, Trained, checked_values
from .storage import Storage


@functools.cache
def _row_signature(table: Dim) -> Signature:
    """A row of the table that has this Dim."""
    row = Dim.of(table.dims[:-1])
    return alias(row, name="lookup", scale=row.size)


@functools.cache
def _batch_signature(table: Dim, count: int) -> Signature:
    """So many rows of the table that has this Dim, as batch elements."""
    row = Dim.of(table.dims[:-1])
    return Signature(
        Dim.of(row.dims, count),
        name="lookup_batch",
        operands=1,
        attributes=count,
        columns=count,
        views=[View(-1, stride=row.size), View(0, index=0, index_step=1, scale=row.size)],
        forward=[copy_step("copy", 0, 2, row.size)],
        backward=[copy_step("accumulate", 3, 1, row.size, gradient_of=0)],
    )


class LookupParameters(Trained):
    """A table of vectors or tensors, one a row, of which a graph uses a few; `E[i]` is row i, an expression.

    Made by `ParameterCollection.add_lookup_parameters`. The table itself is an expression too, of dimensions
    (*dims of a row, rows), as `dim()`, `npvalue()` and `T` have it; where it is used as such, all rows have a gradient.
    `shape` is (rows, *dims), as `as_array()` has it, and so have `numpy.asarray(E)` and DLPack, which give the memory
    itself, not a copy.

    Args:
        dims: the dimensions of a row, then the number of rows.
        values: all values, row after row.
    """

    __slots__ = ("_operand", "_row_dim", "rows")

    _lookup = True
    _operand: int
    _row_dim: Dim
    rows: int
    _change = "init_row(i, row) replaces a row, set_value(array) all of them"

    def __init__(self, name: str, dims: tuple[int, ...], values: Array, collection: Collection | None):
        dims, values = checked_values("LookupParameters", dims, values)
        self.rows = dims[-1]
        self._begin(name, Storage(name, values, rows=self.rows), collection)
        self._row_dim = Dim.of(dims[:-1])
        if values.size:  # where there is none, looking up a row finds out
            self._operand = -1 - self._storage.row
        # `lookup` takes this as the operand; whoever wants the whole table asks for `at`
        become(self, -1 - self._storage.row, self._storage.identity.dim(Dim.of(dims)))

    @property
    def at(self) -> int:  # type: ignore[override]  # asked for where the whole table becomes an operand
        """The operand that means the whole table. Its use is noted in the current graph."""
        storage = self._storage
        row = storage.whole_row(self._updated)
        current().engine.use_whole(storage.touched, row)  # type: ignore[arg-type]  # a table with rows notes them
        return -1 - row

    def __len__(self) -> int:
        return self.rows

    def lookup(self, index: Index, update: bool = True) -> Expression:
        """Row `index` as an expression; nothing is copied."""
        if not self._is_trained_by("lookup", update):
            return _fixed_row(self._fixed(), index)
        return self._row(self, whole("lookup", "an index", index), ROW_FUNCTIONS)

    _looked_up = lookup  # itself, which is recorded by compiled code below

    def _row(self, operand: Expression, index: int, functions: Iterable[Any]) -> Expression:
        """Row `index` of this table, which an operand stands for. The functions record the next one."""
        graph = pinned()
        if not 0 <= index < self.rows:
            raise OutOfRangeError(f"lookup: row {index} is out of range for {self._name}, which has {self.rows} rows")
        signature = _row_signature(self.type)
        for record in functions:
            record.enter((operand.type,), signature.at, signature.dim, self.rows)
        return graph.append(signature, (self._operand if operand is self else operand.at, index))

    def batch(self, i: Iterable[Index], update: bool = True) -> Expression:
        """Several rows as one expression with a batch element each.

        Args:
            i: the rows.
        """
        if not self._is_trained_by("lookup_batch", update):
            return _fixed_batch(self._fixed(), i)
        return self._rows(self, checked_indices("lookup_batch", i, self.rows, self._name), BATCH_FUNCTIONS)

    _looked_up_batch = batch

    def _rows(self, operand: Expression, indices: list[int], functions: Iterable[Any]) -> Expression:
        """Some rows of this table, which an operand stands for. The functions record the next ones."""
        signature = _batch_signature(self.type, len(indices))
        for record in functions:
            record.enter((operand.type, len(indices)), signature.at, signature.dim, self.rows)
        return pinned().append(signature, [self._operand if operand is self else operand.at, *indices])

    def _is_trained_by(self, name: str, update: bool) -> bool:
        """What a flag says that a user gave to `lookup`. A table of size 0 is refused."""
        if not self.type.total:
            graph_of(name, (self,))
        return update is True or checked_flag(name, "update", update)

    @property
    def shape(self) -> Shape:
        """The number of rows, then the dimensions of a row; `shape()` is the same."""
        return Shape((self.rows, *self._row_dim.dims))

    @property
    def _dense_gradient(self) -> bool:
        """Whether any row may have a gradient: the next update then changes the whole table."""
        return bool(self._storage.touched[-1])

    @_dense_gradient.setter
    def _dense_gradient(self, dense: bool) -> None:
        self._storage.touched[-1] = dense

    # Values

    def _table(self, stored: Array) -> Array:
        return np.moveaxis(stored.reshape((*self._row_dim.dims, self.rows), order="F"), -1, 0)

    def _one(self, name: str, stored: Array, row: Index) -> Array:
        """One row as a view, to be read or replaced."""
        return self._table(stored)[checked_indices(name, [row], self.rows, self._name)[0]]

    def as_array(self) -> Array:
        """A copy of all rows, of shape (rows, *dims); `init_row` and `set_value` change the table."""
        return self._table(self._storage.values.array).copy()

    def grad_as_array(self) -> Array:
        """A copy of the gradient, of shape (rows, *dims)."""
        return self._table(self._storage.gradient.array).copy()

    def row_as_array(self, row: Index) -> Array:
        """A copy of one row."""
        return self._one("row_as_array", self._storage.values.array, row).copy()

    def rows_as_array(self, rows: Iterable[Index]) -> Array:
        """A copy of some rows, one above the other."""
        indices = checked_indices("rows_as_array", rows, self.rows, self._name)
        return self._table(self._storage.values.array)[indices]

    def row_grad_as_array(self, row: Index) -> Array:
        """A copy of the gradient of one row."""
        return self._one("row_grad_as_array", self._storage.gradient.array, row).copy()

    def rows_grad_as_array(self, rows: Iterable[Index]) -> Array:
        """A copy of the gradients of some rows, one above the other."""
        indices = checked_indices("rows_grad_as_array", rows, self.rows, self._name)
        return self._table(self._storage.gradient.array)[indices]

    def init_row(self, i: Index, row: Numbers) -> None:
        """Replace one row.

        Args:
            i: which.
            row: an array of its dimensions, or all its values in a list, column by column.
        """
        place = checked_indices("init_row", [i], self.rows, self._name)[0]
        values, dims = real_array("init_row", row), self._row_dim.dims
        if values.shape == (self._row_dim.size,):
            values = values.reshape(dims, order="F")
        values = checked_array("init_row", values, dims)
        with self._storage.values.edit() as stored:
            self._table(stored)[place] = values

    def init_from_array(self, arr: Numbers) -> None:
        """Replace all rows by those of an array of shape (rows, *dims).

        Raises:
            ShapeError: the array has another shape; `init_row` replaces one row.
        """
        values = real_array("init_from_array", arr)
        if values.ndim == 1 == len(self._row_dim.dims) == self._row_dim.size:
            values = values[:, np.newaxis]
        if values.shape != self.shape:
            raise ShapeError(f"init_from_array: the array is {values.shape}, the parameter is {self.shape}")
        with self._storage.values.edit() as stored:
            self._table(stored)[:] = values

    set_value = init_from_array
    load_array = init_from_array

    def get_index(self) -> int:
        """The place among the collection's lookup parameters."""
        return self.collection.lookup_parameters_list().index(self) if self.collection else 0

    def _view(self) -> Array:
        return self._table(self._storage.values.array)


ROW_FUNCTIONS = [function("lookup", LookupParameters.lookup)]
BATCH_FUNCTIONS = [function("lookup_indices", LookupParameters.batch)]
"""The functions that look up one row, and several: those that call these methods add themselves."""


def _unusual_row(table: Constant, index: Index) -> Expression:
    source: Any = table._source
    return source._row(table, whole("lookup", "an index", index), FIXED_ROW_FUNCTIONS)


def _unusual_batch(table: Constant, i: Iterable[Index]) -> Expression:
    source: Any = table._source
    indices = checked_indices("lookup_batch", i, source.rows, source._name)
    return source._rows(table, indices, FIXED_BATCH_FUNCTIONS)


FIXED_ROW_FUNCTIONS = [function("index", _unusual_row)]
FIXED_BATCH_FUNCTIONS = [function("indices", _unusual_batch)]
(_fixed_row,), (_fixed_batch,) = FIXED_ROW_FUNCTIONS, FIXED_BATCH_FUNCTIONS
"""The same of tables that are not to be trained, which constants stand for."""
LookupParameters.lookup = LookupParameters.__getitem__ = describe(ROW_FUNCTIONS[0], LookupParameters.lookup)  # type: ignore
LookupParameters.batch = describe(BATCH_FUNCTIONS[0], LookupParameters.batch)  # type: ignore
