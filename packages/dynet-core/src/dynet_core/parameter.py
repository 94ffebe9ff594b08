"""Parameters, lookup parameters, and the collections that own them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

import numpy as np

from .dim import Dim, checked_dims
from .engine import PARAMETER_ROWS, keep_for_graphs
from .errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from .expression import Expression
from .graph import current, shape_of, thread
from .initializer import NumpyInitializer, PyInitializer, initializer_from
from .memory import Block
from .record import append
from .signature import Signature, Step, View, alias


class Storage:
    """The numbers of a parameter and of its gradient, and the row by which the planner knows them."""

    __slots__ = ("_fixed", "gradient", "row", "touched", "values")

    def __init__(self, values: np.ndarray, rows: int = 0):
        count = values.size
        self.values, self.gradient = Block(count), Block(count, zero=True)
        self.values.array[:] = values.ravel(order="K")
        self.touched = np.zeros(2 + 2 * rows, np.int64) if rows else None  # see layout: PARAMETER_TOUCHED
        self.row = PARAMETER_ROWS.add(
            value=self.values.address,
            gradient=self.gradient.address,
            needs=True,
            touched=self.touched.ctypes.data if self.touched is not None else 0,
            width=count // rows if rows else 0,
            rows=rows,
        )
        self._fixed: tuple[int, Block] | None = None

    def fixed_row(self) -> int:
        """The row for taking part without being trained; gradients that meet there are lost."""
        if self._fixed is None:
            scratch = Block(self.values.floats)
            row = PARAMETER_ROWS.add(value=self.values.address, gradient=scratch.address, needs=False)
            self._fixed = row, scratch
        return self._fixed[0]

    def __del__(self):
        keep_for_graphs((self.values, self.gradient, self.touched, self._fixed))


class _Constant(Expression):
    """A parameter that takes part without being trained (update=False)."""

    __slots__ = ("_source",)


def _stored_order(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32).ravel(order="F")


class Parameters(Expression):
    """A tensor that training changes. It is an expression of every graph, and can be an operand itself.

    Made by `ParameterCollection.add_parameters`.
    """

    __slots__ = ("_constant", "_name", "_storage", "_updated", "collection")

    def __init__(self, name: str, values: np.ndarray, collection: ParameterCollection | None):
        dim = Dim.of(values.shape)
        self._storage = Storage(_stored_order(values))
        self._name, self._updated, self._constant = name, True, None
        self.collection = collection
        self.graph, self.at = None, -1 - self._storage.row
        self.type = dim.own()

    def name(self) -> str:
        """The name within the collection, such as `/encoder/_0`."""
        return self._name

    def expr(self, update: bool = True) -> Expression:
        """The parameter as an expression; with update=False, one that receives no gradient."""
        return self if update else self._fixed()

    def _fixed(self) -> Expression:
        if self._constant is None:
            constant = self._constant = _Constant()
            constant._source = self
            constant.graph = None
            constant.at = -1 - self._storage.fixed_row()
            constant.type = self.type.plain.own()
        return self._constant

    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        return self.type.dims

    def _stored(self, recalculate: bool) -> np.ndarray:
        return self._storage.values.array

    def _stored_gradient(self) -> np.ndarray:
        return self._storage.gradient.array

    def as_array(self) -> np.ndarray:
        """A copy of the values, of shape dim."""
        return self.npvalue()

    def grad_as_array(self) -> np.ndarray:
        """A copy of the gradient, of shape dim."""
        return self._stored_gradient().reshape(shape_of(self.type), order="F").copy(order="F")

    gradient = grad_as_array

    def set_value(self, values) -> None:
        """Replace the values by an array of the same shape."""
        self._storage.values.array[:] = _stored_order(_checked_array("set_value", values, self.type.dims))

    load_array = set_value

    def zero(self) -> None:
        """Set all values to zero."""
        self._storage.values.array[:] = 0

    def scale(self, s: float) -> None:
        """Multiply all values by a number."""
        self._storage.values.array[:] *= _checked_number("scale", s)

    def scale_gradient(self, s: float) -> None:
        """Multiply the gradient by a number."""
        self._stored_gradient()[:] *= _checked_number("scale_gradient", s)

    def clip_inplace(self, left: float, right: float) -> None:
        """Bring all values into [left, right]."""
        low, high = _checked_number("clip_inplace", left), _checked_number("clip_inplace", right)
        if low > high:
            raise ArgumentError(f"clip_inplace: left is {low}, right is {high}")
        np.clip(self._storage.values.array, low, high, out=self._storage.values.array)

    def is_updated(self) -> bool:
        """Whether trainers change this parameter."""
        return self._updated

    def set_updated(self, b: bool) -> None:
        """Say whether trainers change this parameter."""
        self._updated = bool(b)
        PARAMETER_ROWS.set_needs(self._storage.row, self._updated)

    def get_index(self) -> int:
        """The place among the collection's parameters."""
        return self.collection.parameters_list().index(self) if self.collection else 0


