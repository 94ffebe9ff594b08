"""Collections of parameters."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .. import config
from ..annotations import Array, Dims, Number, Numbers, Path
from ..checks import checked_flag, checked_number
from ..device import check_device
from ..dim import checked_dims
from ..errors import ArgumentError, FileFormatError, OutOfMemoryError
from ..files import model_files, object_files
from ..files.names import Allow
from ..files.tensors import Tensor
from ..hints import Hinted, give_hints
from ..initializer import NumpyInitializer, PyInitializer, initializer_from
from ..wording import printable
from . import summary
from .base import Trained, checked_name
from .dense import Parameters
from .lookup import LookupParameters
from .other_names import OTHER_NAMES

_loading = threading.local()  # its attribute `floats`, while a file is read, is how many may still be added


Method = TypeVar("Method", bound=Callable[..., Any])
Kind = TypeVar("Kind", bound=Trained)
Init: TypeAlias = PyInitializer | Numbers | None
"""What initial values may be given by; a text is the name of an initializer."""


def _is_whole(value: object) -> bool:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def one_dim_argument(method: Method) -> Method:
    """Have a method refuse a second size in the place of its initializer: `add_parameters(4, 3)`."""

    @functools.wraps(method)
    def checked(self: Any, dim: Any, *positional: Any, **named: Any) -> Any:
        init: Any = positional[0] if positional else None
        if _is_whole(dim) and _is_whole(init) and init >= 2:
            raise ArgumentError(
                f"{method.__name__}: dimensions are one argument: write (({dim}, {init})) for {dim} times {init}, "
                f"or ({dim}, init={init}) for {dim} numbers that are all {init}"
            )
        return method(self, dim, *positional, **named)

    return checked  # type: ignore[return-value]


class ParameterCollection(Hinted):
    """Owns parameters, and names them. What trainers train and files hold. `print` shows a table of them.

    >>> m = ParameterCollection()
    >>> W = m.add_parameters((2, 3))
    >>> E = m.add_lookup_parameters((10, 3), name="words")
    >>> b = m.add_subcollection("encoder").add_parameters(3)
    >>> [p.name() for p in (W, E, b)]
    ['/_0', '/words', '/encoder/_0']
    """

    def __init__(self, parent: ParameterCollection | None = None):
        self._name = "/"
        self._parameters: list[Parameters] = []
        self._lookups: list[LookupParameters] = []
        self._names: dict[str, int] = {}  # how many parameters of either kind have asked for a name
        self._collection_names: dict[str, int] = {}
        self._parent = parent
        self._weight_decay = 0.0
        self.set_weight_decay(config.PARAMS.weight_decay if parent is None else parent._weight_decay)

    def name(self) -> str:
        """The name, which begins every name within: `/`, `/encoder/`, ..."""
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {printable(self._name)}: {summary.holdings(self._everything())}>"

    def __str__(self) -> str:
        """A table of all parameters; of more than 60, of the first and the last.

        >>> m = ParameterCollection()
        >>> W, E = m.add_parameters((2, 3)), m.add_subcollection("words").add_lookup_parameters((10, 3))
        >>> W.set_updated(False)
        >>> print(m)
        name       kind    shape    numbers  trained   bytes
        ----------------------------------------------------
        /_0                (2, 3)         6  frozen       24
        /words/_0  lookup  (10, 3)       30  yes         120
        ----------------------------------------------------
        2 in all                         36  1 frozen    144
        """
        return summary.table(self._everything())

    def _repr_html_(self) -> str:
        return summary.as_html(self._everything())

    # Adding

    @one_dim_argument
    def add_parameters(
        self,
        dim: Dims | None,
        init: Init = None,
        name: str = "",
        device: str = "",
        scale: Number = 1.0,
        mean: Number = 0.0,
        std: Number = 1.0,
    ) -> Parameters:
        """Add a parameter of dimensions `dim`, with initial values from `init`.

        Args:
            dim: an int or a tuple; None takes the dimensions of the array `init`. A size may be 0: such a parameter is
                saved and loaded as others are, and refused as an operand.
            init: an initializer, an array, a number or a name such as `"glorot"`; Glorot's if None. After a `dim`
                that is an int, a whole number of 2 or more has to be named, `init=3`: it may be meant as a dimension.
            name: what its name is to begin with; a number if empty.
            device: "CPU" or the device in use.
            scale, mean, std: for the initializers `"uniform"`, `"saxe"` and `"normal"`.
        """
        if dim is None and isinstance(init, (np.ndarray, NumpyInitializer)):
            dim = np.shape(init.array if isinstance(init, NumpyInitializer) else init)
        check_device("add_parameters", device)
        dims = checked_dims("add_parameters", dim, least=0)  # type: ignore[arg-type]  # of None it says what is wrong
        name = checked_name("parameter", name)
        initializer = initializer_from(init, dims, scale=scale, mean=mean, std=std)
        values = self._initial(initializer, dims, lookup=False)
        return self._add(Parameters(self._unique(self._names, name), dims, values, self))

    @one_dim_argument
    def add_lookup_parameters(
        self,
        dim: Dims,
        init: Init = None,
        name: str = "",
        device: str = "",
        scale: Number = 1.0,
        mean: Number = 0.0,
        std: Number = 1.0,
    ) -> LookupParameters:
        """Add a table of dim[0] rows of dimensions dim[1:]; otherwise like `add_parameters`."""
        check_device("add_lookup_parameters", device)
        dims = checked_dims("add_lookup_parameters", dim, least=0)
        dims = dims if len(dims) > 1 else (*dims, 1)
        name = checked_name("parameter", name)
        initializer = initializer_from(init, dims, lookup=True, scale=scale, mean=mean, std=std)
        values = self._initial(initializer, dims, lookup=True)
        stored = (*dims[1:], dims[0])
        return self._add(LookupParameters(self._unique(self._names, name), stored, values, self))

    def parameters_from_numpy(self, array: Numbers, name: str = "", device: str = "") -> Parameters:
        """Add a parameter with the shape and values of an array."""
        return self.add_parameters(np.shape(array), init=NumpyInitializer(array), name=name, device=device)

    def lookup_parameters_from_numpy(self, array: Numbers, name: str = "", device: str = "") -> LookupParameters:
        """Add a table with the shape and values of an array, whose first dimension counts the rows."""
        return self.add_lookup_parameters(np.shape(array), init=NumpyInitializer(array), name=name, device=device)

    def add_subcollection(self, name: str | None = None) -> ParameterCollection:
        """A collection whose parameters are also this one's."""
        child = ParameterCollection(self)
        child._name = self._unique(self._collection_names, checked_name("subcollection", name or "")) + "/"
        return child

    def _unique(self, counts: dict[str, int], name: str) -> str:
        """`name` within this collection, with a number where it is taken; without a name, just a number."""
        count = counts.get(name, 0)
        counts[name] = count + 1
        return f"{self._name}{name}" + (f"_{count}" if count or not name else "")

    def _initial(self, initializer: PyInitializer, dims: tuple[int, ...], lookup: bool) -> Array:
        """The initial values in stored order."""
        left = getattr(_loading, "floats", None)
        if left is not None:
            _loading.floats = left - math.prod(dims)
            if _loading.floats < 0:
                raise FileFormatError("the object described in the file has more parameters than the file holds")
        try:
            values = initializer.values(dims, lookup=lookup)
            return (np.moveaxis(values, 0, -1) if lookup else values).ravel(order="F")
        except MemoryError:
            count = math.prod(dims)
            raise OutOfMemoryError(f"there is not enough memory for the initial values of {count} numbers") from None

    def _add(self, parameter: Kind) -> Kind:
        at: ParameterCollection | None = self
        while at is not None:
            (at._lookups if parameter._lookup else at._parameters).append(parameter)  # type: ignore[arg-type]
            at = at._parent
        return parameter

    # What there is

    def parameters_list(self) -> list[Parameters]:
        """All parameters, those of subcollections included, in the order they were added."""
        return list(self._parameters)

    def lookup_parameters_list(self) -> list[LookupParameters]:
        """All lookup parameters, those of subcollections included, in the order they were added."""
        return list(self._lookups)

    def _everything(self) -> list[Trained]:
        """All parameters, then all lookup parameters: their order in files."""
        return [*self._parameters, *self._lookups]

    def parameter_count(self) -> int:
        """How many numbers all parameters hold together."""
        return sum(p._storage.values.floats for p in self._everything())

    def get_weight_decay(self) -> float:
        """The part by which every update of a trainer of this collection shrinks all its parameters."""
        return self._weight_decay

    def set_weight_decay(self, lam: Number) -> None:
        """Have every update of a trainer of this collection multiply the parameters it may change by 1 - lam.

        Parameters with `set_updated(False)` keep their values. Subcollections made before keep the weight decay they
        had, which counts where they are trained by themselves.

        Args:
            lam: at least 0, less than 1.
        """
        decay = checked_number("set_weight_decay", lam)
        if not 0 <= decay < 1:
            raise ArgumentError(f"set_weight_decay: lam must be at least 0 and less than 1, got {decay}")
        self._weight_decay = decay

    set_weight_decay_lambda = set_weight_decay

    def set_updated(self, b: bool) -> None:
        """Say of all parameters there are, those of subcollections included, whether trainers change them.

        Masks of `SparseLSTMBuilder`, which are never trained, stay as they are.

        >>> m = ParameterCollection()
        >>> W, E = m.add_parameters(2), m.add_lookup_parameters((3, 2))
        >>> m.set_updated(False)
        >>> E.set_updated(True)
        >>> W.is_updated(), E.is_updated()
        (False, True)
        """
        updated = checked_flag("set_updated", "b", b)
        for parameter in self._everything():
            if not parameter._never_trained:
                parameter.set_updated(updated)

    # Files

    def save(
        self,
        fname: Path,
        name: str | Iterable[Any] = "",
        append: bool = False,
        components: Iterable[Any] | None = None,
    ) -> None:
        """Write all values, and gradients where there are some, to a file.

        Args:
            fname: the file. It is replaced as a whole, once all has been written.
            name: what this collection is called in the file; its own name if empty.
            append: keep what the file holds, and add to it.
            components: parameters, builders and the like to save instead; `load` gives them back.

        Raises:
            OSError: the file cannot be written; it is as it was.
        """
        if not isinstance(name, str):
            name, components = "", name
        if components is not None:
            object_files.save_components(fname, components)
        else:
            self.write_to_textfile(fname, name, append)
            object_files.forget_components(fname)

    def write_to_textfile(self, fname: Path, key: str = "", append: bool = False) -> None:
        """`save`, with DyNet's other name."""
        model_files.save(self._tensors(key), fname, append)

    def save_all(self, fname: Path) -> None:
        """Write all values to a file."""
        self.save(fname)

    def populate(self, fname: Path, key: str = "") -> None:
        """Take all values and gradients from a file, which must hold the same parameters in the same order.

        What was saved with `set_updated(False)` is so again; what was not stays as it is here.

        Args:
            fname: the file.
            key: what this collection is called in the file; if empty, everything in the file is taken.

        Raises:
            FileFormatError: the file is damaged or does not fit; nothing has changed.
        """
        targets = self._everything()
        expected = [target._expected() for target in targets]
        tensors = model_files.load_matching(fname, key, expected)
        for target, tensor in zip(targets, tensors):
            target._take(tensor)

    populate_from_textfile = populate
    load_all = populate

    def load(self, fname: Path, *, allow: Allow = ()) -> list[Any]:
        """Add what `save` wrote to a file, and return it as a list.

        That is the `components` which `save` was given; without any, all parameters and lookup parameters.

        Args:
            allow: classes of your own that the components' specs may hold objects of, as in `dy.load`.
        """
        return object_files.load_components(fname, self, allow)

    @staticmethod
    def from_file(fname: Path) -> ParameterCollection:
        """A collection of all parameters in a file."""
        collection = ParameterCollection()
        for tensor in model_files.load_all(fname):
            collection._add_loaded(tensor)
        return collection

    def load_param(self, fname: Path, key: str) -> Parameters:
        """Add the parameter that is called `key` in a file. That remains its name.

        Raises:
            FileFormatError: the file is damaged or holds no such parameter; nothing has been added.
        """
        return self._add_loaded(model_files.load_one(fname, False, key))

    def load_lookup_param(self, fname: Path, key: str) -> LookupParameters:
        """Add the lookup parameter that is called `key` in a file. That remains its name.

        Raises:
            FileFormatError: the file is damaged or holds no such lookup parameter; nothing has been added.
        """
        return self._add_loaded(model_files.load_one(fname, True, key))

    def _tensors(self, key: str = "") -> list[Tensor]:
        """What files hold of this collection, under its own name or `key`."""
        if key and not key.startswith("/"):
            raise ArgumentError(f"save: the name of a collection begins with '/': {key!r}")
        prefix = key if not key or key.endswith("/") else key + "/"
        cut = len(self._name)
        return [p._tensor(prefix + p._name[cut:] if prefix else "") for p in self._everything()]

    def _add_loaded(self, tensor: Tensor) -> Any:
        self._unique(self._names, "")  # DyNet counts it as one more without a name
        kind = LookupParameters if tensor.lookup else Parameters
        parameter = kind(tensor.name, tensor.dims, tensor.values, self)
        parameter._storage.set_gradient(tensor.gradient)
        if tensor.frozen:
            parameter.set_updated(False)
        return self._add(parameter)

    @contextmanager
    def _all_or_nothing(self, floats: int) -> Iterator[None]:
        """A block that adds at most so many floats, and none if there is an error."""
        before = self._state()
        _loading.floats = floats
        try:
            yield
        except BaseException:
            self._return_to(before)
            raise
        finally:
            _loading.floats = None

    def _state(self) -> list[tuple[Any, ...]]:
        state, at = [], self
        while at is not None:
            counts = dict(at._names), dict(at._collection_names)
            state.append((at, len(at._parameters), len(at._lookups), *counts))
            at = at._parent
        return state

    def _return_to(self, state: list[tuple[Any, ...]]) -> None:
        for at, parameters, lookups, names, collection_names in state:
            del at._parameters[parameters:], at._lookups[lookups:]
            at._names, at._collection_names = names, collection_names


give_hints(ParameterCollection, OTHER_NAMES)
Model = ParameterCollection
