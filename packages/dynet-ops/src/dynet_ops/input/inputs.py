"""Inputs: functions that make expressions from numbers, arrays, constants and parameters.

They convert arguments to float32 arrays, and add these to the graph as input nodes. `name` is the op's name in errors.
"""

from __future__ import annotations

import array
from typing import NoReturn

from dynet_core.api import ComputationGraph
from dynet_core.checks import checked_number, is_masked
from dynet_core.compute.device import check_device
from dynet_core.errors import OutOfMemoryError, StaleExpressionError
from dynet_core.graph import Graph, graph_of_node
from dynet_core.graph.numbers import without_numbers
from dynet_core.messages.wording import counted
from dynet_core.parameter import LookupParameters
from dynet_core.parameter import const_parameter as const_parameter
from dynet_core.parameter import parameter as parameter
from dynet_core.parameter.lookup import BATCH_FUNCTIONS, ROW_FUNCTIONS, set_rows
from dynet_core.recorder import ANY_GRAPH
from dynet_kernels.layout import INPUT
from dynet_kernels.recorder.words import MOST_DIMS, array_key

from ..declare import *


def set_values(x: Expression, values) -> None:
    """Replace the values of the input x by a number, a list or an array of the same size. Users call it as `x.set`.

    If x is a row of a lookup table, from `E[i]` or `lookup`, `values` is the index of the row that x becomes. A batch
    of rows, from `lookup_batch`, takes as many indices as before. Gradients then go to the new rows. The graph's values
    are computed again when they are next needed, with new random numbers for dropout and noise.

    Raises:
        ArgumentError: the expression is neither an input nor a lookup.
        ShapeError: the number of values differs from the size of the input, or an array of several dimensions differs
            from it in shape; or the number of indices is not the number that the lookup got.
        OutOfRangeError: the table has no row with this index.
        StaleExpressionError: `renew_cg` has started a new graph, or `cg_revert` has removed x.

    >>> x = scalarInput(1.0)
    >>> y = x * 2
    >>> y.value()
    2.0
    >>> x.set(3.0)
    >>> y.value()
    6.0
    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> row = E[0]
    >>> row.set(1)
    >>> row.value()
    [3.0, 4.0]
    """
    dim = x.type
    try:
        pinned_graph, graph = pinned(), graph_of_node(x)
        if x.version != ANY_GRAPH and set_rows(pinned_graph, x.at, values):
            return
        array = real_array("set", values)
        version, graph = pinned().version, graph_of_node(x)  # again: `real_array` may run code that calls `renew_cg`
        if x.version == ANY_GRAPH:
            raise ArgumentError(
                f"set: expected an input or a lookup, got {x!r}: set_value and init_row change its values"
            )
        if graph.input_start(x.at) is None:
            raise ArgumentError(f"set: expected an input or a lookup, got an expression of {dim!r} that is computed")
        if array.size != dim.total or (
            array.ndim > 1 and array.shape not in (dim.shape, (*dim.dims, dim.batch)) and not is_column(array)
        ):
            raise ShapeError(f"set: values of shape {array.shape} for an input of {dim!r}")
        graph.replace_input(version, x.at, array)
        # Let compiled code set the values of inputs of this Dim from now on.
        Expression.set.enter((dim,), input_signature(dim).at, dim, dim.total)  # type: ignore[attr-defined]
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set: expression {dim!r}: {error}") from None


Expression.set = describe(function("set", set_values), set_values)  # type: ignore[assignment]


@by_sizes
def input_signature(dim: Dim) -> Signature:
    return Signature(dim, attributes=1, constants=1, kind=INPUT)


def add_input(name: str, array: np.ndarray, dim: Dim, device: str = "", numbers: Any = ()) -> Expression:
    check_device(name, device)
    if array.size != dim.total:
        raise ShapeError(f"{name}: {array.size} values for a tensor of {dim!r}")
    graph = pinned()
    return graph.append(input_signature.row((dim,)), (graph.take_array(array, numbers),))


def flat_floats(name: str, values) -> np.ndarray:
    """Convert values like `flat_array`, but a list may also have objects with a method `__float__` or `__index__`."""
    if isinstance(values, list) and values and not is_masked(values):
        count = len(values)
        try:
            return np.frombuffer(array.array("f", values), np.float32)
        except (TypeError, OverflowError, IndexError) as problem:
            if len(values) < count:  # a method of a value, or another thread, has removed values
                raise ArgumentError(f"{name}: the list has changed while it was read") from None
            if isinstance(problem, IndexError):
                raise
    return flat_array(name, values)


