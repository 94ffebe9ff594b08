"""Inputs that are methods of the graph, `dy.cg()`, as in the Python interface of the original DyNet."""

from __future__ import annotations

from dynet_core.api import ComputationGraph
from dynet_core.checks import checked_number
from dynet_core.device import check_device
from dynet_core.graph import Graph

from ..declare import *
from .tensors import inputTensorTranspose


def inputMatrixLiteral(graph: Graph, v: Numbers, d: Dims, batch_size: Index = 1, device: str = "") -> Expression:
    """A tensor from numbers in memory order (column by column), like `inputTensorTranspose`.

    >>> dy.cg().inputMatrixLiteral([1, 2, 3, 4], (2, 2)).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    check_device("inputMatrixLiteral", device)
    return inputTensorTranspose(v, d, batch_size)


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
        idxs: an index for each of these elements. It counts the elements in memory order: column by column, batch
            element by batch element.
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
    check_device(name, device)
    dims, batch = checked_dims(name, dim), checked_batch(name, batch_size)
    array = np.full(int(np.prod(dims)) * batch, checked_number(name, defval), np.float32)
    places, numbers = checked_indices(name, idxs, array.size, f"a tensor of {dims} x {batch}"), real_array(name, v)
    if numbers.shape != (len(places),):
        raise ShapeError(f"{name}: {numbers.size} values for {len(places)} indices")
    array[places] = numbers
    return inputTensorTranspose(array, dims, batch)


ComputationGraph.inputMatrixLiteral = inputMatrixLiteral  # type: ignore[attr-defined]
ComputationGraph.inputSparseTensor = inputSparseTensor  # type: ignore[attr-defined]
