"""Inputs of a graph: tensors of any shape, one-hot vectors and sparse tensors."""

from __future__ import annotations

from dynet_core.checks import is_masked
from dynet_core.messages.wording import counted
from dynet_kernels.recorder.words import MOST_DIMS, array_key

from ..declare import *
from .arrays import NUMBERS, add_input, check_any, filled, flat, input_op, input_signature, numbers, one_number, stored


def _tensor_reference(arr, batched: bool = False) -> np.ndarray:
    separate = isinstance(arr, list) and isinstance(arr[0], np.ndarray)
    return np.stack(arr, axis=-1) if separate else _with_batch(arr, batched)


@input_op(
    _tensor_reference,
    [
        {"arr": 2.5},
        {"arr": [[1, 2.5, 3], [4, 5, -6]]},
        {"arr": NUMBERS[:7], "batched": True},
        {"arr": NUMBERS.reshape(5, 1, 6), "batched": True},
        {"arr": [NUMBERS.reshape(3, 10), -NUMBERS.reshape(3, 10)]},
        {"arr": NUMBERS.reshape(1, 5, 2, 3).T},
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
    # numpy drops the masks of arrays that it stacks; `real_array` refuses them.
    arrays = list(arr) if isinstance(arr, (list, tuple)) else []
    if arrays and all(isinstance(a, np.ndarray) for a in arrays) and not is_masked(arrays):
        shapes = [np.shape(a) for a in arrays]
        if len({*shapes}) > 1:
            raise ShapeError(f"inputTensor: the arrays differ in shape: {shapes}")
        arr, batched = np.stack(arrays, axis=-1), True
    array = real_array("inputTensor", arr, uneven=ShapeError)
    check_any("inputTensor", array)
    return _add(inputTensor, array, batched, device)


def _add(record, array: np.ndarray, batched: bool, device: str) -> Expression:
    """Add an input; its last axis may be the batch. Let the function `record` add later ones like it."""
    name, shape = record.__name__, array.shape or (1,)
    batched = checked_flag(name, "batched", batched)
    dims, batch = (shape[:-1] or (1,), shape[-1]) if batched else (shape, 1)
    dim = Dim.of(checked_dims(name, dims), batch)
    if 0 < array.ndim <= MOST_DIMS:
        remember(record, array_key(shape, batched), input_signature(dim))
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
    (size,) = checked_dims("one_hot", (checked_index("one_hot", d),))
    found = checked_indices("one_hot", idx if np.iterable(idx) else [idx], size, f"a vector of {size}")
    array, dim = filled("one_hot", (size, len(found))), Dim.of((size,), len(found))
    array[found, range(len(found))] = 1
    remember(one_hot, array.shape, input_signature(dim))
    return add_input("one_hot", array, dim, device)


def _sparse_reference(idxs, values, shape, batched: bool = False, defval: float = 0.0) -> np.ndarray:
    array = np.full(shape, defval)
    array[tuple(idxs)] = values
    return _with_batch(array, batched)


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
        idxs: a sequence of indices for each dimension, the batch included. The first indices of all sequences together
            say where `values[0]` belongs, the second ones where `values[1]` belongs, and so on.
        values: the values of these elements.
        shape: the dimensions, the batch included.
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
    sizes, given = checked_dims(name, shape), numbers(name, values)
    other = one_number(name, defval, "defval must be").item()
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
    return _add(sparse_inputTensor, scattered(name, found, sizes, given, other), batched, device)


def scattered(
    name: str, found: Sequence[list[int]], sizes: tuple[int, ...], given: np.ndarray, other: float
) -> np.ndarray:
    """Return an array of `other` with the `given` values at `found`, the indices of each axis."""
    for k, axis in enumerate(found):
        if len(axis) != given.size:
            counts = f"{counted(given.size, 'value')}, but {len(axis)} of the indices for dimension {k}"
            raise ShapeError(f"{name}: {counts}: each dimension needs one for each value")
    array = filled(name, sizes, other)
    array[tuple(found)] = given
    return array


@input_op(
    lambda arr, dim=None, batch_size=1: stored(arr, len(arr) // batch_size if dim is None else dim, batch_size),
    [
        {"arr": [1]},
        {"arr": NUMBERS[:17]},
        {"arr": NUMBERS, "batch_size": 6},
        {"arr": NUMBERS, "dim": (5, 1, 2), "batch_size": 3},
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
    array, batch = flat(name, arr), checked_batch(name, batch_size)
    check_any(name, array)
    return add_input(name, array, checked_shape(name, max(1, array.size // batch) if dim is None else dim, batch))


def _with_batch(array, batched: bool = False) -> np.ndarray:
    array = np.atleast_1d(array)
    return array.reshape(*(array.shape[:-1] or (1,)), array.shape[-1]) if batched else array[..., None]


__all__ = ["inputTensor", "inputTensorTranspose", "one_hot", "sparse_inputTensor"]
