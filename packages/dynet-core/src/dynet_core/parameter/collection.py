"""Collections, which create, own and name parameters, save them to files and load them."""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from .. import config
from ..annotations import Dims, Floats, Number, Numbers, Path
from ..checks import FRACTION, checked_arrays, checked_flag, checked_number
from ..compute.device import check_device
from ..dim import checked_dims
from ..errors import ArgumentError, ArgumentTypeError, FileFormatError, OutOfMemoryError
from ..files import model_files
from ..files.names import Allow
from ..files.tensors import StoredTensor
from ..graph.expression import Expression
from ..graph.graph import refuse_in_function
from ..initializer import NumpyInitializer, PyInitializer, initial_array, initializer_from
from ..messages.hints import HINTS, Closed, UnsetAttribute, with_hints
from ..messages.wording import counted, printable
from . import object_files
from .base import Constant, Parameters, Trained, checked_name, set_all
from .lookup import LookupParameters

Method = TypeVar("Method", bound=Callable[..., Any])


def _is_integer(value: object) -> bool:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _parameters_of(item: Any) -> Sequence[Trained]:
    """Return what is to be kept, as the argument `keep` of `quantize` has it."""
    if isinstance(item, Trained | Constant):
        return [item if isinstance(item, Trained) else item._source]
    if not isinstance(item, type) and hasattr(item, "param_collection"):
        item = item.param_collection()
    if isinstance(item, ParameterCollection):
        return item._all_parameters()
    raise ArgumentError(f"quantize: what is to be kept is a parameter, a collection or a builder, got {item!r:.80}")


def one_dim_argument(method: Method) -> Method:
    """Decorate a method whose first argument has all dimensions, and whose second argument is the initial values.

    In `add_parameters(4, 3)`, 3 is most likely meant as a second dimension. So two integers passed by position raise
    ArgumentError if the second is at least 2; 0 and 1 are common initial values. Unknown keyword arguments raise a
    TypeError that says what to use instead.
    """

    def check(self: Any, dim: Any = None, init: Any = None, *others: Any) -> None:
        if _is_integer(dim) and _is_integer(init) and init >= 2:
            raise ArgumentError(
                f"{method.__name__}: dimensions are one argument: write (({dim}, {init})) for {dim} times {init}, "
                f"or ({dim}, init={init}) for {dim} numbers that are all {init}"
            )

    return with_hints(method, lambda self: method.__name__, {}, HINTS["add_parameters()"], check=check)


# `_loading_limit.values_left`: how many more initial values this thread may make while it loads a file; otherwise None.
_loading_limit = threading.local()


def initial_values(initializer: PyInitializer, dims: tuple[int, ...], is_lookup: bool) -> Floats:
    """Return the initial values as a flat array: column-major, for a lookup parameter one row after another."""
    count, values_left = math.prod(dims), getattr(_loading_limit, "values_left", None)
    if values_left is not None:
        _loading_limit.values_left = values_left - count
        if values_left < count:
            raise FileFormatError(
                f"more parameters than the file holds: {count} of {dims}, where {values_left} are left"
            )
    try:
        values = initializer.values(dims, lookup=is_lookup)
        return (np.moveaxis(values, 0, -1) if is_lookup else values).ravel(order="F")
    except MemoryError:
        raise OutOfMemoryError(f"there is not enough memory for the initial values of {count} numbers") from None


BYTES_PER_NUMBER = 4
TITLES = ("name", "kind", "shape", "numbers", "trained", "bytes")
ALIGNMENTS = "<<<><>"  # how the columns are aligned, for format strings
TEXT_ALIGN = {"<": "left", ">": "right"}  # character of ALIGNMENTS -> its name in HTML
MOST_ROWS = 60  # if there are more parameters than this, a table shows the first 30 and the last 30


def contents_text(parameters: Iterable[Trained]) -> str:
    """Return the counts of parameters as text, such as "2 parameters, 1 lookup parameter, 36 numbers"."""
    everything = list(parameters)
    table_count = sum(p._is_lookup for p in everything)
    frozen_count = sum(not p.is_updated() for p in everything)
    parts = [counted(len(everything) - table_count, "parameter")]
    if table_count:
        parts.append(counted(table_count, "lookup parameter"))
    parts.append(counted(_number_count(everything), "number"))
    if frozen_count:
        parts.append(f"{frozen_count:,} frozen")
    return ", ".join(parts)


