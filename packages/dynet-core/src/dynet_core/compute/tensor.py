"""`Tensor`: a copy of an expression's value that outlives the graph."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Sequence
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels.families.selection import FallingOrder, LargestInOrder
from dynet_kernels.layout import CONTEXT, INSTRUCTION
from dynet_kernels.table import KERNELS

from ..annotations import Array
from ..checks import whole
from ..errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from ..random import noise
from . import device
from .memory import GpuBlock


class Tensor:
    """A copy of an expression's value, made by `Expression.tensor_value`.

    `numpy.asarray(t)` and DLPack (`torch.from_dlpack(t)`) share a tensor's memory; from a GPU, numpy gets a copy.

    Args:
        array: the values, in the shape of the expression; a batch larger than 1 is the last axis.
        dims: how many axes of the array are dimensions, not counting the batch.

    >>> t = dy.inputTensor([[1, 5, 2], [7, 0, 3]]).tensor_value()
    >>> t.argmax(dim=1).as_numpy()
    array([[1],
           [0]])
    """

    __slots__ = ("_array", "_dims")

    def __init__(self, array: npt.NDArray[Any], dims: int | None = None):
        if dims is None:
            raise ArgumentTypeError("Tensor: e.tensor_value() makes one; dy.inputTensor(...) takes numbers")
        self._array, self._dims = array, dims

    def as_numpy(self, *, dtype: npt.DTypeLike | None = None) -> Array:
        """Return a copy of the values as a numpy array on the host.

        Args:
            dtype: the type of the array's elements; by default float64, or int64 for indices.
        """
        values = self._values()
        default_type = np.float64 if values.dtype == np.float32 else np.int64
        return values.astype(default_type if dtype is None else dtype, order="F")

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
        array = self._array
        if num == 1:
            indices = array.argmax(dim, keepdims=True)
        else:
            # A stable sort of the flipped array: then, of equal values, the one with the lowest index comes first.
            rising_order = np.argsort(np.flip(array, dim), dim, kind="stable")
            indices = np.take(array.shape[dim] - 1 - np.flip(rising_order, dim), range(num), dim)
        return self._like(np.take_along_axis(array, indices, dim)), self._like(indices)

    def categorical_sample_log_prob(self, dim: int = 0, num: int = 1) -> Tensor:
        """Draw random indices along a dimension. The values are the logarithms of the indices' probabilities.

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
        dim, num = self._checked_arguments("categorical_sample_log_prob", dim, num)
        logs = np.moveaxis(self._values(), dim, -1).astype(np.float64)[..., np.newaxis, :]
        if not np.isfinite(logs.max(-1)).all():
            raise ArgumentError(f"categorical_sample_log_prob: {self!r} holds no logarithms of probabilities")
        random = np.random.Generator(np.random.Philox(int.from_bytes(noise.next_key(), "little")))
        # The Gumbel-max trick: the index of the largest sum of a logarithm and Gumbel noise has this distribution.
        shape = (*logs.shape[:-2], num, logs.shape[-1])
        return self._like(np.moveaxis((logs + random.gumbel(size=shape)).argmax(-1), -1, dim))

    def _values(self) -> npt.NDArray[Any]:
        """Return the values as an array on the host, which the caller must not change."""
        return self._array

    def _like(self, array: npt.NDArray[Any]) -> Tensor:
        """Return a tensor with the values of `array`, on the same device and with the same number of dimensions."""
        return Tensor(array, self._dims)

    def _axis_sizes(self) -> tuple[int, ...]:
        return self._array.shape

    def _checked_topk(self, dim: int, num: int) -> tuple[int, int]:
        dim, num = self._checked_arguments("topk", dim, num)
        size = self._axis_sizes()[dim]
        if num > size:
            raise OutOfRangeError(f"topk: num is {num}, dimension {dim} of {self!r} has {size}")
        return dim, num

    def _checked_arguments(self, method_name: str, dim: int, num: int) -> tuple[int, int]:
        dim, num = whole(method_name, "dim", dim), whole(method_name, "num", num)
        if not 0 <= dim < self._dims:
            raise OutOfRangeError(f"{method_name}: dim is {dim}, {self!r} has {self._dims} dimensions")
        if num < 1:
            raise ArgumentError(f"{method_name}: num must be at least 1, got {num}")
        return dim, num

    def __repr__(self) -> str:
        axes, count = self._axis_sizes(), self._dims
        return f"tensor {axes[:count]}" + "".join(f" x {batch}" for batch in axes[count:])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self._array, dtype, order="K", copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


