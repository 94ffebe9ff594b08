"""`Parameters`, their base class `Trained`, which lookup parameters share, and `Constant`."""

from __future__ import annotations

import copyreg
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..annotations import Array, Floats, Number, Numbers, Path
from ..checks import checked_flag, checked_number, fitted, real_array
from ..compute.memory import Block, HostBlock
from ..compute.tensor import CUDA, make_capsule
from ..dim import Dim, checked_dims
from ..errors import ArgumentError, ArgumentTypeError, GradientError, ParameterNameError, ShapeError
from ..files import model_files
from ..files.tensors import Entry, StoredTensor
from ..graph.expression import Expression
from ..graph.graph import refuse_in_function, thread
from ..messages.wording import printable
from ..recorder import make_parameter, note_pass
from .storage import Storage, added_by_last_pass


class Collection(Protocol):
    """What this file and `object_files.py` use of `ParameterCollection`. (Importing that class would be circular.)"""

    def parameters_list(self) -> Sequence[object]: ...
    def lookup_parameters_list(self) -> Sequence[object]: ...
    def _add_from_file(self, tensor: StoredTensor) -> Any: ...
    def _undo_on_error(self, value_limit: int | None = None) -> AbstractContextManager[None]: ...
    def _quantizing_new(self, int8: bool) -> AbstractContextManager[None]: ...
    def _parameters_of_root(self) -> Sequence[Any]: ...


def checked_values(kind: str, dims: Any, values: Any) -> tuple[tuple[int, ...], Floats]:
    """Check and return the dimensions of a new parameter and its values, a flat array, as float32."""
    if values is None:
        raise ArgumentTypeError(f"{kind}: use add_parameters or add_lookup_parameters of a ParameterCollection")
    dims = checked_dims(kind, dims, least=0)
    if not (isinstance(values, np.ndarray) and values.dtype == np.float32):
        values = real_array(kind, values)
    if values.shape != (math.prod(dims),):
        raise ShapeError(f"{kind}: values of shape {values.shape} for {dims}, which holds {math.prod(dims)} in a row")
    return dims, values


class Shape(tuple[int, ...]):
    """A tuple of dimensions that can also be called: `p.shape()`, as in DyNet, and `p.shape` work."""

    __slots__ = ()

    def __call__(self) -> tuple[int, ...]:
        return tuple(self)


class Constant(Expression):
    """A parameter used with update=False: an expression with the parameter's values, but without a gradient."""

    __slots__ = ("_source",)

    _source: Trained

    def __repr__(self) -> str:
        return repr(self._source)

    @property
    def shape(self) -> Shape:
        """The same as the parameter's `shape`."""
        return self._source.shape

    def _flat_value(self) -> Floats:
        return self._source._flat_value()

    def _address(self) -> int:
        return self._source._address()

    def _add_one_to_gradient(self) -> None:
        """Do nothing, because a parameter used with update=False has no gradient."""

    def gradient(self, dtype: npt.DTypeLike = np.float64) -> Array:
        """Raise GradientError, because a parameter used with update=False has no gradient."""
        raise GradientError(f"gradient: {self._source.name()} is used with update=False and has no gradient")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self._source)._fixed, (self._source,)


