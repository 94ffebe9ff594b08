"""Parameters."""

from __future__ import annotations

from ..annotations import Array, Numbers
from ..checks import checked_array
from ..dim import Dim
from ..recorder import become
from ..types import Collection
from .base import Shape, Trained, checked_values
from .storage import Storage


class Parameters(Trained):
    """A tensor that training changes. It is an expression of every graph, and can be an operand itself.

    Made by `ParameterCollection.add_parameters`. `numpy.asarray(p)` and DLPack (`torch.from_dlpack(p)`) give
    the memory itself, not a copy: it changes as the parameter does. On a GPU DLPack does; numpy gets a copy.

    Args:
        dims: the dimensions.
        values: all values, column by column.
    """

    __slots__ = ()

    def __init__(self, name: str, dims: tuple[int, ...], values: Array, collection: Collection | None):
        dims, values = checked_values("Parameters", dims, values)
        self._begin(name, Storage(name, values), collection)
        become(self, -1 - self._storage.row, self._storage.identity.dim(Dim.of(dims)))

    @property
    def shape(self) -> Shape:
        """The dimensions; `shape()` is the same."""
        return Shape(self.type.dims)

    def as_array(self) -> Array:
        """A copy of the values, of shape dim: changing it leaves the parameter as it is, `set_value` changes that."""
        return self.npvalue()

    def grad_as_array(self) -> Array:
        """A copy of the gradient, of shape dim."""
        return self.gradient()

    def set_value(self, arr: Numbers) -> None:
        """Replace the values by an array of the same shape."""
        self._storage.values.write(checked_array("set_value", arr, self.type.dims).ravel(order="F"))

    load_array = set_value

    def get_index(self) -> int:
        """The place among the collection's parameters."""
        return self.collection.parameters_list().index(self) if self.collection else 0

    def _view(self) -> Array:
        return self._storage.values.array.reshape(self.type.shape, order="F")
