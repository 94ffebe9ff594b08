"""Values from outside the graph."""

from __future__ import annotations

import array
import contextlib
from collections.abc import Callable, Iterable, Iterator, MappingView
from typing import NoReturn

import numpy as np

from dynet_core.annotations import Dims, Index, Indices, Number, Numbers
from dynet_core.checks import checked_flag, checked_index, checked_indices
from dynet_core.device import check_device
from dynet_core.dim import Dim, checked_batch, checked_dims
from dynet_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DynetError,
    OutOfMemoryError,
    ShapeError,
    StaleExpressionError,
)
from dynet_core.expression import Expression
from dynet_core.graph import draft, graph_of_node
from dynet_core.op import Function, Sample, register
from dynet_core.parameter import LookupParameters
from dynet_core.parameter import const_parameter as const_parameter
from dynet_core.parameter import parameter as parameter
from dynet_core.parameter.lookup import BATCH_FUNCTIONS, ROW_FUNCTIONS
from dynet_core.record import graph_of
from dynet_core.recorder import ANY_GRAPH, describe, function
from dynet_core.signature import Signature
from dynet_kernels.layout import INPUT
from dynet_kernels.recorder.words import MOST_DIMS


def set_values(x: Expression, values) -> None:
    """Replace the values of an input by a number, a list or an array as large as the input.

    What has been computed is computed again when it is next asked for, dropout and noise included.

    Raises:
        ArgumentError: the expression is no input.
        ShapeError: another number of values.
        StaleExpressionError: the graph is gone, or `cg_revert` has taken the input back.

    >>> x = scalarInput(1.0)
    >>> y = x * 2
    >>> y.value()
    2.0
    >>> x.set(3.0)
    >>> y.value()
    6.0
    """
    dim, array = x.type, real_array("set", values)
    try:
        graph = graph_of_node(x)
        if x.version == ANY_GRAPH or graph.start_of(x.at) is None:
            raise ArgumentError(f"set: expected an input, got an expression of {dim!r} that is computed")
        if array.size != dim.total or array.ndim > 1 and array.shape != dim.shape:
            raise ShapeError(f"set: values of shape {array.shape} for an input of {dim!r}")
        graph.replace_input(x.at, array)
        Expression.set.enter((dim,), _signature(dim).at, dim, dim.total)  # type: ignore[attr-defined]
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set: input {dim!r}: {error}") from None


Expression.set = describe(function("set", set_values), set_values)  # type: ignore[assignment]

_signatures: dict[Dim, Signature] = {}


def _signature(dim: Dim) -> Signature:
    signature = _signatures.get(dim)
    if signature is None:
        signature = _signatures[dim] = Signature(dim, attributes=1, constants=1, kind=INPUT)
    return signature


def real_array(name: str, values, uneven: type[DynetError] = ArgumentTypeError) -> np.ndarray:
    """What a user gave as numbers, or gives one by one, as a float32 array.

    Args:
        uneven: what rows are that differ in length.

    Raises:
        ArgumentTypeError: anything that is not real numbers of one shape.
    """
    if isinstance(values, (Iterator, MappingView)):
        values = list(values)  # type: ignore[arg-type]
    try:
        array = np.asarray(values)
    except DynetError:
        raise  # of an expression within
    except ValueError:
        raise uneven(f"{name}: the rows of the list differ in length") from None
    if array.dtype == object and all(type(value) in (int, float) for value in array.flat):  # ints of more than 64 bits
        with contextlib.suppress(OverflowError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name}: expected real numbers, got {type(values).__name__} {values!r:.60}")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _input(array: np.ndarray, dim: Dim) -> Expression:
    graph = draft()
    return graph.append(_signature(dim), (graph.take_array(array),))