class LookupParameters:
    """A table of vectors (or tensors), one a row, of which a graph uses a few. `E[i]` is row i as an expression."""

    __slots__ = ("_batches", "_name", "_operand", "_row_dim", "_signature", "_storage", "_updated", "collection", "rows")  # fmt: skip

    def __init__(self, name: str, values: np.ndarray, collection: ParameterCollection | None):
        self.rows = values.shape[0]
        self._row_dim = Dim.of(values.shape[1:] or (1,))
        self._storage = Storage(_stored_order(np.moveaxis(values, 0, -1)), rows=self.rows)
        self._name, self._updated, self.collection = name, True, collection
        self._signature = alias(self._row_dim, scale=self._row_dim.size).at
        self._operand = -1 - self._storage.row
        self._batches: dict[int, Signature] = {}

    def name(self) -> str:
        """The name within the collection, such as `/_1`."""
        return self._name

    def __len__(self) -> int:
        return self.rows

    def lookup(self, index: int, update: bool = True) -> Expression:
        """Row `index` as an expression; nothing is copied."""
        if index.__class__ is not int:
            index = checked_index("lookup", index)
        if not 0 <= index < self.rows:
            raise OutOfRangeError(f"lookup: row {index} is out of range for {self._name}, which has {self.rows} rows")
        try:
            graph = thread.graph
        except AttributeError:
            graph = current()
        nodes = graph.nodes
        node = Expression()
        node.graph = graph
        node.at = len(nodes)
        node.type = self._row_dim
        nodes += (self._signature, self._operand if update else self._fixed(), index)
        return node

    __getitem__ = lookup

    def batch(self, indices: Sequence[int], update: bool = True) -> Expression:
        """Several rows as one expression with a batch element each."""
        indices = checked_indices("lookup_batch", indices, self.rows, self._name)
        signature = self._batches.get(len(indices))
        if signature is None:
            size = self._row_dim.size
            signature = self._batches[len(indices)] = Signature(
                Dim.of(self._row_dim.dims, len(indices)),
                operands=1,
                attributes=len(indices),
                columns=len(indices),
                views=[View(-1, stride=size), View(0, index=0, index_step=1, scale=size)],
                forward=[copy_step("copy", 0, 2, size)],
                backward=[copy_step("accumulate", 3, 1, size, gradient_of=0)],
            )
        return append(current(), signature, [-1 - self._storage.row if update else self._fixed(), *indices])

    def _fixed(self) -> int:
        """The operand that stands for this table when it is not to be trained."""
        return -1 - self._storage.fixed_row()

    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the dimensions of a row."""
        return (self.rows, *self._row_dim.dims)

    @property
    def _dense_gradient(self) -> bool:
        """Whether any row may have a gradient, listed or not: the next update then changes the whole table."""
        return bool(self._storage.touched[-1])

    @_dense_gradient.setter
    def _dense_gradient(self, dense: bool) -> None:
        self._storage.touched[-1] = dense

    def _table(self, stored: np.ndarray) -> np.ndarray:
        return np.moveaxis(stored.reshape((*self._row_dim.dims, self.rows), order="F"), -1, 0).copy()

    def as_array(self) -> np.ndarray:
        """A copy of all rows, of shape (rows, *dims)."""
        return self._table(self._storage.values.array)

    npvalue = as_array

    def grad_as_array(self) -> np.ndarray:
        """A copy of the gradient, of shape (rows, *dims)."""
        return self._table(self._storage.gradient.array)

    def row_as_array(self, row: int) -> np.ndarray:
        """A copy of one row."""
        index = checked_indices("row_as_array", [row], self.rows, self._name)[0]
        return self._row(index).reshape(self._row_dim.dims, order="F").copy()

    def rows_as_array(self, rows: Iterable[int]) -> np.ndarray:
        """A copy of some rows, one above the other."""
        return np.stack([self.row_as_array(row) for row in rows])

    def init_row(self, row: int, values) -> None:
        """Replace one row."""
        index = checked_indices("init_row", [row], self.rows, self._name)[0]
        self._row(index)[:] = _stored_order(_checked_array("init_row", values, self._row_dim.dims))

    def init_from_array(self, array) -> None:
        """Replace all rows by an array of shape (rows, *dims)."""
        table = _checked_array("init_from_array", array, self.shape())
        self._storage.values.array[:] = _stored_order(np.moveaxis(table, 0, -1))

    set_value = load_array = init_from_array

    def _row(self, index: int) -> np.ndarray:
        size = self._row_dim.size
        return self._storage.values.array[index * size : (index + 1) * size]

    def zero(self) -> None:
        """Set all values to zero."""
        self._storage.values.array[:] = 0

    def scale(self, s: float) -> None:
        """Multiply all values by a number."""
        self._storage.values.array[:] *= _checked_number("scale", s)

    def scale_gradient(self, s: float) -> None:
        """Multiply the gradient by a number."""
        self._storage.gradient.array[:] *= _checked_number("scale_gradient", s)

    def is_updated(self) -> bool:
        """Whether trainers change this table."""
        return self._updated

    def set_updated(self, b: bool) -> None:
        """Say whether trainers change this table."""
        self._updated = bool(b)
        PARAMETER_ROWS.set_needs(self._storage.row, self._updated)

    def get_index(self) -> int:
        """The place among the collection's lookup parameters."""
        return self.collection.lookup_parameters_list().index(self) if self.collection else 0


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = -1) -> Step:
    """A step that copies (or adds) `size` neighbouring numbers of each column from one role to another."""
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


