"""The class `Parameters`: vectors, matrices and other tensors that are trained. Lookup parameters are in `lookup`."""

from __future__ import annotations

from ..annotations import Floats, Numbers
from ..checks import fitted, real_array
from ..dim import Dim
from ..recorder import become
from .base import Collection, Shape, Trained, checked_values
from .storage import Storage


class Parameters(Trained):
    """A tensor that is trained. It is an expression, and can be an operand in every graph.

    `ParameterCollection.add_parameters` makes it. `numpy.asarray(p)` and DLPack (`torch.from_dlpack(p)`) do not copy:
    the result has the parameter's memory, and changes with the parameter. On a GPU, numpy gets a copy.
    """

    __slots__ = ()

    def __init__(self, name: str, dims: tuple[int, ...], values: object = None, collection: Collection | None = None):
        dims, values = checked_values("Parameters", dims, values)
        self._begin(name, Storage(name, values), collection)
        become(self, -1 - self._storage.row, self._storage.identity.dim(Dim.of(dims)))

    @property
    def shape(self) -> Shape:
        """The dimensions; `shape()` returns the same."""
        return Shape(self.type.dims)

    def set_value(self, arr: Numbers) -> None:
        """Replace the values by those of an array of the same shape."""
        self._storage.set_values(fitted("set_value", real_array("set_value", arr), self.type.dims).ravel(order="F"))

    load_array = set_value

    def get_index(self) -> int:
        """Return the index of this parameter in `parameters_list()` of its collection; 0 if it has no collection."""
        return self.collection.parameters_list().index(self) if self.collection else 0

    def _shaped(self, flat: Floats) -> Floats:
        return flat.reshape(self.type.shape, order="F")