def inputVector(v: Iterable[Number], device: str = "") -> Expression:
    """A vector of given values.

    Args:
        v: numbers, or an array of one dimension; none give a vector of size 0, of which sums are 0.
        device: "CPU" or the device in use.

    >>> inputVector([1, 2, 3]).value()
    [1.0, 2.0, 3.0]
    """
    if device != "":
        check_device("inputVector", device)
    array = _numbers("inputVector", v)
    dim = Dim.of((array.size,))
    if array.size:
        _vector.enter((array.size,), _signature(dim).at, dim)
        _vector_of_array.enter((1, array.size, 0, 0, 0), _signature(dim).at, dim)
    return _input(array, dim)


_vector_of_array = function("array", inputVector)
_vector = function("vector", _vector_of_array)
inputVector = describe(_vector, inputVector)


def _numbers(name: str, values) -> np.ndarray:
    """Numbers in a row; of a list, any that Python makes floats of."""
    if isinstance(values, list):
        with contextlib.suppress(TypeError, OverflowError):
            return np.array(array.array("f", values))
    return _flat(name, values)


def _flat(name: str, values) -> np.ndarray:
    """Numbers in a row."""
    array = real_array(name, values)
    if array.ndim != 1:
        kind = ShapeError if array.ndim else ArgumentTypeError
        raise kind(f"{name}: expected a flat list of numbers, got shape {array.shape}")
    return array


def checked_size(name: str, size: int) -> int:
    """A number of values, which must not be zero."""
    if size < 1:
        raise ArgumentError(f"{name}: no values")
    return size


def scalarInput(s: Number, device: str = "") -> Expression:
    """A single number.

    Args:
        s: the number.
        device: "CPU" or the device in use.

    >>> scalarInput(2.5).value()
    2.5
    """
    if device != "":
        check_device("scalarInput", device)
    array = real_array("scalarInput", s)
    if array.size != 1:
        raise ShapeError(f"scalarInput: expected one number, got {array.size}")
    return _input(array, _NUMBER)


_NUMBER = Dim.of((1,))
_scalar = function("scalar", scalarInput)
_scalar.enter((1,), _signature(_NUMBER).at, _NUMBER)
scalarInput = describe(_scalar, scalarInput)


def vecInput(dim: Index, device: str = "") -> Expression:
    """A vector of `dim` zeros, to be given values by `set`.

    Args:
        dim: the size.
        device: "CPU" or the device in use.

    >>> x = vecInput(2)
    >>> x.set([3, 4])
    >>> x.value()
    [3.0, 4.0]
    """
    if device != "":
        check_device("vecInput", device)
    (size,) = checked_dims("vecInput", (checked_index("vecInput", dim),))
    return _input(_filled("vecInput", (size,), 0.0), Dim.of((size,)))


