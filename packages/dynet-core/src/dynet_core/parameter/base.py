"""What parameters and lookup parameters have in common."""

from __future__ import annotations

import copyreg
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dlpack
from ..annotations import Array, Number, Path
from ..checks import checked_flag, checked_number, real_array
from ..dim import checked_dims
from ..errors import ArgumentError, GradientError, ParameterNameError, ShapeError
from ..expression import Expression
from ..files import model_files
from ..files.tensors import Tensor
from ..memory import HostBlock
from ..recorder import become, note_pass
from ..types import Collection
from ..wording import printable
from .storage import Storage


def checked_values(kind: str, dims: Any, values: Any) -> tuple[tuple[int, ...], Array]:
    """The dimensions of a parameter, and its values, of which there must be as many."""
    dims = checked_dims(kind, dims, least=0)
    if not (isinstance(values, np.ndarray) and values.dtype == np.float32):
        values = real_array(kind, values)
    if values.shape != (math.prod(dims),):
        raise ShapeError(f"{kind}: values of shape {values.shape} for {dims}, which holds {math.prod(dims)} in a row")
    return dims, values


class Shape(tuple[int, ...]):
    """Dimensions: `p.shape` as of any expression, and `p.shape()`, which DyNet's parameters have."""

    __slots__ = ()

    def __call__(self) -> tuple[int, ...]:
        return tuple(self)


class Constant(Expression):
    """A parameter that takes part without being trained (update=False)."""

    __slots__ = ("_source",)

    _source: Trained

    def __repr__(self) -> str:
        return repr(self._source)

    @property
    def shape(self) -> Shape:
        """The dimensions, as the parameter's `shape` gives them."""
        return self._source.shape

    def _stored(self, recalculate: bool) -> Array:
        return self._source._stored(recalculate)

    def _address(self, recalculate: bool) -> int:
        return self._source._address(recalculate)

    def _add_to_gradient(self) -> None:
        """It has none."""

    def gradient(self) -> Array:
        """Refused: there is none."""
        raise GradientError(f"gradient: {self._source.name()} takes part with update=False and has no gradient")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self._source)._fixed, (self._source,)


