"""Inputs of a graph: numbers, vectors and matrices."""

from __future__ import annotations

from dynet_core.compute.device import check_device
from dynet_kernels.recorder.words import array_key

from ..declare import *
from .arrays import NUMBERS, add_input, filled, flat, input_op, input_signature, numbers, one_number, stored


@input_op(lambda v: np.reshape(v, (-1, 1)), [{"v": [1]}, {"v": [1, -2.5, 3]}, {"v": (4, 5)}, {"v": NUMBERS}], "vector")
def inputVector(v: Iterable[Number], device: str = "") -> Expression:
    """A vector of given values.

    Args:
        v: numbers, or an array of one dimension. It may be empty; sums of an empty vector are 0.
        device: "CPU" or the device in use. Others are refused.

    >>> inputVector([1, 2, 3]).value()
    [1.0, 2.0, 3.0]
    """
    array = numbers("inputVector", v)
    dim = Dim.of((array.size,))
    if array.size:
        remember(inputVector, array_key(array.shape), input_signature(dim))
    return add_input("inputVector", array, dim, device)


@input_op(lambda s: np.full((1, 1), s), [{"s": 2.5}, {"s": -3}, {"s": np.float32(0.5)}, {"s": [1.5]}], "vector")
def scalarInput(s: Number, device: str = "") -> Expression:
    """A single number.

    `device` is "CPU" or the device in use. Others are refused.

    >>> scalarInput(2.5).value()
    2.5
    """
    return add_input("scalarInput", one_number("scalarInput", s), _NUMBER, device)


_NUMBER = Dim.of((1,))
remember(scalarInput, array_key(()), input_signature(_NUMBER))


@input_op(lambda dim: np.zeros((dim, 1)), "dim=1; dim=2; dim=17; dim=130", repeats=True)
def vecInput(dim: Index, device: str = "") -> Expression:
    """A vector of `dim` zeros. To give it other values, call the method `set` of the expression.

    `device` is "CPU" or the device in use. Others are refused.

    >>> x = vecInput(2)
    >>> x.set([3, 4])
    >>> x.value()
    [3.0, 4.0]
    """
    sizes = checked_dims("vecInput", (checked_index("vecInput", dim),))
    return add_input("vecInput", filled("vecInput", sizes), Dim.of(sizes), device)


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
    return add_input("matInput", filled("matInput", sizes), Dim.of(sizes))


@input_op(
    lambda v, d: stored(v, d),
    [
        {"v": [1], "d": (1, 1)},
        {"v": [1, 2.5, 3, 4, 5, 6], "d": (2, 3)},
        {"v": NUMBERS, "d": [5, 1, 6]},
        {"v": NUMBERS[:17], "d": (17,)},
    ],
)
def inputMatrix(v: Numbers, d: Dims) -> Expression:
    """A tensor of dimensions d, filled column by column with the numbers of a flat list.

    >>> inputMatrix([1, 2, 3, 4, 5, 6], (2, 3)).npvalue()
    array([[1., 3., 5.],
           [2., 4., 6.]])
    """
    return add_input("inputMatrix", flat("inputMatrix", v), checked_shape("inputMatrix", d))


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


__all__ = ["inputMatrix", "inputVector", "matInput", "scalarInput", "to_device", "vecInput"]