class Trained(Expression):
    """The base class of `Parameters` and `LookupParameters`: expressions with a name, values and a gradient."""

    __slots__ = ("__weakref__", "_constant", "_name", "_never_trained", "_storage", "_updated", "collection")

    _is_lookup = False
    _gives_numbers = True
    _change_hint = "set_value(array) replaces its values"

    def __setattr__(self, name: str, value: object) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError as problem:
            if hasattr(type(self), name):
                raise AttributeError(f"{self!r}: {name} cannot be assigned to: {self._change_hint}") from None
            raise AttributeError(f"{problem}; {self._change_hint}") from None

    def _set_up(self, name: str, storage: Storage, collection: Collection | None) -> None:
        refuse_in_function("create parameters")
        self._name, self._storage = name, storage
        self.collection: Collection | None = collection
        self._updated, self._never_trained = True, False
        self._constant: Constant | None = None

    def name(self) -> str:
        """Return the full name, such as `/encoder/_0`. It begins with the name of the collection, here `/encoder/`."""
        return self._name

    @property
    def shape(self) -> Shape:
        """The dimensions; for a lookup parameter, the number of rows comes first. `p.shape()` returns the same."""
        raise NotImplementedError

    def __repr__(self) -> str:
        frozen = ", int8" if self._storage.scale_count else ", frozen" * (not self._updated)
        return f"{'Lookup' * self._is_lookup}Parameter {printable(self._name)} {self.shape}{frozen}"

    def expr(self, update: bool = True) -> Expression:
        """Return the parameter itself, or, with update=False, an expression that gets no gradient."""
        return self if update else self._fixed()

    def _fixed(self) -> Constant:
        if self._constant is None:
            constant = Constant()
            constant._source = self
            make_parameter(
                constant,
                -1 - self._storage.fixed_row(),
                self._storage.identity.add_dim(self.type.plain, self.type.copy),
            )
            self._constant = constant
        return self._constant

    def _flat_value(self) -> Floats:
        refuse_in_function("read or change values")
        return self._storage.values.array

    def _address(self) -> int:
        return self._storage.values.address

    def _add_one_to_gradient(self) -> None:
        if not self._updated:
            return
        note_pass()
        with self._storage.gradient.edit() as gradient:
            gradient += 1
        if self._storage.touched_list is not None:
            self._storage.touched_list[-1] = 1  # all rows have a gradient

    def as_array(self, *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of the values in the shape `shape`, converted from float32 to `dtype`."""
        return self._view().astype(dtype)

    def grad_as_array(self, *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of the gradient, the sum over passes since the last update. `dtype` is as for `as_array`."""
        return self._shaped(self._storage.gradient.array).astype(dtype)

    def _shaped(self, flat: Floats) -> Floats:
        """Return a view of a flat array, such as the stored values, in the shape that users see."""
        raise NotImplementedError

    def _view(self) -> Floats:
        """Return the values in the shape that users see: a view of the parameter's memory, or a copy if on a GPU."""
        return self._shaped(self._flat_value())

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the values for numpy, so that `numpy.array([p, q])` is an array of numbers and records nothing."""
        if copy is not True:
            self._storage.values.share()
        return np.array(self._view(), dtype, order="K", copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        block, view = self._storage.values, self._view()
        block.share()
        if isinstance(block, HostBlock):
            return view.__dlpack__(**options)
        return make_capsule(block, view.shape, tuple(stride // view.itemsize for stride in view.strides))

    def __dlpack_device__(self) -> tuple[int, int]:
        block = self._storage.values
        return self._view().__dlpack_device__() if isinstance(block, HostBlock) else (CUDA, block.gpu.number)

    def gradient(self, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return the gradient from the last `backward` in the present graph, in the shape of `npvalue()`.

        If the graph does not use the parameter, return the sum over all passes since the last update, which
        `grad_as_array()` always returns. The first call after a pass computes the gradients of all parameters of the
        collection again, which takes longer than the pass. `dtype` is as for `as_array`.

        Raises:
            GradientError: there was no `backward` in this graph, or an input of the graph or a parameter of the loss
                has changed since then.
        """
        graph = getattr(thread, "graph", None)
        flat = graph and added_by_last_pass(graph, self._storage, self._storages_of_root)
        flat = self._storage.gradient.array if flat is None else flat
        return flat.reshape(self.type.shape, order="F").astype(dtype)

    def _storages_of_root(self) -> list[Storage]:
        """Return this parameter's storage, then those of the other parameters of the outermost collection, if any."""
        parameters = self.collection._parameters_of_root() if self.collection else []
        return [self._storage, *(parameter._storage for parameter in parameters if parameter is not self)]

    def zero(self) -> None:
        """Set all values to zero."""
        self._storage.set_values(0)

    def scale(self, s: Number) -> None:
        """Multiply all values by a number."""
        factor = checked_number("scale: s", s)
        with self._storage.edit_values() as values:
            values *= factor

    def scale_gradient(self, s: Number) -> None:
        """Multiply the gradient by a number."""
        factor = checked_number("scale_gradient: s", s)
        with self._storage.gradient.edit() as gradient:
            gradient *= factor

    def clip_inplace(self, left: Number, right: Number) -> None:
        """Limit all values to the range from `left` to `right`."""
        low, high = checked_number("clip_inplace: left", left), checked_number("clip_inplace: right", right)
        if low > high:
            raise ArgumentError(f"clip_inplace: left is {low}, right is {high}")
        with self._storage.edit_values() as values:
            np.clip(values, low, high, out=values)

    def is_updated(self) -> bool:
        """Return whether trainers change this parameter. If not, it is frozen."""
        return self._updated

    def set_updated(self, b: bool) -> None:
        """Set whether trainers change this parameter. If not, it is frozen and gets no gradient.

        A parameter that is frozen when saved is also frozen after loading.
        """
        refuse_in_function("freeze parameters")
        if checked_flag("set_updated", "b", b):
            self._refuse_training("set_updated")
        self._updated = b
        self._storage.set_trained(self._updated)

    def _refuse_training(self, caller: str) -> None:
        """Raise ArgumentError if the parameter is quantized."""
        if self._storage.scale_count:
            raise ArgumentError(
                f"{caller}: {self._name} is quantized to int8, which is for inference only: train the model before "
                "`quantize`, or load it from a file that was saved before"
            )

    def _can_be_quantized(self) -> bool:
        has_rows = (self._is_lookup or len(self.shape) == 2) and self.type.total > self.shape[0]
        return has_rows and not self._never_trained and not self._storage.scale_count

    def _quantized(self) -> Block:
        return self._storage.quantized(self.shape[0])

    def _use_quantized(self, block: Block) -> None:
        def use() -> None:
            self.set_updated(False)
            self._storage.use_quantized(block, self.shape[0])

        try:
            use()
        except BaseException:
            use()  # a signal handler raised: half of a change would be worse than all of it
            raise

    def _freeze_for_good(self) -> None:
        """Freeze this parameter, for example a mask. `ParameterCollection.set_updated` will not unfreeze it."""
        self.set_updated(False)
        self._never_trained = True

    # Saving to files, and loading

    def save(self, fname: Path, key: str = "", append: bool = False) -> None:
        """Write the values, the gradient (unless it is zero), and whether the parameter is frozen, to a file.

        Args:
            fname: the file. An existing file is replaced in one step, after everything has been written.
            key: the parameter's name in the file; by default its own name.
            append: whether to keep the parameters that are already in the file.

        Raises:
            OSError: the file cannot be written. An existing file is unchanged.
        """
        model_files.save([self._tensor(key)], fname, append)

    def populate(self, fname: Path, key: str = "") -> None:
        """Read the values and the gradient from a file. Freeze the parameter if it was saved frozen.

        Args:
            fname: the file.
            key: the parameter's name in the file; by default its own name.

        Raises:
            FileFormatError: the file is damaged, or has no parameter with this name and these dimensions.
        """
        self._take_stored(model_files.load_one(fname, self._is_lookup, key or self._name, self.type.dims))

    write_to_textfile = save
    populate_from_textfile = populate

    def _tensor(self, name: str = "") -> StoredTensor:
        """Return what a file stores for this parameter, by default under its own name."""
        storage = self._storage
        gradient, frozen = storage.gradient_or_none(), not (self._updated or self._never_trained)
        tensor = self._is_lookup, name or self._name, self.type.dims, storage.values.array, gradient
        return StoredTensor(*tensor, frozen and not storage.scale_count, storage.scale_count > 0)

    def _expected_entry(self) -> Entry:
        return Entry(self._is_lookup, self._name, self.type.dims)

    def _take_stored(self, tensor: StoredTensor) -> None:
        """Replace the values and the gradient with those from a file. Freeze the parameter if it was saved frozen."""
        self._storage.set_values(tensor.values)
        self._storage.set_gradient(tensor.gradient)
        if tensor.frozen:
            self.set_updated(False)
        if tensor.is_quantized and not self._storage.scale_count:
            self._use_quantized(self._quantized())

    def __reduce__(self) -> tuple[Any, ...]:
        tensor = self._tensor()
        is_updated = None if self._never_trained else self._updated  # None: frozen for good
        content = tensor.dims, tensor.values, tensor.gradient
        state = (self._name, *content, is_updated, self.collection, tensor.is_quantized)
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        name, dims, values, gradient, is_updated, collection, *is_quantized = state  # without it in older pickles
        self.__init__(name, dims, values, collection)  # type: ignore
        self._storage.set_gradient(gradient)
        if is_updated is None:
            self._freeze_for_good()
        elif not is_updated:
            self.set_updated(False)
        if any(is_quantized):
            self._use_quantized(self._quantized())


class Parameters(Trained):
    """A tensor that is trained. It is an expression that can be an operand in every graph.

    Made by `ParameterCollection.add_parameters`. `numpy.asarray(p)` and DLPack (`torch.from_dlpack(p)`) do not copy:
    the result shares the parameter's memory, and changes with the parameter. If it is on a GPU, numpy gets a copy.
    """

    __slots__ = ()

    def __init__(self, name: str, dims: tuple[int, ...], values: object = None, collection: Collection | None = None):
        dims, values = checked_values("Parameters", dims, values)
        storage = Storage(name, values, is_factor=len(dims) > 1)
        self._set_up(name, storage, collection)
        make_parameter(self, -1 - storage.row, storage.identity.add_dim(Dim.of(dims), storage.values.copy_offset))

    @property
    def shape(self) -> Shape:
        """The dimensions; `shape()` returns the same."""
        return Shape(self.type.dims)

    def set_value(self, arr: Numbers) -> None:
        """Replace the values with the values of an array of the same shape."""
        self._storage.set_values(fitted("set_value", real_array("set_value", arr), self.type.dims).ravel(order="F"))

    load_array = set_value

    def get_index(self) -> int:
        """Return the index of this parameter in `parameters_list()` of its collection; 0 if it has no collection."""
        return self.collection.parameters_list().index(self) if self.collection else 0

    def _shaped(self, flat: Floats) -> Floats:
        return flat.reshape(self.type.shape, order="F")


def set_all(caller: str, arrays: Sequence[tuple[Trained, np.ndarray]]) -> None:
    """Replace the values of parameters by arrays of their shapes: of all, or of none if one cannot take its array."""
    for parameter, array in arrays:
        if parameter._storage.scale_count and not np.isfinite(array).all():
            raise ArgumentError(f"{caller}: {parameter!r} cannot take values that are not all finite")
    for parameter, array in arrays:
        stored = np.moveaxis(array, 0, -1) if parameter._is_lookup else array
        parameter._storage.set_values(stored.ravel(order="F"))


def checked_name(kind: str, name: str) -> str:
    """Check and return the user's name for a `kind`. It has no `/` or `_`, which full names like `/encoder/_0` use."""
    if not isinstance(name, str) or "/" in name or "_" in name:
        raise ParameterNameError(f"the name of a {kind} is a string without '/' and '_', not {name!r}")
    return name