def matInput(d1: Index, d2: Index) -> Expression:
    """A matrix of zeros, to be given values by `set`, column by column.

    >>> x = matInput(2, 2)
    >>> x.set([1, 2, 3, 4])
    >>> x.npvalue()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    dims = checked_dims("matInput", (d1, d2))
    return _input(_filled("matInput", dims, 0.0), Dim.of(dims))


def inputMatrix(v: Numbers, d: Dims) -> Expression:
    """A tensor of dimensions d from a flat list, column by column.

    >>> inputMatrix([1, 2, 3, 4, 5, 6], (2, 3)).npvalue()
    array([[1., 3., 5.],
           [2., 4., 6.]], dtype=float32)
    """
    dim = Dim.of(checked_dims("inputMatrix", d))
    array = _flat("inputMatrix", v)
    if array.size != dim.size:
        raise ShapeError(f"inputMatrix: {array.size} values for a matrix of {dim!r}")
    return _input(array, dim)


def inputTensor(arr: Numbers, batched: bool = False, device: str = "", reusable_expr: bool = False) -> Expression:
    """A tensor with the shape and values of an array or nested list.

    Args:
        arr: an array, a nested list of numbers, or a list of arrays: then each is a batch element.
        batched: the last axis is the batch.
        device: "CPU" or the device in use.
        reusable_expr: accepted, and not needed: `set` gives any input other values.

    >>> inputTensor([[1, 2], [3, 4]]).dim()
    ((2, 2), 1)
    >>> inputTensor([[1, 2], [3, 4]], batched=True).dim()
    ((2,), 2)
    """
    if device != "":
        check_device("inputTensor", device)
    if reusable_expr is not False:
        checked_flag("inputTensor", "reusable_expr", reusable_expr)
    if isinstance(arr, (list, tuple)) and len(arr) and all(isinstance(a, np.ndarray) for a in arr):
        shapes = [np.shape(a) for a in arr]
        if len({*shapes}) > 1:
            raise ShapeError(f"inputTensor: the arrays differ in shape: {shapes}")
        arr, batched = np.stack(list(arr), axis=-1), True
    array = real_array("inputTensor", arr, uneven=ShapeError)
    checked_size("inputTensor", array.size)
    shape = array.shape or (1,)
    batched = batched is True or checked_flag("inputTensor", "batched", batched)
    dims, batch = (shape[:-1] or (1,), shape[-1]) if batched else (shape, 1)
    dim = Dim.of(checked_dims("inputTensor", dims), batch)
    if not batched and 1 <= array.ndim <= MOST_DIMS:
        _tensor.enter((array.ndim, *shape, *[0] * (MOST_DIMS - array.ndim)), _signature(dim).at, dim)
    return _input(array, dim)


_tensor = function("array", inputTensor)
inputTensor = describe(_tensor, inputTensor)


def _filled(name: str, shape: tuple[int, ...], value: float) -> np.ndarray:
    try:
        return np.full(shape, value, np.float32)
    except MemoryError:
        raise OutOfMemoryError(f"{name}: there is not enough memory for {shape} numbers") from None


def one_hot(d: Index, idx: Index | Indices, device: str = "") -> Expression:
    """A vector of d zeros with a one at place `idx`; for a list of places, a batch with a vector for each.

    Args:
        d: the size.
        idx: the place of the one, or a list of places.
        device: "CPU" or the device in use.

    Raises:
        OutOfRangeError: a place is not in 0..d-1.

    >>> one_hot(3, 1).value()
    [0.0, 1.0, 0.0]
    >>> one_hot(3, [0, 2]).dim()
    ((3,), 2)
    """
    if device != "":
        check_device("one_hot", device)
    (size,) = checked_dims("one_hot", (checked_index("one_hot", d),))
    places = idx if np.iterable(idx) else [idx]
    found = checked_indices("one_hot", places, size, f"a vector of {size}")
    array = _filled("one_hot", (size, len(found)), 0.0)
    array[found, range(len(found))] = 1
    return _input(array, Dim.of((size,), len(found)))


def sparse_inputTensor(
    idxs: Iterable[Iterable[Index]],
    values: Numbers,
    shape: Dims,
    batched: bool = False,
    defval: Number = 0.0,
    device: str = "",
) -> Expression:
    """A tensor given by the places and values of some of its elements; of several at one place the last counts.

    Args:
        idxs: a sequence of indices for each dimension, the batch included.
        values: as many numbers as there are indices in each sequence.
        shape: the dimensions, the batch included.
        batched: the last axis is the batch.
        defval: the value of all other elements.
        device: "CPU" or the device in use.

    Raises:
        OutOfRangeError: an index is not inside the shape.

    >>> sparse_inputTensor(([0, 1], [1, 2]), [5, 6], (2, 3)).npvalue()
    array([[0., 5., 0.],
           [0., 0., 6.]], dtype=float32)
    """
    name = "sparse_inputTensor"
    if device != "":
        check_device(name, device)
    sizes = checked_dims(name, shape)
    numbers = _flat(name, values)
    other = real_array(name, defval)
    if other.size != 1:
        raise ShapeError(f"{name}: defval must be one number, got {other.size}")
    try:
        axes = list(idxs)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: idxs must be a sequence of indices for each dimension, not {idxs!r:.60}"
        ) from None
    if len(axes) != len(sizes):
        raise ShapeError(f"{name}: {len(axes)} sequences of indices for a shape of {len(sizes)} dimensions, {sizes}")
    found = [
        checked_indices(name, axis, size, f"dimension {k} of {sizes}")
        for k, (axis, size) in enumerate(zip(axes, sizes))
    ]
    if any(len(axis) != numbers.size for axis in found):
        raise ShapeError(f"{name}: {numbers.size} values for {[len(axis) for axis in found]} indices")
    array = _filled(name, sizes, other.item())
    for *place, value in zip(*found, numbers):
        array[tuple(place)] = value
    dims, batch = (sizes[:-1] or (1,), sizes[-1]) if checked_flag(name, "batched", batched) else (sizes, 1)
    return _input(array, Dim.of(dims, batch))


def inputTensorTranspose(arr: Numbers, dim: Dims | None = None, batch_size: Index = 1) -> Expression:
    """A tensor from numbers in the order in which they are stored: column by column, batch element by batch element.

    Args:
        arr: an array of one dimension, or a list.
        dim: the dimensions; without them, a vector.

    >>> inputTensorTranspose(np.arange(6), (2, 3)).npvalue()
    array([[0., 2., 4.],
           [1., 3., 5.]], dtype=float32)
    """
    name = "inputTensorTranspose"
    array, batch = _flat(name, arr), checked_batch(name, batch_size)
    checked_size(name, array.size)
    whole = Dim.of(checked_dims(name, max(1, array.size // batch) if dim is None else dim), batch)
    if array.size != whole.total:
        raise ShapeError(f"{name}: {array.size} values for a tensor of {whole!r}")
    return _input(array, whole)


def to_device(e: Expression, device_str: str) -> Expression:
    """e itself: everything is computed on one device, "CPU" unless a GPU was asked for.

    Args:
        e: any expression.
        device_str: "CPU" or the device in use.

    Raises:
        DeviceError: another device is named.

    >>> to_device(inputVector([1, 2]), "CPU").value()
    [1.0, 2.0]
    """
    graph_of("to_device", (e,))
    check_device("to_device", device_str)
    return e


def lookup(p: LookupParameters, index: Index = 0, update: bool = True) -> Expression:
    """Row `index` of a table, as `p[index]`; with update=False it receives no gradient.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup(E, 1).value()
    [3.0, 4.0]
    """
    return p._looked_up(index, update) if isinstance(p, LookupParameters) else _refuse("lookup", p)


ROW_FUNCTIONS.append(function("lookup", lookup))
lookup = describe(ROW_FUNCTIONS[-1], lookup)


def lookup_batch(p: LookupParameters, indices: Iterable[Index], update: bool = True) -> Expression:
    """Several rows of a table as one expression with a batch element each.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup_batch(E, [1, 1, 0]).dim()
    ((2,), 3)
    """
    return p._looked_up_batch(indices, update) if isinstance(p, LookupParameters) else _refuse("lookup_batch", p)


BATCH_FUNCTIONS.append(function("lookup_indices", lookup_batch))
lookup_batch = describe(BATCH_FUNCTIONS[-1], lookup_batch)


def _refuse(name: str, p) -> NoReturn:
    raise ArgumentTypeError(f"{name}: expected LookupParameters, got {type(p).__name__}")


# ----------------------------------------------------------------------------------------------------------- the table


def enter(function: Function, reference: Callable, *attributes: dict, repeats: bool = False) -> Function:
    """Enter an input in the table: an op without operands, whose reference says what is given, the batch last."""
    samples = [Sample([], each) for each in attributes]
    facts = {"reference": reference, "whole_batch": True, "differentiable": False, "samples": samples}
    return register(function, repeats=repeats, **facts)


def _stored(values, dim, batch_size: int = 1) -> np.ndarray:
    return np.reshape(values, (*np.atleast_1d(dim), batch_size), order="F")


def _with_batch(array, batched: bool = False) -> np.ndarray:
    array = np.atleast_1d(array)
    return array.reshape(*(array.shape[:-1] or (1,)), array.shape[-1]) if batched else array[..., None]


def _tensor_reference(arr, batched: bool = False) -> np.ndarray:
    separate = isinstance(arr, list) and isinstance(arr[0], np.ndarray)
    return np.stack(arr, axis=-1) if separate else _with_batch(arr, batched)


def _sparse_reference(idxs, values, shape, batched: bool = False, defval: float = 0.0) -> np.ndarray:
    array = np.full(shape, defval)
    array[tuple(idxs)] = values
    return _with_batch(array, batched)


_NUMBERS = np.arange(-15.0, 15.0) / 8
enter(
    inputTensor,
    _tensor_reference,
    {"arr": 2.5},
    {"arr": [[1, 2.5, 3], [4, 5, -6]]},
    {"arr": _NUMBERS[:7], "batched": True},
    {"arr": _NUMBERS.reshape(5, 1, 6), "batched": True},
    {"arr": [_NUMBERS.reshape(3, 10), -_NUMBERS.reshape(3, 10)]},
    {"arr": _NUMBERS.reshape(1, 5, 2, 3).T},
)
enter(scalarInput, lambda s: np.full((1, 1), s), {"s": 2.5}, {"s": -3}, {"s": np.float32(0.5)}, {"s": [1.5]})
vecInput = enter(
    vecInput, lambda dim: np.zeros((dim, 1)), {"dim": 1}, {"dim": 2}, {"dim": 17}, {"dim": 130}, repeats=True
)
matInput = enter(
    matInput,
    lambda d1, d2: np.zeros((d1, d2, 1)),
    {"d1": 1, "d2": 1},
    {"d1": 1, "d2": 7},
    {"d1": 5, "d2": 1},
    {"d1": 33, "d2": 3},
    repeats=True,
)
enter(
    inputVector,
    lambda v: np.reshape(v, (-1, 1)),
    {"v": [1]},
    {"v": [1, -2.5, 3]},
    {"v": (4, 5)},
    {"v": _NUMBERS},
)
enter(
    inputMatrix,
    lambda v, d: _stored(v, d),
    {"v": [1], "d": (1, 1)},
    {"v": [1, 2.5, 3, 4, 5, 6], "d": (2, 3)},
    {"v": _NUMBERS, "d": [5, 1, 6]},
    {"v": _NUMBERS[:17], "d": (17,)},
)
one_hot = enter(
    one_hot,
    lambda d, idx: np.eye(d)[:, np.atleast_1d(idx)],
    {"d": 1, "idx": 0},
    {"d": 17, "idx": 16},
    {"d": 5, "idx": [2, 0, 2]},
    {"d": 3, "idx": np.array([1])},
    repeats=True,
)
enter(
    sparse_inputTensor,
    _sparse_reference,
    {"idxs": ([0],), "values": [2.5], "shape": (1,)},
    {"idxs": ([4, 0],), "values": [1, 2], "shape": (5,), "batched": True},
    {"idxs": ([0, 1, 2], [4, 0, 3]), "values": [1, -2.5, 3], "shape": (3, 5), "defval": -0.5},
    {"idxs": ([0, 0], [1, 2], [2, 0]), "values": [1, 2], "shape": (1, 3, 3), "batched": True},
)
enter(
    inputTensorTranspose,
    lambda arr, dim=None, batch_size=1: _stored(arr, len(arr) // batch_size if dim is None else dim, batch_size),
    {"arr": [1]},
    {"arr": _NUMBERS[:17]},
    {"arr": _NUMBERS, "batch_size": 6},
    {"arr": _NUMBERS, "dim": (5, 1, 2), "batch_size": 3},
)
to_device = register(
    to_device,
    reference=lambda e, device_str: e,
    samples=[Sample([shape], {"device_str": ""}) for shape in (((1,), 1), ((17,), 1), ((5, 3), 2), ((1, 4), 3))],
)

__all__ = [
    "const_parameter", "inputMatrix", "inputTensor", "inputTensorTranspose", "inputVector", "lookup", "lookup_batch",
    "matInput", "one_hot", "parameter", "scalarInput", "sparse_inputTensor", "to_device", "vecInput",
]  # fmt: skip