KERNELS.add("largest_in_order", LargestInOrder())
KERNELS.add("falling_order", FallingOrder())


class GpuTensor(Tensor):
    """A tensor on a GPU. numpy gets a copy on the host; DLPack shares the memory with other libraries.

    The block has float32 or int64 values, column-major, the batch last; an int64 takes as much memory as two floats.
    `dims` is the number of axes, not counting the batch.
    """

    __slots__ = ("_block", "_is_integer", "_shape")

    def __init__(self, block: GpuBlock, shape: tuple[int, ...], dims: int, is_integer: bool = False):
        self._block, self._shape, self._dims, self._is_integer = block, shape, dims, is_integer

    def argmax(self, dim: int = 0, num: int = 1) -> Tensor:
        """Return the indices of the largest values; see `Tensor.argmax`."""
        return self.topk(dim, num)[1]

    def topk(self, dim: int = 0, num: int = 1) -> tuple[Tensor, Tensor]:
        """Return the largest values and their indices; see `Tensor.topk`."""
        dim, num = self._checked_topk(dim, num)
        if self._is_integer:
            host = Tensor(self._values(), self._dims)  # the kernels do not handle integers
            values, indices = host.topk(dim, num)
            return self._like(values._array), self._like(indices._array)
        block, before, size, after = self._block, self._shape[:dim], self._shape[dim], self._shape[dim + 1 :]
        inner, outer = math.prod(before), math.prod(after)
        columns = inner * outer
        calls, source = _KernelCalls(block.gpu), block
        if inner > 1:  # the kernel compares adjacent values, so make the values along `dim` adjacent by a copy
            source = calls.allocate_scratch(columns * size)
            calls.copy(source, block, [(size, 1, inner), (inner, size, 1), (outer, inner * size, inner * size)])
        results = [calls.allocate_scratch(columns * num) for _ in range(2)]  # values, and indices
        starts = num * np.arange(columns)
        y, index = (result.address + starts for result in results)
        x = source.address + size * np.arange(columns)
        calls.add("largest_in_order", (size, num, 0, 1, 2), [y, x, index])
        if num > 1:
            results = [calls.allocate_scratch(columns * num) for _ in range(2)]
            lists = [result.address + starts for result in results]
            calls.add("falling_order", (num, 0, 1, 2, 3), [*lists, y, index])
        values = GpuBlock(block.gpu, columns * num)
        # The kernels write 32-bit indices. A copy makes each the lower half of an int64 that was 0.
        indices = GpuBlock(block.gpu, 2 * columns * num, zero=True)
        result_loops = [(num, inner, 1), (inner, 1, num), (outer, inner * num, inner * num)]
        calls.copy(values, results[0], result_loops)
        calls.copy(indices, results[1], [(extent, 2 * target, source) for extent, target, source in result_loops])
        calls.run()
        shape = *before, num, *after
        return GpuTensor(values, shape, self._dims), GpuTensor(indices, shape, self._dims, is_integer=True)

    def _values(self) -> npt.NDArray[Any]:
        numbers = self._block.array.view(np.int64 if self._is_integer else np.float32)
        return numbers.reshape(self._shape, order="F")

    def _like(self, array: npt.NDArray[Any]) -> Tensor:
        is_integer = array.dtype != np.float32
        numbers = array.astype(np.int64 if is_integer else np.float32).ravel(order="F").view(np.float32)
        block = GpuBlock(self._block.gpu, numbers.size)
        block.write(numbers)
        return GpuTensor(block, array.shape, self._dims, is_integer)

    def _axis_sizes(self) -> tuple[int, ...]:
        return self._shape

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self!r} is on a GPU: as an array it can only be copied")
        return np.array(self._values(), dtype, order="K")

    def __dlpack__(self, **options: Any) -> Any:
        strides = (1, *itertools.accumulate(self._shape[:-1], lambda stride, extent: stride * extent))
        return make_capsule(self._block, self._shape, strides, self._is_integer)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self._block.gpu.number


