"""Lookup parameters: tables of rows, such as word embeddings. In this file, *table* means a lookup parameter.

A recording function records lookups in the tables that it knows. For other tables, it calls the Python methods in this
file, which record the node and call `enter`, so that the recording function knows the table from then on.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels.layout import ALIAS

from ..annotations import Array, Floats, Index, Numbers
from ..checks import checked_flag, checked_indices, fitted, out_of_range, real_array, whole
from ..compute.memory import Block
from ..compute.parameter_rows import PARAMETER_ROWS
from ..dim import Dim
from ..errors import ShapeError
from ..graph.expression import Expression
from ..graph.graph import current
from ..graph.nodes import LOOKUPS
from ..graph.record import PinnedGraph, graph_of, pinned
from ..messages.wording import counted
from ..recorder import describe, function, make_parameter
from ..signature import Signature, View, alias, copy_step
from .base import Collection, Constant, Shape, Trained, checked_values
from .storage import Storage


@functools.cache
def _row_signature(table_dim: Dim) -> Signature:
    """Return the signature of a lookup of one row of a table, without copying the row."""
    row = Dim.of(table_dim.dims[:-1])
    signature = alias(row, name="lookup", scale=row.size)
    LOOKUPS.add(signature)
    return signature


@functools.cache
def _batch_signature(table_dim: Dim, count: int) -> Signature:
    """Return the signature of a lookup that copies `count` rows of a table, one for each batch element."""
    row = Dim.of(table_dim.dims[:-1])
    signature = Signature(
        Dim.of(row.dims, count),
        name="lookup_batch",
        operands=1,
        attributes=count,
        columns=count,
        views=[View(-1, stride=row.size), View(0, index=0, index_step=1, scale=row.size)],  # -1: the node itself
        forward=[copy_step("copy", 0, 2, row.size)],  # from role 2, the table's values, to role 0, the node's
        backward=[copy_step("accumulate", 3, 1, row.size, gradient_of=0)],  # role 1: node's gradient; 3: the table's
    )
    LOOKUPS.add(signature)
    return signature


def set_rows(graph: PinnedGraph, node: int, rows: Index | Iterable[Index]) -> bool:
    """Change which rows node `node` reads; discard all values if it was computed. Return False if it is no lookup."""
    lookup = graph.graph.settable_up_to(node).selections.get(node)
    if lookup is None or lookup.signature not in LOOKUPS:
        return False
    row = -1 - lookup.operands[0]
    name, size = PARAMETER_ROWS.names[row], PARAMETER_ROWS.row_count(row)
    if lookup.signature.kind == ALIAS:
        indices = checked_indices("set", [rows], size, name, "row")  # type: ignore[list-item]
    else:
        indices = [*checked_indices("set", rows, size, name, "row")]  # type: ignore[arg-type]
        if len(indices) != len(lookup.attributes):
            raise ShapeError(f"set: {counted(len(indices), 'row')} for a lookup of {len(lookup.attributes)}")
    graph.rewrite(lookup.attributes_start, indices)
    return True


class LookupParameters(Trained):
    """A table of rows, which are vectors or tensors. `E[i]` is row i as an expression.

    Made by `ParameterCollection.add_lookup_parameters`. Only the rows that a graph uses get gradients. The whole table
    is also an expression: its last dimension is the number of rows, as `dim()`, `npvalue()` and `T` show. If it is an
    operand, all rows get gradients.

    `shape` and `as_array()` put the rows first: (rows, *dims). So do `numpy.asarray(E)` and DLPack, which do not copy:
    the result shares the table's memory, and changes with the table. If it is on a GPU, numpy gets a copy.
    """

    __slots__ = ("_operand", "_row_dim", "rows")

    _is_lookup = True
    _change_hint = "init_row(i, row) replaces a row, set_value(array) all of them"

    def __init__(self, name: str, dims: tuple[int, ...], values: object = None, collection: Collection | None = None):
        dims, values = checked_values("LookupParameters", dims, values)
        self.rows: int = dims[-1]
        self._set_up(name, Storage(name, values, row_count=self.rows), collection)
        self._row_dim = Dim.of(dims[:-1])
        # Records of lookups use `_operand`, because reading `at` has a side effect. A table of size 0 has none: its
        # methods raise ShapeError before they would read `_operand`.
        if values.size:
            self._operand = -1 - self._storage.row
        make_parameter(self, -1 - self._storage.row, self._storage.identity.add_dim(Dim.of(dims)))

    @property
    def at(self) -> int:  # type: ignore[override]
        """The operand number of the whole table. Reading it makes the engine note that all rows will get gradients."""
        storage = self._storage
        row = storage.whole_table_row(self._updated)
        current().engine.use_whole_lookup(storage.touched_list, row)  # type: ignore[arg-type]  # it is set if there are rows
        return -1 - row

    def __len__(self) -> int:
        return self.rows

    def lookup(self, index: Index, update: bool = True) -> Expression:
        """Return row `index` as an expression, without copying the row. With update=False, it gets no gradient."""
        if not self._checked_update("lookup", update):
            return _constant_row(self._fixed(), index)
        return self._add_row(self, whole("lookup", "an index", index, keeps_arguments=True), ROW_FUNCTIONS)

    _lookup_in_python = lookup  # at the end of this file, `lookup` itself is replaced with a compiled function

    def _add_row(self, operand: Expression, index: int, functions: Iterable[Any]) -> Expression:
        """Record a lookup in `operand`: the table or its `Constant`. Let the recording `functions` know `operand`."""
        graph = pinned()
        if not 0 <= index < self.rows:
            raise out_of_range("lookup", index, self.rows, self._name, "row")
        signature = _row_signature(operand.type)
        for recording_function in functions:
            recording_function.enter((operand.type,), signature.at, signature.dim, self.rows)
        return graph.append(signature, (self._operand if operand is self else operand.at, index))

    def batch(self, i: Iterable[Index], update: bool = True) -> Expression:
        """Return several rows as one expression, one batch element for each row.

        Args:
            i: the row numbers.
            update: whether the rows get gradients.
        """
        if not self._checked_update("lookup_batch", update):
            return _constant_batch(self._fixed(), i)
        return self._add_rows(self, checked_indices("lookup_batch", i, self.rows, self._name, "row"), BATCH_FUNCTIONS)

    _batch_in_python = batch

    def _add_rows(self, operand: Expression, indices: list[int], functions: Iterable[Any]) -> Expression:
        """Like `_add_row`, for several rows. The `functions` then know `operand` with this number of indices only."""
        signature = _batch_signature(operand.type, len(indices))
        for recording_function in functions:
            recording_function.enter((operand.type, len(indices)), signature.at, signature.dim, self.rows)
        return pinned().append(signature, [self._operand if operand is self else operand.at, *indices])

    def _checked_indices(self, caller: str, rows: Any) -> list[int]:
        return checked_indices(caller, rows, self.rows, self._name, "row")

    def _checked_update(self, caller: str, update: bool) -> bool:
        """Return the argument `update` as a bool. Raise ShapeError if the table has size 0."""
        if not self.type.total:
            graph_of(caller, (self,))
        return update is True or (update is not None and checked_flag(caller, "update", update))

    @property
    def shape(self) -> Shape:
        """The number of rows, followed by the dimensions of a row; `shape()` returns the same."""
        return Shape((self.rows, *self._row_dim.dims))

    # Reading and changing values

    def _shaped(self, flat: Floats) -> Floats:
        return np.moveaxis(flat.reshape((*self._row_dim.dims, self.rows), order="F"), -1, 0)

    def _copy_row(self, caller: str, block: Block, row: Index, dtype: npt.DTypeLike) -> Array:
        """Return a copy of one row of `block`, the values or the gradient. `caller` is for messages."""
        (index,) = self._checked_indices(caller, [row])
        flat = block.section(index * self._row_dim.size, self._row_dim.size)
        return flat.reshape(self._row_dim.dims, order="F").astype(dtype)

    def row_as_array(self, row: Index, *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of one row. `dtype` is as for `as_array`."""
        return self._copy_row("row_as_array", self._storage.values, row, dtype)

    def rows_as_array(self, rows: Iterable[Index], *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of some rows, of shape (number of rows, *dims). `dtype` is as for `as_array`."""
        indices = self._checked_indices("rows_as_array", rows)
        return self._shaped(self._storage.values.array)[indices].astype(dtype, copy=False)

    def row_grad_as_array(self, row: Index, *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of the gradient of one row. `dtype` is as for `as_array`."""
        return self._copy_row("row_grad_as_array", self._storage.gradient, row, dtype)

    def rows_grad_as_array(self, rows: Iterable[Index], *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of some rows' gradients, of shape (number of rows, *dims). `dtype` is as for `as_array`."""
        indices = self._checked_indices("rows_grad_as_array", rows)
        return self._shaped(self._storage.gradient.array)[indices].astype(dtype, copy=False)

    def init_row(self, i: Index, row: Numbers) -> None:
        """Replace one row.

        Args:
            i: the row number.
            row: an array with the row's dimensions, or a flat list of the values, column by column.
        """
        (index,) = self._checked_indices("init_row", [i])
        values, size = real_array("init_row", row), self._row_dim.size
        if values.shape != (size,):
            values = fitted("init_row", values, self._row_dim.dims).ravel(order="F")
        self._storage.set_row(index, values)

    def init_from_array(self, arr: Numbers) -> None:
        """Replace all rows with the rows of an array of shape (rows, *dims).

        Raises:
            ShapeError: the array has a different shape; `init_row` replaces one row.
        """
        values = real_array("init_from_array", arr)
        if values.ndim == 1 == len(self._row_dim.dims) == self._row_dim.size:
            values = values[:, np.newaxis]
        if values.shape != self.shape:
            raise ShapeError(f"init_from_array: the array is {values.shape}, the parameter is {self.shape}")
        with self._storage.edit_values() as stored:
            self._shaped(stored)[:] = values

    set_value = init_from_array
    load_array = init_from_array

    def get_index(self) -> int:
        """Return the index of this table in `lookup_parameters_list()` of its collection; 0 if it has no collection."""
        return self.collection.lookup_parameters_list().index(self) if self.collection else 0


ROW_FUNCTIONS = [function("lookup", LookupParameters.lookup)]
BATCH_FUNCTIONS = [function("lookup_indices", LookupParameters.batch)]
"""The recording functions that look up one row, and several rows. Ops that call `lookup` or `batch` add their recording
functions to these lists. When one of the functions is first called with a table, all of them get to know it."""


def _constant_row_slowly(table: Constant, index: Index) -> Expression:
    parameters: Any = table._source
    return parameters._add_row(table, whole("lookup", "an index", index, keeps_arguments=True), [_constant_row])


def _constant_batch_slowly(table: Constant, i: Iterable[Index]) -> Expression:
    parameters: Any = table._source
    indices = checked_indices("lookup_batch", i, parameters.rows, parameters._name, "row")
    return parameters._add_rows(table, indices, [_constant_batch])


_constant_row, _constant_batch = function("index", _constant_row_slowly), function("indices", _constant_batch_slowly)
"""The recording functions that look up rows with update=False. Their first argument is the table's `Constant`."""
LookupParameters.lookup = LookupParameters.__getitem__ = describe(ROW_FUNCTIONS[0], LookupParameters.lookup)  # type: ignore
LookupParameters.batch = describe(BATCH_FUNCTIONS[0], LookupParameters.batch)  # type: ignore