class Trained(Expression):
    """The base of `Parameters` and `LookupParameters`: numbers that training changes, and a name."""

    __slots__ = ("__weakref__", "_constant", "_name", "_never_trained", "_storage", "_updated", "collection")

    _constant: Constant | None
    _name: str
    _storage: Storage
    _updated: bool
    collection: Collection | None
    _lookup = False
    _gives_numbers = True
    _change = "set_value(array) replaces its values"

    def __setattr__(self, name: str, value: object) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError as problem:
            if hasattr(type(self), name):
                raise AttributeError(f"{self!r}: {name} cannot be assigned to: {self._change}") from None
            raise AttributeError(f"{problem}; {self._change}") from None

    def _begin(self, name: str, storage: Storage, collection: Collection | None) -> None:
        self._name, self._storage, self.collection = name, storage, collection
        self._updated, self._never_trained, self._constant = True, False, None

    def name(self) -> str:
        """The name within the collection, such as `/encoder/_0`."""
        return self._name

    @property
    def shape(self) -> Shape:
        """The dimensions as users write them; `shape()` is the same."""
        raise NotImplementedError

    def __repr__(self) -> str:
        kind = "LookupParameter" if self._lookup else "Parameter"
        return f"{kind} {printable(self._name)} {self.shape}" + ", frozen" * (not self._updated)

    def expr(self, update: bool = True) -> Expression:
        """This as an expression; with update=False, one that receives no gradient."""
        return self if update else self._fixed()

    def _fixed(self) -> Constant:
        if self._constant is None:
            constant = Constant()
            constant._source = self
            become(constant, -1 - self._storage.fixed_row(), self._storage.identity.dim(self.type.plain))
            self._constant = constant
        return self._constant

    def _stored(self, recalculate: bool) -> Array:
        return self._storage.values.array

    def _address(self, recalculate: bool) -> int:
        return self._storage.values.address

    def _add_to_gradient(self) -> None:
        if not self._updated:
            return
        note_pass()
        with self._storage.gradient.edit() as gradient:
            gradient += 1
        if self._storage.touched is not None:
            self._storage.touched[-1] = 1

    def _view(self) -> Array:
        """The values in the shape that users see."""
        raise NotImplementedError

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The numbers. Of several, `numpy.array([p, q])` is an array of numbers, too: they take no part in a graph."""
        return np.array(self._view(), dtype, order="K", copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        block = self._storage.values
        if isinstance(block, HostBlock):
            return self._view().__dlpack__(**options)
        view = self._view()
        return dlpack.capsule(block, view.shape, tuple(stride // view.itemsize for stride in view.strides))

    def __dlpack_device__(self) -> tuple[int, int]:
        block = self._storage.values
        return self._view().__dlpack_device__() if isinstance(block, HostBlock) else (dlpack.CUDA, block.gpu.number)

    def gradient(self) -> Array:
        """A copy of the gradient, shaped like `npvalue`."""
        return self._storage.gradient.array.reshape(self.type.shape, order="F").copy(order="F")

    def zero(self) -> None:
        """Set all values to zero."""
        self._storage.values.write(0)

    def scale(self, s: Number) -> None:
        """Multiply all values by a number."""
        factor = checked_number("scale", s)
        with self._storage.values.edit() as values:
            values *= factor

    def scale_gradient(self, s: Number) -> None:
        """Multiply the gradient by a number."""
        factor = checked_number("scale_gradient", s)
        with self._storage.gradient.edit() as gradient:
            gradient *= factor

    def clip_inplace(self, left: Number, right: Number) -> None:
        """Bring all values into [left, right]."""
        low, high = checked_number("clip_inplace", left), checked_number("clip_inplace", right)
        if low > high:
            raise ArgumentError(f"clip_inplace: left is {low}, right is {high}")
        with self._storage.values.edit() as values:
            np.clip(values, low, high, out=values)

    def is_updated(self) -> bool:
        """Whether trainers change this."""
        return self._updated

    def set_updated(self, b: bool) -> None:
        """Say whether trainers change this. While they do not, no gradient is computed for it.

        Files keep it: what is saved frozen, with False, is so when it has been loaded.
        """
        self._updated = checked_flag("set_updated", "b", b)
        self._storage.set_needs(self._updated)

    def _is_never_trained(self) -> None:
        """Say that this is none of the numbers that are learned, such as a mask: freezing or not is not about it."""
        self.set_updated(False)
        self._never_trained = True

    # Files

    def save(self, fname: Path, key: str = "", append: bool = False) -> None:
        """Write the values, the gradient if there is one, and whether trainers change this, to a file.

        Args:
            fname: the file. It is replaced as a whole, once all has been written.
            key: the name in the file; its own if empty.
            append: keep what the file holds, and add to it.

        Raises:
            OSError: the file cannot be written; it is as it was.
        """
        model_files.save([self._tensor(key)], fname, append)

    def populate(self, fname: Path, key: str = "") -> None:
        """Take values and gradient from a file. If this was saved with `set_updated(False)`, that is set too.

        Args:
            fname: the file.
            key: the name in the file; its own if empty.

        Raises:
            FileFormatError: the file is damaged, holds no such name, or its dimensions are others.
        """
        self._take(model_files.load_one(fname, self._lookup, key or self._name, self.type.dims))

    write_to_textfile = save
    populate_from_textfile = populate

    def _tensor(self, name: str = "") -> Tensor:
        """What files hold of this."""
        storage = self._storage
        gradient, frozen = storage.gradient_or_none(), not (self._updated or self._never_trained)
        return Tensor(self._lookup, name or self._name, self.type.dims, storage.values.array, gradient, frozen)

    def _expected(self) -> tuple[bool, tuple[int, ...], str]:
        """What a file must hold for this."""
        return self._lookup, self.type.dims, self._name

    def _take(self, tensor: Tensor) -> None:
        """Replace values and gradient; what was frozen when it was saved is so again."""
        self._storage.values.write(tensor.values)
        self._storage.set_gradient(tensor.gradient)
        if tensor.frozen:
            self.set_updated(False)

    def __reduce__(self) -> tuple[Any, ...]:
        tensor = self._tensor()
        updated = None if self._never_trained else self._updated
        state = (self._name, tensor.dims, tensor.values, tensor.gradient, updated, self.collection)
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        name, dims, values, gradient, updated, collection = state
        self.__init__(name, dims, values, collection)  # type: ignore
        self._storage.set_gradient(gradient)
        if updated is None:
            self._is_never_trained()
        elif not updated:
            self.set_updated(False)


def checked_name(kind: str, name: str) -> str:
    """A name for something within a collection; DyNet keeps `/` and `_` for itself."""
    if not isinstance(name, str) or "/" in name or "_" in name:
        raise ParameterNameError(f"the name of a {kind} is a string without '/' and '_', not {name!r}")
    return name