class ParameterCollection:
    """Owns parameters, and names them. What trainers train and files hold."""

    def __init__(self, name: str = "/"):
        self._name = name
        self._counts: dict[str, int] = {}
        self._parameters: list[Parameters] = []
        self._lookups: list[LookupParameters] = []
        self._parent: ParameterCollection | None = None

    def name(self) -> str:
        """The name, which begins every name within: `/`, `/encoder/`, ..."""
        return self._name

    def _unique(self, name: str) -> str:
        """`name` within this collection, with a number where it is taken; parameters without a name are numbers."""
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return f"{self._name}{name}" + (f"_{count}" if count or not name else "")

    def add_parameters(self, dim, init=None, name: str = "", device: str = "", scale=1.0, mean=0.0, std=1.0) -> Parameters:  # fmt: skip
        """Add a parameter of dimensions `dim`, with initial values from `init` (Glorot if None).

        Args:
            dim: an int or a tuple; None takes the dimensions of the array `init`.
            init: an initializer, an array, a number or a name such as `"glorot"`.
        """
        if dim is None and isinstance(init, (np.ndarray, NumpyInitializer)):
            dim = np.shape(init.array if isinstance(init, NumpyInitializer) else init)
        dims = checked_dims("add_parameters", dim)
        initializer = initializer_from(init, dims, scale=scale, mean=mean, std=std)
        values = initializer.values(dims)
        return self._add(self._parameters, "_parameters", Parameters(self._unique_parameter(name), values, self))

    def add_lookup_parameters(self, dim, init=None, name: str = "", device: str = "", scale=1.0, mean=0.0, std=1.0) -> LookupParameters:  # fmt: skip
        """Add a table of dim[0] rows of dimensions dim[1:]."""
        dims = checked_dims("add_lookup_parameters", dim)
        dims = dims if len(dims) > 1 else (*dims, 1)
        initializer = initializer_from(init, dims, lookup=True, scale=scale, mean=mean, std=std)
        values = initializer.values(dims, lookup=True)
        return self._add(self._lookups, "_lookups", LookupParameters(self._unique_parameter(name), values, self))

    def parameters_from_numpy(self, array, name: str = "") -> Parameters:
        """Add a parameter with the shape and values of an array."""
        return self.add_parameters(np.shape(array), init=NumpyInitializer(array), name=name)

    def lookup_parameters_from_numpy(self, array, name: str = "") -> LookupParameters:
        """Add a table with the shape and values of an array."""
        return self.add_lookup_parameters(np.shape(array), init=NumpyInitializer(array), name=name)

    def add_subcollection(self, name: str = "") -> ParameterCollection:
        """A collection whose parameters are also this one's."""
        child = ParameterCollection(self._unique(name) + "/")
        child._parent = self
        return child

    def _unique_parameter(self, name: str) -> str:
        if "/" in name:
            raise ArgumentError(f"a parameter's name cannot contain '/': {name!r}")
        return self._unique(name or "")

    def _add(self, own: list, attribute: str, parameter):
        own.append(parameter)
        ancestor = self._parent
        while ancestor is not None:
            getattr(ancestor, attribute).append(parameter)
            ancestor = ancestor._parent
        return parameter

    def parameters_list(self) -> list[Parameters]:
        """All parameters, those of subcollections included, in the order they were added."""
        return list(self._parameters)

    def lookup_parameters_list(self) -> list[LookupParameters]:
        """All lookup parameters, those of subcollections included, in the order they were added."""
        return list(self._lookups)

    def parameter_count(self) -> int:
        """How many numbers all parameters hold together."""
        return sum(p._storage.values.floats for p in [*self._parameters, *self._lookups])