def flat_array(name: str, values) -> np.ndarray:
    """Convert values to a float32 array, like `real_array`, and check that the array has one dimension.

    Dimensions of size 1 after the first are dropped, so items of shape (1,), as from `npvalue()`, count as numbers.
    """
    array = real_array(name, values)
    if is_column(array):
        array = array.ravel()
    if array.ndim != 1:
        error_class = ShapeError if array.ndim else ArgumentTypeError
        raise error_class(f"{name}: expected a flat list of numbers, got shape {array.shape}")
    return array


def is_column(array: np.ndarray) -> bool:
    """Return whether an array has several dimensions, all of size 1 except the first."""
    return array.ndim > 1 and array.shape[0] == array.size


def one_number_array(name: str, value, error_start: str = "expected") -> np.ndarray:
    """Convert a value to a float32 array of one number. `error_start` begins the error if there are more."""
    array = real_array(name, value)
    if array.size != 1:
        raise ShapeError(f"{name}: {error_start} one number, got {array.size}")
    return array


def check_not_empty(name: str, array: np.ndarray) -> None:
    if not array.size:
        raise ArgumentError(f"{name}: no values")


def filled_array(name: str, shape: tuple[int, ...], value: float = 0.0) -> np.ndarray:
    """Return a column-major array filled with `value`; raise OutOfMemoryError if it does not fit."""
    try:
        return np.full(shape, value, np.float32, order="F")
    except MemoryError:
        raise OutOfMemoryError(f"{name}: there is not enough memory for {shape} numbers") from None


