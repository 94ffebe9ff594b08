"""Inputs that are methods of the graph, `dy.cg()`, as in the Python interface of the original DyNet."""

from __future__ import annotations

from dynet_core.api import ComputationGraph
from dynet_core.checks import checked_number
from dynet_core.graph import Graph

from ..declare import *
from .arrays import add_input, flat, numbers
from .tensors import scattered


def inputMatrixLiteral(graph: Graph, v: Numbers, d: Dims, batch_size: Index = 1, device: str = "") -> Expression:
    """A tensor from numbers in memory order (column by column), like `inputTensorTranspose`.

    >>> dy.cg().inputMatrixLiteral([1, 2, 3, 4], (2, 2)).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    name = "inputMatrixLiteral"
    return add_input(name, flat(name, v), checked_shape(name, d, batch_size), device)


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
    whole, other = checked_shape(name, dim, batch_size), checked_number(name, defval)
    places = checked_indices(name, idxs, whole.total, f"a tensor of {whole.dims} x {whole.batch}")
    return add_input(name, scattered(name, [places], (whole.total,), numbers(name, v), other), whole, device)


ComputationGraph.inputMatrixLiteral = inputMatrixLiteral  # type: ignore[attr-defined]
ComputationGraph.inputSparseTensor = inputSparseTensor  # type: ignore[attr-defined]