Model = ParameterCollection


def parameter(p: Parameters | LookupParameters, update: bool = True) -> Expression:
    """A parameter as an expression; with update=False, one that receives no gradient.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.parameter(W).value()
    [1.0, 2.0]
    """
    if isinstance(p, Parameters):
        return p.expr(update)
    raise ArgumentTypeError(f"parameter: expected Parameters, got {type(p).__name__}")


def checked_index(name: str, index) -> int:
    """An index that a user gave, as an int."""
    try:
        return operator.index(index)
    except TypeError:
        raise ArgumentTypeError(f"{name}: an index must be an int, not {type(index).__name__} {index!r:.40}") from None


def checked_indices(name: str, indices, size: int, of: str) -> list[int]:
    """Indices that a user gave, all within 0..size."""
    try:
        found = [operator.index(index) for index in indices]
    except TypeError:
        raise ArgumentTypeError(f"{name}: indices must be a sequence of ints, not {indices!r:.60}") from None
    if not found:
        raise ArgumentError(f"{name}: no indices")
    if min(found) < 0 or max(found) >= size:
        wrong = next(index for index in found if not 0 <= index < size)
        raise OutOfRangeError(f"{name}: index {wrong} is out of range for {of}, which has {size}")
    return found


def _checked_number(name: str, value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: expected a number, got {value!r:.40}") from None
    if not np.isfinite(number):
        raise ArgumentError(f"{name}: expected a finite number, got {number}")
    return number


def _checked_array(name: str, values, dims: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError
        array = array.astype(np.float32)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: expected an array of real numbers, got {type(values).__name__}") from None
    if array.shape != dims and array.size == 1 == int(np.prod(dims)):
        array = array.reshape(dims)
    if array.shape != dims:
        raise ShapeError(f"{name}: the array is {array.shape}, the parameter is {dims}")
    return array


__all__ = ["LookupParameters", "Model", "ParameterCollection", "Parameters", "PyInitializer", "parameter"]