def input_op(
    reference: Callable, test_calls: str | list[dict], kind: str = "", repeats: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op without operands, which makes an expression from numbers.

    Args:
        reference: returns the expected values from the op's arguments, the batch last.
        test_calls: the op's arguments in each call to test, as a string for `samples` or as dicts.
        kind: selects compiled code, such as "vector"; see `dynet_core.op.recorded`.
        repeats: calls often have the same arguments, which makes caching worthwhile (see `dynet_core.op.register`).
    """
    calls = samples(test_calls) if isinstance(test_calls, str) else [Sample([], arguments) for arguments in test_calls]
    fields: dict[str, Any] = {"reference": reference, "whole_batch": True, "differentiable": False, "samples": calls}
    return recorded(kind, repeats=repeats, **fields)


def column_major(values, dim, batch_size: int = 1) -> np.ndarray:
    """Return an array of the dimensions `dim`, the batch last, from its values in memory order, for tests."""
    return np.reshape(values, (*np.atleast_1d(dim), batch_size), order="F")


TEST_VALUES = np.arange(-15.0, 15.0) / 8  # values of inputs in tests


_TEST_CALLS = "dim=1; dim=(17,); dim=(5,3) batch_size=2; dim=[2,1,4] batch_size=3"


def _filled_op(calls: str, val: float = 0.0) -> Callable[[Function], Function]:
    """Return a decorator that makes an op that returns a tensor of `val`. `calls` are the calls to test."""
    return input_op(
        lambda dim, batch_size=1, val=val: np.full((*np.atleast_1d(dim), batch_size), val), calls, repeats=True
    )


@_filled_op(_TEST_CALLS)
def zeros(dim: Dims, batch_size: Index = 1) -> Expression:
    """A tensor of zeros with the dimensions `dim` and the batch size `batch_size`.

    >>> zeros((2,)).value()
    [0.0, 0.0]
    """
    return _add_constant("zeros", dim, 0.0, batch_size)


@_filled_op(_TEST_CALLS, 1.0)
def ones(dim: Dims, batch_size: Index = 1) -> Expression:
    """A tensor of ones with the dimensions `dim` and the batch size `batch_size`.

    >>> ones((2,)).value()
    [1.0, 1.0]
    """
    return _add_constant("ones", dim, 1.0, batch_size)


@_filled_op("dim=1 val=2.5; dim=(17,) val=-3; dim=(5,3) val=0 batch_size=2; dim=[2,1,4] val=0.5 batch_size=3")
def constant(dim: Dims, val: Number, batch_size: Index = 1) -> Expression:
    """A tensor with the dimensions `dim` and the batch size `batch_size`, whose elements are all `val`.

    >>> constant((2,), 3).value()
    [3.0, 3.0]
    """
    return _add_constant("constant", dim, val, batch_size)


add_rules("constant", "yc", {"y": lambda c: c}, numbers=("c",))


@by_sizes
def _constant_signature(name: str, dim: Dim) -> Signature:
    return computed("constant", dim, (dim.total,), [View(SELF), *number_views(1)], name=name)


def _add_constant(name: str, dim: Dims, val: Numbers, batch_size: Index) -> Expression:
    """Add a tensor whose elements are all `val`. Only this number is an input value; a kernel fills the tensor."""
    whole = Dim.of(checked_dims(name, dim), checked_batch(name, batch_size))
    value = one_number_array(name, val)
    graph = pinned()
    return graph.append(_constant_signature.row((name, whole)), [graph.take_array(value)])


zeroes = zeros


@input_op(lambda v: np.reshape(v, (-1, 1)), [{"v": v} for v in ([1], [1, -2.5, 3], (4, 5), TEST_VALUES)], "vector")
def inputVector(v: Iterable[Number], device: str = "") -> Expression:
    """A vector of given values.

    Args:
        v: numbers, or an array of one dimension. It may be empty; sums of an empty vector are 0.
        device: "CPU" or the device in use. Others are refused.

    >>> inputVector([1, 2, 3]).value()
    [1.0, 2.0, 3.0]
    """
    array = flat_floats("inputVector", without_numbers(v))
    dim = Dim.of((array.size,))
    if array.size:
        remember(inputVector, array_key(array.shape), input_signature.row((dim,)))
    return add_input("inputVector", array, dim, device, v)


@input_op(lambda s: np.full((1, 1), s), [{"s": s} for s in (2.5, -3, np.float32(0.5), [1.5])], "vector")
def scalarInput(s: Number, device: str = "") -> Expression:
    """A single number.

    `device` is "CPU" or the device in use. Others are refused.

    >>> scalarInput(2.5).value()
    2.5
    """
    array = one_number_array("scalarInput", without_numbers(s))
    return add_input("scalarInput", array, _NUMBER_DIM, device, s)


_NUMBER_DIM = Dim.of((1,))
# All numbers have the same key. The key's row is added here, so that compiled code records even the first call.
remember(scalarInput, array_key(()), input_signature(_NUMBER_DIM))


@input_op(lambda dim: np.zeros((dim, 1)), "dim=1; dim=2; dim=17; dim=130", repeats=True)
def vecInput(dim: Index, device: str = "") -> Expression:
    """A vector of `dim` zeros. To give it other values, call the method `set` of the expression.

    `device` is "CPU" or the device in use. Others are refused.

    >>> x = vecInput(2)
    >>> x.set([3, 4])
    >>> x.value()
    [3.0, 4.0]
    """
    sizes = checked_dims("vecInput", (whole("vecInput", "an index", dim),))
    return add_input("vecInput", filled_array("vecInput", sizes), Dim.of(sizes), device)


@input_op(lambda d1, d2: np.zeros((d1, d2, 1)), "d1=1 d2=1; d1=1 d2=7; d1=5 d2=1; d1=33 d2=3", repeats=True)
def matInput(d1: Index, d2: Index) -> Expression:
    """A matrix of d1 rows and d2 columns of zeros. To give it other values, call `set` with a list, column by column.

    >>> x = matInput(2, 2)
    >>> x.set([1, 2, 3, 4])
    >>> x.npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    sizes = checked_dims("matInput", (d1, d2))
    return add_input("matInput", filled_array("matInput", sizes), Dim.of(sizes))


@input_op(
    lambda v, d: column_major(v, d),
    [
        {"v": v, "d": d}
        for v, d in (([1], (1, 1)), ([1, 2.5, 3, 4, 5, 6], (2, 3)), (TEST_VALUES, [5, 1, 6]), (TEST_VALUES[:17], (17,)))
    ],
)
def inputMatrix(v: Numbers, d: Dims) -> Expression:
    """A tensor of dimensions d, filled column by column with the numbers of a flat list.

    >>> inputMatrix([1, 2, 3, 4, 5, 6], (2, 3)).npvalue()
    array([[1., 3., 5.],
           [2., 4., 6.]])
    """
    return add_input("inputMatrix", flat_array("inputMatrix", v), Dim.of(checked_dims("inputMatrix", d)))


@recorded(
    reference=lambda e, device_str: e,
    samples="1 device_str=''; 17 device_str=''; 5x3*2 device_str=''; 1x4*3 device_str=''",
)
def to_device(e: Expression, device_str: str) -> Expression:
    """Return e unchanged. A process computes everything on one device: the CPU, unless a GPU was asked for.

    `device_str` is "CPU" or the device in use. Others raise DeviceError.

    >>> to_device(inputVector([1, 2]), "CPU").value()
    [1.0, 2.0]
    """
    graph_of("to_device", (e,))
    check_device("to_device", device_str)
    return e


def _tensor_reference(arr, batched: bool = False) -> np.ndarray:
    has_arrays = isinstance(arr, list) and isinstance(arr[0], np.ndarray)
    return np.stack(arr, axis=-1) if has_arrays else _with_batch_axis(arr, batched)


@input_op(
    _tensor_reference,
    [
        {"arr": 2.5},
        {"arr": [[1, 2.5, 3], [4, 5, -6]]},
        {"arr": TEST_VALUES[:7], "batched": True},
        {"arr": TEST_VALUES.reshape(5, 1, 6), "batched": True},
        {"arr": [TEST_VALUES.reshape(3, 10), -TEST_VALUES.reshape(3, 10)]},
        {"arr": TEST_VALUES.reshape(1, 5, 2, 3).T},
    ],
    "array",
)
def inputTensor(arr: Numbers, batched: bool = False, device: str = "", reusable_expr: bool = False) -> Expression:
    """A tensor with the shape and values of an array or nested list.

    Args:
        arr: an array, a nested list of numbers, or a list of arrays, each of which is a batch element.
        batched: whether the last axis is the batch.
        device: "CPU" or the device in use. Others are refused.
        reusable_expr: accepted for compatibility and ignored, because `set` works with every input.

    >>> inputTensor([[1, 2], [3, 4]]).dim()
    ((2, 2), 1)
    >>> inputTensor([[1, 2], [3, 4]], batched=True).dim()
    ((2,), 2)
    """
    checked_flag("inputTensor", "reusable_expr", reusable_expr)
    # Masked arrays are not stacked: numpy would drop their masks, and `real_array` could not refuse them.
    arrays = list(arr) if isinstance(arr, (list, tuple)) else []
    if arrays and all(isinstance(a, np.ndarray) for a in arrays) and not is_masked(arrays):
        shapes = [np.shape(a) for a in arrays]
        if len({*shapes}) > 1:
            raise ShapeError(f"inputTensor: the arrays differ in shape: {shapes}")
        arr, batched = np.stack(arrays, axis=-1), True
    array = real_array("inputTensor", arr, uneven=ShapeError)
    check_not_empty("inputTensor", array)
    return _add_array(inputTensor, array, batched, device)


def _add_array(op_function, array: np.ndarray, batched: bool, device: str) -> Expression:
    """Add an input, whose last axis may be the batch. Similar later calls of `op_function` take the fast path."""
    name, shape = op_function.__name__, array.shape or (1,)
    batched = checked_flag(name, "batched", batched)
    dims, batch = (shape[:-1] or (1,), shape[-1]) if batched else (shape, 1)
    dim = Dim.of(checked_dims(name, dims), batch)
    if 0 < array.ndim <= MOST_DIMS:  # compiled code reads only arrays of 1 to MOST_DIMS dimensions
        remember(op_function, array_key(shape, batched), input_signature.row((dim,)))
    return add_input(name, array, dim, device)


@input_op(
    lambda d, idx: np.eye(d)[:, np.atleast_1d(idx)],
    "d=1 idx=0; d=17 idx=16; d=5 idx=[2,0,2]; d=3 idx=[1]; d=300 idx=299; d=100 idx=(99,0,50)",
    "one_hot",
)
def one_hot(d: Index, idx: Index | Indices, device: str = "") -> Expression:
    """A vector of size d that is 1 at index `idx` and 0 elsewhere; a batch of vectors for a list of indices.

    `device` is "CPU" or the device in use. Others are refused. An index that is not in 0..d-1 raises OutOfRangeError.

    >>> one_hot(3, 1).value()
    [0.0, 1.0, 0.0]
    >>> one_hot(3, [0, 2]).dim()
    ((3,), 2)
    """
    (size,) = checked_dims("one_hot", (whole("one_hot", "an index", d),))
    indices = checked_indices("one_hot", idx if np.iterable(idx) else [idx], size, f"a vector of {size}")
    array, dim = filled_array("one_hot", (size, len(indices))), Dim.of((size,), len(indices))
    array[indices, range(len(indices))] = 1
    remember(one_hot, array.shape, input_signature.row((dim,)))
    return add_input("one_hot", array, dim, device)


def _sparse_reference(idxs, values, shape, batched: bool = False, defval: float = 0.0) -> np.ndarray:
    array = np.full(shape, defval)
    array[tuple(idxs)] = values
    return _with_batch_axis(array, batched)


@input_op(
    _sparse_reference,
    "idxs=([0],) values=[2.5] shape=(1,); idxs=([4,0],) values=[1,2] shape=(5,) batched=True; "
    "idxs=([0,1,2],[4,0,3]) values=[1,-2.5,3] shape=(3,5) defval=-0.5; "
    "idxs=([0,0],[1,2],[2,0]) values=[1,2] shape=(1,3,3) batched=True",
    "sparse",
)
def sparse_inputTensor(
    idxs: Iterable[Iterable[Index]],
    values: Numbers,
    shape: Dims,
    batched: bool = False,
    defval: Number = 0.0,
    device: str = "",
) -> Expression:
    """A tensor from the indices and values of some of its elements. If an index repeats, its last value counts.

    Args:
        idxs: a sequence of indices for each dimension, including the batch. The first index in each sequence says where
            `values[0]` belongs, the second index where `values[1]` belongs, and so on.
        values: the values of these elements.
        shape: the dimensions, including the batch.
        batched: whether the last axis is the batch.
        defval: the value of all other elements.
        device: "CPU" or the device in use. Others are refused.

    Raises:
        OutOfRangeError: an index is outside the shape.

    >>> sparse_inputTensor(([0, 1], [1, 2]), [5, 6], (2, 3)).npvalue()
    array([[0., 5., 0.],
           [0., 0., 6.]])
    """
    name = "sparse_inputTensor"
    sizes, given_values = checked_dims(name, shape), flat_floats(name, values)
    default = one_number_array(name, defval, "defval must be").item()
    try:
        axes = list(idxs)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: idxs must be a sequence of indices for each dimension, not {idxs!r:.60}"
        ) from None
    if len(axes) != len(sizes):
        raise ShapeError(f"{name}: {len(axes)} sequences of indices for a shape of {len(sizes)} dimensions, {sizes}")
    indices = [
        checked_indices(name, axis, size, f"dimension {k} of {sizes}")
        for k, (axis, size) in enumerate(zip(axes, sizes))
    ]
    return _add_array(sparse_inputTensor, scatter(name, indices, sizes, given_values, default), batched, device)