def _number_count(parameters: Iterable[Trained]) -> int:
    return sum(p.type.total for p in parameters)


def _cells(name: str, parameters: Sequence[Trained], trained: str, kind: str = "", shape: str = "") -> tuple[str, ...]:
    numbers = _number_count(parameters)
    return name, kind, shape, f"{numbers:,}", trained, f"{BYTES_PER_NUMBER * numbers:,}"


def _table_rows(parameters: Sequence[Trained]) -> list[tuple[str, ...]]:
    """Return a table of parameters as a list of rows: titles, a row for each parameter, totals."""
    rows = []
    for p in parameters:
        trained = "yes" if p.is_updated() else "int8" if p._storage.scale_count else "frozen"
        rows.append(_cells(printable(p.name()), [p], trained, "lookup" * p._is_lookup, repr(p.shape())))
    if len(parameters) > MOST_ROWS:
        middle = slice(MOST_ROWS // 2, -MOST_ROWS // 2)
        hidden = parameters[middle]
        rows[middle] = [_cells(f"... {len(hidden):,} more ...", hidden, "")]
    frozen = sum(not p.is_updated() for p in parameters)
    return [TITLES, *rows, _cells(f"{len(parameters):,} in all", parameters, f"{frozen:,} frozen" if frozen else "")]


def as_text(parameters: Sequence[Trained]) -> str:
    """Return a table of parameters as text. It has no column "kind" if there are no lookup parameters."""
    rows = _table_rows(parameters)
    columns = [column for column in range(len(TITLES)) if column != 1 or any(row[1] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in columns}

    def line(row: Sequence[str]) -> str:
        cells = [f"{row[column]:{ALIGNMENTS[column]}{widths[column]}}" for column in columns]
        return "  ".join(cells).rstrip()

    lines = [*map(line, rows)]
    separator = "-" * max(map(len, lines))
    return "\n".join([lines[0], separator, *lines[1:-1], separator, lines[-1]])


def as_html(parameters: Sequence[Trained]) -> str:
    """Return a table of parameters as HTML for notebooks. It always has the column "kind"."""

    def line(row: Sequence[str], tag: str) -> str:
        columns = zip(row, ALIGNMENTS)
        cells = [f'<{tag} style="text-align: {TEXT_ALIGN[align]}">{html.escape(x)}</{tag}>' for x, align in columns]
        return f"<tr>{''.join(cells)}</tr>"

    head, *rows, totals = _table_rows(parameters)
    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody><tfoot>{line(totals, 'th')}</tfoot></table>"


AnyParameter = TypeVar("AnyParameter", bound=Trained)
Init: TypeAlias = PyInitializer | Numbers | None
"""Initial values: an initializer or its name, numbers, or None for the default initializer."""


class ParameterCollection(Closed):
    """A collection of parameters, which a trainer updates and a file stores. `print` shows it as a table.

    >>> m = ParameterCollection()
    >>> W = m.add_parameters((2, 3))
    >>> E = m.add_lookup_parameters((10, 3), name="words")
    >>> b = m.add_subcollection("encoder").add_parameters(3)
    >>> [p.name() for p in (W, E, b)]
    ['/_0', '/words', '/encoder/_0']
    """

    if not TYPE_CHECKING:  # for subclasses that read these attributes before `__init__` has set them
        _name = _names = _collection_names = _parameters = _lookups = UnsetAttribute()

    def __init__(self, parent: ParameterCollection | None = None):
        if not isinstance(parent, ParameterCollection | None):
            raise ArgumentTypeError(f"ParameterCollection: the parent must be one, not {type(parent).__name__}")
        self._name = "/"
        self._parameters: list[Parameters] = []
        self._lookups: list[LookupParameters] = []
        self._names: dict[str, int] = {}  # name that the user asked for -> how many times
        self._collection_names: dict[str, int] = {}
        self._parent = parent
        self._weight_decay = 0.0
        self.set_weight_decay(config.PARAMS.weight_decay if parent is None else parent._weight_decay)

    def name(self) -> str:
        """Return the name of the collection, such as `/` or `/encoder/`. The names of its parameters begin with it."""
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {printable(self._name)}: {contents_text(self._all_parameters())}>"

    def __str__(self) -> str:
        """Return a table of all parameters as text. If there are more than 60, it shows the first and the last 30.

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
        return as_text(self._all_parameters())

    def _repr_html_(self) -> str:
        return as_html(self._all_parameters())

    # Adding parameters

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
            dim: an int or a tuple. None means the dimensions of the array `init`. A parameter with a dimension of 0 can
                be saved and loaded, but cannot be an operand.
            init: an initializer, an array, a number, or a name such as `"glorot"`, the default. If `dim` is an int, an
                integer of 2 or more must be passed by keyword, as in `init=3`, because it could be meant as a second
                dimension.
            name: the parameter's name in the collection; if it is taken, a number is appended. The default is `_0`,
                `_1`, ...
            device: "CPU" or the name of the device in use.
            scale, mean, std: arguments of the initializers `"uniform"`, `"saxe"` and `"normal"`.
        """
        if dim is None and isinstance(init, np.ndarray | NumpyInitializer):
            dim = np.shape(init.array if isinstance(init, NumpyInitializer) else init)
        return self._add_new(Parameters, "add_parameters", dim, init, name, device, scale=scale, mean=mean, std=std)

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
        """Add a lookup table of dim[0] rows. Each row has the dimensions dim[1:], or is one number if that is empty.

        The arguments are as for `add_parameters`.
        """
        kind: Any = LookupParameters
        return self._add_new(kind, "add_lookup_parameters", dim, init, name, device, scale=scale, mean=mean, std=std)

    def _add_new(self, kind: Any, method: str, dim: Any, init: Init, name: str, device: str, **settings: Number) -> Any:
        check_device(method, device)
        dims, is_lookup = checked_dims(method, dim, least=0), kind._is_lookup
        dims = (*dims, 1) if is_lookup and len(dims) == 1 else dims
        name = checked_name("parameter", name)
        values = initial_values(initializer_from(init, dims, is_lookup, **settings), dims, is_lookup)
        stored_dims = (*dims[1:], dims[0]) if is_lookup else dims
        return self._add(kind(self._unique_name(self._names, name), stored_dims, values, self))

    def parameters_from_numpy(self, array: Numbers, name: str = "", device: str = "") -> Parameters:
        """Add a parameter with the shape and values of an array."""
        values = initial_array(array, "parameters_from_numpy")
        return self.add_parameters(values.shape, init=NumpyInitializer(values), name=name, device=device)

    def lookup_parameters_from_numpy(self, array: Numbers, name: str = "", device: str = "") -> LookupParameters:
        """Add a lookup table with the shape and values of an array, whose first dimension counts the rows."""
        values = initial_array(array, "lookup_parameters_from_numpy")
        return self.add_lookup_parameters(values.shape, init=NumpyInitializer(values), name=name, device=device)

    def add_subcollection(self, name: str | None = None) -> ParameterCollection:
        """Return a new collection inside this collection.

        Parameters added to it belong to both. Their full names begin with the name of the new collection.
        """
        child = ParameterCollection(self)
        child._name = self._unique_name(self._collection_names, checked_name("subcollection", name or "")) + "/"
        return child

    def _unique_name(self, counts: dict[str, int], name: str) -> str:
        """Return a full name: `name`, or `name_1`, ... if given out before ("": `_0`, ...). Update `counts`."""
        count = counts.get(name, 0)
        counts[name] = count + 1
        return f"{self._name}{name}" + (f"_{count}" if count or not name else "")

    def _add(self, parameter: AnyParameter) -> AnyParameter:
        for owner in self._owners():
            (owner._lookups if parameter._is_lookup else owner._parameters).append(parameter)  # type: ignore[arg-type]
        return parameter

    def _owners(self) -> Iterator[ParameterCollection]:
        """Yield this collection, its parent, and so on."""
        owner: ParameterCollection | None = self
        while owner is not None:
            yield owner
            owner = owner._parent

    # Contents and settings

    def parameters_list(self) -> list[Parameters]:
        """Return the parameters that are not lookup parameters, in the order in which they were added.

        This includes the parameters of subcollections.
        """
        return list(self._parameters)

    def lookup_parameters_list(self) -> list[LookupParameters]:
        """Return the lookup parameters, including those of subcollections, in the order in which they were added."""
        return list(self._lookups)

    def _parameters_of_root(self) -> list[Trained]:
        """Return all parameters of the outermost collection around this collection."""
        return [*self._owners()][-1]._all_parameters()

    def _all_parameters(self) -> list[Trained]:
        """Return all parameters in their order in files: lookup parameters come last."""
        return [*self._parameters, *self._lookups]

    def parameter_count(self) -> int:
        """Return the total number of values in all parameters and lookup parameters of the collection."""
        return sum(p._storage.values.floats for p in self._all_parameters())

    def get_weight_decay(self) -> float:
        """Return the weight decay `lam`: each update by a trainer also multiplies the parameters by 1 - lam."""
        return self._weight_decay

    def set_weight_decay(self, lam: Number) -> None:
        """Set the weight decay: each update by a trainer of this collection also multiplies the parameters by 1 - lam.

        Frozen parameters do not change. Existing subcollections keep their own weight decay, which only trainers of the
        subcollection use.

        Args:
            lam: at least 0 and less than 1.
        """
        self._weight_decay = checked_number("set_weight_decay: lam", lam, FRACTION)

    set_weight_decay_lambda = set_weight_decay

    def set_updated(self, b: bool) -> None:
        """Set whether trainers change the parameters now in the collection and its subcollections.

        This does not affect the masks of `SparseLSTMBuilder`, which are never trained.

        >>> m = ParameterCollection()
        >>> W, E = m.add_parameters(2), m.add_lookup_parameters((3, 2))
        >>> m.set_updated(False)
        >>> E.set_updated(True)
        >>> W.is_updated(), E.is_updated()
        (False, True)
        """
        is_updated = checked_flag("set_updated", "b", b)
        if is_updated:
            self._refuse_training("set_updated")
        for parameter in self._all_parameters():
            if not parameter._never_trained:
                parameter.set_updated(is_updated)

    def _refuse_training(self, caller: str) -> None:
        """Raise ArgumentError if a parameter is quantized."""
        for parameter in self._all_parameters():
            parameter._refuse_training(caller)

    def quantize(self, keep: Iterable[Any] = ()) -> None:
        """Round matrices and the rows of lookup parameters to int8s, for inference that is faster and in smaller files.

        A value is scale * n, for an integer n from -127 to 127. Each row of a matrix and of a lookup parameter has its
        own scale, a 127th of the row's largest magnitude. `as_array()` and `value()` return these products. A product
        of a matrix W and a column x also rounds x so, with a scale of its own: W x = scales * scale * (N n), where N n
        is exact. Other operations read the values as float32s. Vectors and tensors of other dimensions do not change.

        Quantized parameters are frozen. Only safetensors files keep int8s. See the guide "int8".

        Args:
            keep: parameters, collections or builders whose values stay as they are, such as the last layer.

        Raises:
            ArgumentError: a value is not finite, or `keep` has something that is not in the collection. Nothing has
                changed.

        >>> m = ParameterCollection()
        >>> W = m.parameters_from_numpy([[1.0, 0.5], [0.25, -127.0]])
        >>> m.quantize()
        >>> W.as_array().round(3)
        array([[   1.   ,    0.504],
               [   0.   , -127.   ]])
        """
        refuse_in_function("quantize parameters")
        own, kept = {p._storage for p in self._all_parameters()}, set()
        is_list = isinstance(keep, Iterable) and not isinstance(keep, Expression | ParameterCollection)
        items: Any = keep if is_list else [keep]
        for item in items:
            storages = {p._storage for p in _parameters_of(item)}
            if not own.issuperset(storages):
                raise ArgumentError(f"quantize: {item!r:.80}, which is to be kept, is not in {self!r}")
            kept |= storages
        chosen = [p for p in self._all_parameters() if p._storage not in kept and p._can_be_quantized()]
        for parameter, block in [(p, p._quantized()) for p in chosen]:
            parameter._use_quantized(block)

    def arrays(self) -> dict[str, Floats]:
        """Return copies of all values as float32 arrays, by name: `{"_0": array, "encoder/_0": array, ...}`.

        A name is the parameter's full name without the name of this collection. The arrays have the parameters' shapes:
        for a lookup parameter, the rows come first. `numpy.savez(path, **model.arrays())` writes them to a file.

        Raises:
            ArgumentError: two parameters have the same name, as after loading one twice.

        >>> m = ParameterCollection()
        >>> W, b = m.add_parameters((2, 3), init=1.0, name="W"), m.add_parameters(2, init=0.0)
        >>> {name: array.shape for name, array in m.arrays().items()}
        {'W': (2, 3), '_0': (2,)}
        """
        return {name: p.as_array(dtype=np.float32) for name, p in self._by_name("arrays").items()}

    def set_arrays(self, arrays: Mapping[str, Numbers]) -> None:
        """Replace all values with those of arrays, named as `arrays` names them. Gradients and frozenness stay.

        Infinities and NaN are taken, as by `set_value`, but not for quantized parameters.

        Args:
            arrays: a dict or another mapping, such as what `numpy.load` returns for an `.npz` file. It must have an
                array of the right shape for each parameter, and nothing else.

        Raises:
            ArgumentTypeError: `arrays` is not a mapping.
            ArgumentError: a name is missing or unknown, or an array has something other than numbers of float32.
            ShapeError: an array has a different shape than its parameter. After any error, nothing has changed.

        >>> m = ParameterCollection()
        >>> W, b = m.add_parameters(2, name="W"), m.add_parameters(1, name="b")
        >>> m.set_arrays({"W": [1, 2], "b": [3]})
        >>> W.value(), b.value()
        ([1.0, 2.0], 3.0)
        """
        parameters = self._by_name("set_arrays")
        checked = checked_arrays("set_arrays", arrays, {name: p.shape for name, p in parameters.items()})
        set_all("set_arrays", [(p, checked[name]) for name, p in parameters.items()])

    def _by_name(self, caller: str) -> dict[str, Trained]:
        refuse_in_function("read or change values")
        parameters: dict[str, Trained] = {}
        for p in self._all_parameters():
            if parameters.setdefault(p._name.removeprefix(self._name), p) is not p:
                raise ArgumentError(f"{caller}: two parameters are named {printable(p._name)}")
        return parameters

    # Saving to files, and loading

    def save(
        self, fname: Path, name: str | Iterable[Any] = "", append: bool = False, components: Iterable[Any] | None = None
    ) -> None:
        """Write all values, and all gradients that are not zero, to a file.

        Args:
            fname: the file. An existing file is replaced in one step, after everything has been written.
            name: the name of this collection in the file, such as `/encoder`; by default its own name.
            append: whether to keep the parameters that are already in the file.
            components: parameters, builders and similar objects to save instead of the whole collection; `load` returns
                them. They may also be passed as `name`.

        Raises:
            OSError: the file cannot be written. An existing file is unchanged.
        """
        if not isinstance(name, str):
            name, components = "", name
        if components is not None:
            object_files.save_components(fname, components)
        else:
            self.write_to_textfile(fname, name, append)
            object_files.forget_components(fname)

    def write_to_textfile(self, fname: Path, key: str = "", append: bool = False) -> None:
        """Write all parameters to a file, like `save` without `components`. This method exists in DyNet."""
        model_files.save(self._tensors(key), fname, append)

    def save_all(self, fname: Path) -> None:
        """Same as `save(fname)`."""
        self.save(fname)

    def populate(self, fname: Path, key: str = "") -> None:
        """Read all values and gradients from a file, which must have the same parameters in the same order.

        Parameters that were saved frozen become frozen. The state of other parameters does not change.

        Args:
            fname: the file.
            key: the name of this collection in the file; by default all parameters of the file are read.

        Raises:
            FileFormatError: the file is damaged, or its parameters do not match this collection, or it has an infinity
                or NaN for a quantized one. Nothing has changed.
        """
        targets = self._all_parameters()
        expected = [target._expected_entry() for target in targets]
        tensors = model_files.load_matching(fname, key, expected)
        for target, tensor in zip(targets, tensors):
            if target._storage.scale_count and not np.isfinite(tensor.values).all():
                raise FileFormatError(f"populate: {target!r} cannot take the file's values, which are not all finite")
        for target, tensor in zip(targets, tensors):
            target._take_stored(tensor)

    populate_from_textfile = populate
    load_all = populate

    def load(self, fname: Path, *, allow: Allow = (), int8: bool = False) -> list[Any]:
        """Load the `components` that `save` wrote to a file, add their parameters to this collection, and return them.

        If the file was saved without `components`, load all its parameters and lookup parameters.

        Args:
            allow: your own classes whose objects the file may contain, as in `dy.load`.
            int8: whether to `quantize` what is loaded.
        """
        with self._undo_on_error(), self._quantizing_new(int8):
            return object_files.load_components(fname, self, allow)

    @staticmethod
    def from_file(fname: Path) -> ParameterCollection:
        """Return a new collection with all parameters in a file."""
        collection = ParameterCollection()
        for tensor in model_files.load_all(fname):
            collection._add_from_file(tensor)
        return collection

    def load_param(self, fname: Path, key: str) -> Parameters:
        """Load the parameter named `key` from a file, add it to this collection under this name, and return it.

        Raises:
            FileFormatError: the file is damaged or has no such parameter. Nothing has been added.
        """
        return self._add_from_file(model_files.load_one(fname, False, key))

    def load_lookup_param(self, fname: Path, key: str) -> LookupParameters:
        """Load the lookup parameter named `key` from a file, add it to this collection under this name, and return it.

        Raises:
            FileFormatError: the file is damaged or has no such lookup parameter. Nothing has been added.
        """
        return self._add_from_file(model_files.load_one(fname, True, key))

    def _tensors(self, key: str = "") -> list[StoredTensor]:
        """Return what a file stores for each parameter. In names, `key`, if given, replaces this collection's name."""
        if key and not key.startswith("/"):
            raise ArgumentError(f"save: the name of a collection begins with '/': {key!r}")
        prefix = key and key.removesuffix("/") + "/"
        own_length = len(self._name)
        return [p._tensor(prefix and prefix + p._name[own_length:]) for p in self._all_parameters()]

    def _add_from_file(self, tensor: StoredTensor) -> Any:
        self._unique_name(self._names, "")  # as in DyNet, loading uses up the next of the names `_0`, `_1`, ...
        kind = LookupParameters if tensor.lookup else Parameters
        parameter = kind(tensor.name, tensor.dims, tensor.values, self)
        parameter._take_stored(tensor)
        return self._add(parameter)

    @contextmanager
    def _quantizing_new(self, int8: bool) -> Iterator[None]:
        """Return a context manager for a `with` block that adds parameters. If `int8`, quantize these at the end."""
        earlier = self._all_parameters() if checked_flag("load", "int8", int8) else []
        yield
        if int8:
            self.quantize(keep=earlier)

    @contextmanager
    def _undo_on_error(self, value_limit: int | None = None) -> Iterator[None]:
        """Return a context manager for a `with` block that adds parameters. An error in the block removes them again.

        More than `value_limit` initial values in total raise FileFormatError: a small file must not take much memory.
        """
        earlier_contents = [
            (owner, len(owner._parameters), len(owner._lookups), dict(owner._names), dict(owner._collection_names))
            for owner in self._owners()
        ]
        try:
            if value_limit is not None:
                _loading_limit.values_left = value_limit
            yield
        except BaseException:
            for owner, parameters, lookups, names, collection_names in earlier_contents:
                del owner._parameters[parameters:], owner._lookups[lookups:]
                owner._names, owner._collection_names = names, collection_names
            raise
        finally:
            if value_limit is not None:
                _loading_limit.values_left = None


Model = ParameterCollection