class _KernelCalls:
    """Kernel calls on tensors on the GPU, outside any graph."""

    def __init__(self, gpu):
        self._gpu = gpu
        self._blocks: list[GpuBlock] = []
        self._tape: list[int] = []
        self._parameter_table: list[int] = []
        self._address_lists: list[np.ndarray] = []

    def allocate_scratch(self, floats: int) -> GpuBlock:
        """Allocate GPU memory that is freed together with this object."""
        self._blocks.append(GpuBlock(self._gpu, floats))
        return self._blocks[-1]

    def add(self, kernel: str, parameters: Sequence[int], lists: Sequence[np.ndarray]) -> None:
        """Append a kernel call. `lists` has the address list of each array.

        `parameters` has the parameters of the kernel: sizes, and the index in `lists` of each array.
        """
        base = sum(map(len, self._address_lists))
        self._tape += [KERNELS.opcode(kernel), base, len(lists[0]), len(self._parameter_table), 0, 0]  # an INSTRUCTION
        self._parameter_table += parameters
        self._address_lists += lists

    def copy(self, target: GpuBlock, source: GpuBlock, loops: list[tuple[int, int, int]]) -> None:
        """Append a copy in up to four loops, innermost first: (count, target stride, source stride), in floats."""
        loops = loops + [(1, 0, 0)] * (4 - len(loops))
        lists = [np.array([block.address]) for block in (target, source)]
        self.add("copy", (0, 1, *itertools.chain(*zip(*loops))), lists)

    def run(self) -> None:
        lists = {"index": np.concatenate(self._address_lists), "table": self._parameter_table, "tape": self._tape}
        arrays = {name: np.array(integers, np.int64) for name, integers in lists.items()}
        context = np.zeros(len(CONTEXT), np.int64)
        for name, array in arrays.items():
            context[CONTEXT[name]] = array.ctypes.data
        context[CONTEXT.index_top] = len(arrays["index"])
        context[CONTEXT.tape_count] = len(self._tape) // len(INSTRUCTION)
        device.machine_of(self._gpu).run(context.ctypes.data)


CUDA = 2  # DLPack's device type for NVIDIA GPUs, kDLCUDA
INTEGER_CODE, FLOAT_CODE = 0, 2  # DLPack's codes for types of elements, kDLInt and kDLFloat
CAPSULE_NAME = b"dltensor"  # a capsule's name, until another library takes ownership and renames it


class _DLTensor(Structure):
    """DLPack's DLTensor."""

    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class _DLManagedTensor(Structure):
    """DLPack's DLManagedTensor: a DLTensor, and the function that releases its memory."""

    _fields_ = [("tensor", _DLTensor), ("context", c_void_p), ("deleter", c_void_p)]


# Key of a capsule -> objects to which the capsule points. They are kept alive until `_delete` is called for it.
_exported_objects: dict[int, tuple] = {}
_capsule_keys = itertools.count(1)


@CFUNCTYPE(None, POINTER(_DLManagedTensor))
def _delete(managed_tensor) -> None:
    _exported_objects.pop(managed_tensor.contents.context, None)


@CFUNCTYPE(None, c_void_p)
def _delete_unused(capsule_address) -> None:
    """Release the memory of a capsule that is being destroyed, unless another library has taken ownership.

    A library that has taken ownership has renamed the capsule, and will call `_delete`. The argument is an address,
    because a Python reference to an object that is being destroyed would destroy it a second time.
    """
    if _is_valid_capsule(capsule_address, CAPSULE_NAME):
        _delete(ctypes.cast(_capsule_pointer(capsule_address, CAPSULE_NAME), POINTER(_DLManagedTensor)))


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, [c_void_p, c_char_p]
_is_valid_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_valid_capsule.restype, _is_valid_capsule.argtypes = ctypes.c_int, [c_void_p, c_char_p]


def make_capsule(block: GpuBlock, shape: tuple[int, ...], strides: tuple[int, ...], is_int64: bool = False):
    """Return a DLPack capsule for a tensor that fills `block`, and keep the block alive. Strides count elements."""
    block.gpu.synchronize()  # wait for pending work, because the library that reads the tensor uses other CUDA streams
    count = len(shape)
    int64_array = c_int64 * count
    shape_and_strides = int64_array(*shape), int64_array(*strides)
    type_code, bits = (INTEGER_CODE, 64) if is_int64 else (FLOAT_CODE, 32)
    key = next(_capsule_keys)
    tensor = _DLTensor(4 * block.address, CUDA, block.gpu.number, count, type_code, bits, 1, *shape_and_strides, 0)
    managed = _DLManagedTensor(tensor, key, ctypes.cast(_delete, c_void_p))
    _exported_objects[key] = block, shape_and_strides, managed
    return _new_capsule(ctypes.addressof(managed), CAPSULE_NAME, ctypes.cast(_delete_unused, c_void_p))