def scatter(
    name: str, indices: Sequence[list[int]], sizes: tuple[int, ...], values: np.ndarray, default: float
) -> np.ndarray:
    """Return an array of `default`, but with `values` at `indices`, which has a list of indices for each axis."""
    for k, axis in enumerate(indices):
        if len(axis) != values.size:
            counts = f"{counted(values.size, 'value')}, but {len(axis)} of the indices for dimension {k}"
            raise ShapeError(f"{name}: {counts}: each dimension needs one for each value")
    array = filled_array(name, sizes, default)
    array[tuple(indices)] = values
    return array


@input_op(
    lambda arr, dim=None, batch_size=1: column_major(arr, len(arr) // batch_size if dim is None else dim, batch_size),
    [
        {"arr": [1]},
        {"arr": TEST_VALUES[:17]},
        {"arr": TEST_VALUES, "batch_size": 6},
        {"arr": TEST_VALUES, "dim": (5, 1, 2), "batch_size": 3},
    ],
)
def inputTensorTranspose(arr: Numbers, dim: Dims | None = None, batch_size: Index = 1) -> Expression:
    """A tensor from numbers in memory order: column by column, batch element by batch element.

    `arr` is a list or an array of one dimension. If the dimensions `dim` are None, the result is a vector.

    >>> inputTensorTranspose(np.arange(6), (2, 3)).npvalue()
    array([[0., 2., 4.],
           [1., 3., 5.]])
    """
    name = "inputTensorTranspose"
    array, batch = flat_array(name, arr), checked_batch(name, batch_size)
    check_not_empty(name, array)
    dims = checked_dims(name, max(1, array.size // batch) if dim is None else dim)
    return add_input(name, array, Dim.of(dims, batch))


def _with_batch_axis(array, batched: bool = False) -> np.ndarray:
    array = np.atleast_1d(array)
    return array.reshape(*(array.shape[:-1] or (1,)), array.shape[-1]) if batched else array[..., None]


def lookup(p: LookupParameters, index: Index = 0, update: bool = True) -> Expression:
    """Row `index` of a lookup table p, the same as `p[index]`. With update=False, the row gets no gradient.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup(E, 1).value()
    [3.0, 4.0]
    """
    return p._lookup_in_python(index, update) if isinstance(p, LookupParameters) else _refuse("lookup", p)


ROW_FUNCTIONS.append(function("lookup", lookup))  # all of these functions know a table once one was called with it
lookup = describe(ROW_FUNCTIONS[-1], lookup)


def lookup_batch(p: LookupParameters, indices: Iterable[Index], update: bool = True) -> Expression:
    """Several rows of a lookup table p, each a batch element of the result. With update=False, they get no gradient.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup_batch(E, [1, 1, 0]).dim()
    ((2,), 3)
    """
    return p._batch_in_python(indices, update) if isinstance(p, LookupParameters) else _refuse("lookup_batch", p)


BATCH_FUNCTIONS.append(function("lookup_indices", lookup_batch))
lookup_batch = describe(BATCH_FUNCTIONS[-1], lookup_batch)


def _refuse(name: str, p) -> NoReturn:
    raise ArgumentTypeError(f"{name}: expected LookupParameters, got {type(p).__name__}")


def inputMatrixLiteral(graph: Graph, v: Numbers, d: Dims, batch_size: Index = 1, device: str = "") -> Expression:
    """A tensor from numbers in memory order (column by column), like `inputTensorTranspose`.

    >>> dy.cg().inputMatrixLiteral([1, 2, 3, 4], (2, 2)).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    name = "inputMatrixLiteral"
    return add_input(name, flat_array(name, v), Dim.of(checked_dims(name, d), checked_batch(name, batch_size)), device)


def inputSparseTensor(
    graph: Graph,
    idxs: Iterable[Index],
    v: Numbers,
    dim: Dims,
    batch_size: Index = 1,
    defval: Number = 0.0,
    device: str = "",
) -> Expression:
    """A tensor from the indices and values of some of its elements.

    Args:
        idxs: the index of each of these elements in memory order: column by column, batch element by batch element.
        v: the values at these indices.
        dim: the dimensions.
        batch_size: the batch size.
        defval: the value of all other elements.
        device: "CPU" or the device in use. Others are refused.

    Raises:
        OutOfRangeError: an index is outside the tensor.

    >>> dy.cg().inputSparseTensor([0, 3], [5, 6], (2, 2)).npvalue()
    array([[5., 0.],
           [0., 6.]])
    """
    name = "inputSparseTensor"
    whole = Dim.of(checked_dims(name, dim), checked_batch(name, batch_size))
    default = checked_number(name, defval)
    indices = checked_indices(name, idxs, whole.total, f"a tensor of {whole.dims} x {whole.batch}")
    return add_input(name, scatter(name, [indices], (whole.total,), flat_floats(name, v), default), whole, device)


ComputationGraph.inputMatrixLiteral = inputMatrixLiteral  # type: ignore[attr-defined]
ComputationGraph.inputSparseTensor = inputSparseTensor  # type: ignore[attr-defined]

__all__ = [
    "const_parameter", "constant", "inputMatrix", "inputTensor", "inputTensorTranspose", "inputVector", "lookup",
    "lookup_batch", "matInput", "one_hot", "ones", "parameter", "scalarInput", "sparse_inputTensor", "to_device",
    "vecInput", "zeroes", "zeros",
]  # fmt: skip
