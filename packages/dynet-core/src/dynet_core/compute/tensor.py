"""`Tensor`: a copy of an expression's value, which outlives the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..annotations import Array
from ..checks import whole
from ..errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from ..random import noise


class Tensor:
    """A copy of an expression's value, made by `Expression.tensor_value`.

    `numpy.asarray(t)` and DLPack (`torch.from_dlpack(t)`) give access to the memory of a tensor `t`, without a copy.
    numpy gets a copy only if the tensor is on a GPU.

    Args:
        array: the values, in the shape of the expression; a batch larger than 1 is the last axis.
        dims: how many axes of the array are dimensions. The batch is not counted.

    >>> t = dy.inputTensor([[1, 5, 2], [7, 0, 3]]).tensor_value()
    >>> t.argmax(dim=1).as_numpy()
    array([[1],
           [0]])
    """

    __slots__ = ("_array", "_dims")

    _array: npt.NDArray[Any]
    _dims: int

    def __init__(self, array: npt.NDArray[Any], dims: int | None = None):
        if dims is None:
            raise ArgumentTypeError("Tensor: e.tensor_value() makes one; dy.inputTensor(...) takes numbers")
        self._array, self._dims = array, dims

    def as_numpy(self, *, dtype: npt.DTypeLike | None = None) -> Array:
        """Return a copy of the values as a numpy array on the host.

        Args:
            dtype: the type of the array's numbers; by default float64, or int64 for indices.
        """
        values = self._values()
        usual = np.float64 if values.dtype == np.float32 else np.int64
        return values.astype(usual if dtype is None else dtype, order="F")

    def argmax(self, dim: int = 0, num: int = 1) -> Tensor:
        """Return the indices of the largest values along a dimension, in descending order of the values.

        Of equal values, the one with the lowest index comes first. NaN counts as larger than any number.

        Args:
            dim: the dimension.
            num: how many indices to return.

        Returns:
            The indices, a tensor whose dimension `dim` has size `num`.

        Raises:
            OutOfRangeError: the dimension does not exist, or is smaller than `num`.
        """
        if dim.__class__ is int and 0 <= dim < self._dims and num.__class__ is int and num == 1:  # the usual case
            return Tensor(self._array.argmax(dim, keepdims=True), self._dims)
        return self.topk(dim, num)[1]

    def topk(self, dim: int = 0, num: int = 1) -> tuple[Tensor, Tensor]:
        """Return the largest values along a dimension in descending order, and their indices.

        Of equal values, the one with the lowest index comes first. NaN counts as larger than any number.

        Args:
            dim: the dimension.
            num: how many values to return.

        Returns:
            The values and the indices, two tensors whose dimension `dim` has size `num`.

        Raises:
            OutOfRangeError: the dimension does not exist, or is smaller than `num`.

        >>> values, indices = dy.inputVector([1, 5, 2, 5]).tensor_value().topk(num=3)
        >>> values.as_numpy(), indices.as_numpy()
        (array([5., 5., 2.]), array([1, 3, 2]))
        """
        dim, num = self._checked_topk(dim, num)
        if num == 1:
            indices = self._array.argmax(dim, keepdims=True)
        else:
            rising = np.argsort(np.flip(self._array, dim), dim, kind="stable")
            indices = np.take(self._array.shape[dim] - 1 - np.flip(rising, dim), range(num), dim)
        return self._like(np.take_along_axis(self._array, indices, dim)), self._like(indices)

    def categorical_sample_log_prob(self, dim: int = 0, num: int = 1) -> Tensor:
        """Draw random indices along a dimension. The values along it are the logarithms of the indices' probabilities.

        The random numbers depend on the same seed as dropout; see `reset_random_seed`.

        Args:
            dim: the dimension.
            num: how many indices to draw, independently of each other.

        Returns:
            The indices, a tensor whose dimension `dim` has size `num`.

        Raises:
            ArgumentError: a value is NaN or plus infinity, or all indices have probability 0.
            OutOfRangeError: the dimension does not exist.
        """
        dim, num = self._checked("categorical_sample_log_prob", dim, num)
        logs = np.moveaxis(self._values(), dim, -1).astype(np.float64)[..., np.newaxis, :]
        if not (logs < np.inf).all() or (logs.max(-1) == -np.inf).any():
            raise ArgumentError(f"categorical_sample_log_prob: {self!r} holds no logarithms of probabilities")
        random = np.random.Generator(np.random.Philox(int.from_bytes(noise.next_key(), "little")))
        # The Gumbel-max trick: the index of the largest sum of a logarithm and Gumbel noise is such a random draw.
        shape = (*logs.shape[:-2], num, logs.shape[-1])
        return self._like(np.moveaxis((logs + random.gumbel(size=shape)).argmax(-1), -1, dim))

    def _values(self) -> npt.NDArray[Any]:
        """Return the values as an array on the host. The caller must not change it."""
        return self._array

    def _like(self, array: npt.NDArray[Any]) -> Tensor:
        """Return a tensor with the values of `array`, on the same device and with as many dimensions."""
        return Tensor(array, self._dims)

    def _axes(self) -> tuple[int, ...]:
        return self._array.shape

    def _checked_topk(self, dim: int, num: int) -> tuple[int, int]:
        dim, num = self._checked("topk", dim, num)
        size = self._axes()[dim]
        if num > size:
            raise OutOfRangeError(f"topk: num is {num}, dimension {dim} of {self!r} has {size}")
        return dim, num

    def _checked(self, name: str, dim: int, num: int) -> tuple[int, int]:
        dim, num = whole(name, "dim", dim), whole(name, "num", num)
        if not 0 <= dim < self._dims:
            raise OutOfRangeError(f"{name}: dim is {dim}, {self!r} has {self._dims} dimensions")
        if num < 1:
            raise ArgumentError(f"{name}: num must be at least 1, got {num}")
        return dim, num

    def __repr__(self) -> str:
        dims, batch = self._axes()[: self._dims], self._axes()[self._dims :]
        return f"tensor {dims}" + (f" x {batch[0]}" if batch else "")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self._array, dtype, order="K", copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()
