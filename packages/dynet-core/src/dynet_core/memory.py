"""Stretches of float32 memory, on the host or on a GPU, and addresses counted in floats.

The rest of the library knows memory by this interface only: `block` and `floats_at`, and of a block `address`,
`floats`, `array` to read it, and `write`, `packer` and `edit` to change it.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynet_kernels.layout import CACHE_LINE

from . import device
from .annotations import Array, Numbers
from .errors import OutOfMemoryError

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu


class HostBlock:
    """Memory for `floats` numbers on a cache-line boundary; `address` counts floats from zero.

    Args:
        zero: whether the numbers must be zero at first.
        shared: whether processes forked later write to the same memory.
    """

    __slots__ = ("_direct", "_whole", "address", "array", "floats")

    address: int
    array: Array
    floats: int

    def __init__(self, floats: int, zero: bool = False, shared: bool = False):
        self.floats = floats
        size = floats + 2 * CACHE_LINE
        if shared:
            self._whole = np.frombuffer(mmap.mmap(-1, 4 * size), np.float32)
        else:
            self._whole = (np.zeros if zero else np.empty)(size, np.float32)
        skip = (-self._whole.ctypes.data // 4) % CACHE_LINE
        self.array = self._whole[skip : skip + floats]
        self.address = self.array.ctypes.data // 4
        self._direct = memoryview(self.array)  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on

    def direct(self) -> memoryview:
        """The numbers as far as Python can read them without a copy."""
        return self._direct

    def write(self, values: Numbers) -> None:
        """Replace all numbers, by an array or one number."""
        self.array[:] = values

    def packer(self) -> Callable[..., None]:
        """A function that replaces all numbers by those that it is called with."""
        return functools.partial(struct.Struct(f"={self.floats}f").pack_into, self._direct, 0)

    @contextmanager
    def edit(self) -> Iterator[Array]:
        """The numbers, to be changed in place."""
        yield self.array


class GpuBlock:
    """Memory for `floats` numbers on a GPU; `address` is the GPU's and counts floats from zero."""

    __slots__ = ("address", "floats", "gpu")

    address: int
    floats: int
    gpu: Gpu

    def __init__(self, gpu: Gpu, floats: int, zero: bool = False):
        self.gpu, self.floats = gpu, floats
        self.address = gpu.allocate(4 * floats) // 4
        if zero:
            gpu.fill(4 * self.address, 0, floats)

    @property
    def array(self) -> Array:
        """A copy of the numbers, not to be written to."""
        copy = np.empty(self.floats, np.float32)
        self.gpu.download(4 * self.address, copy)
        copy.flags.writeable = False
        return copy

    def direct(self) -> memoryview:
        """Nothing: Python reads none without a copy."""
        return memoryview(b"")

    def write(self, values: Numbers) -> None:
        """Replace all numbers, by an array or one number."""
        self.gpu.upload(4 * self.address, np.ascontiguousarray(np.broadcast_to(values, self.floats), np.float32))

    def packer(self) -> Callable[..., None]:
        """A function that replaces all numbers by those that it is called with."""
        pack_into = struct.Struct(f"={self.floats}f").pack_into

        def pack(*numbers: float) -> None:
            packed = np.empty(self.floats, np.float32)
            pack_into(packed, 0, *numbers)  # type: ignore[arg-type]
            self.write(packed)

        return pack

    @contextmanager
    def edit(self) -> Iterator[Array]:
        """The numbers, to be changed in place: they are copied to the host and back."""
        copy = self.array.copy()
        yield copy
        self.write(copy)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self.gpu.free(4 * self.address)


Block = HostBlock | GpuBlock


def block(floats: int, zero: bool = False, shared: bool = False) -> Block:
    """Memory on the device in use; see `HostBlock`."""
    gpu = device.gpu()
    if gpu is not None:
        return GpuBlock(gpu, floats, zero)
    try:
        return HostBlock(floats, zero, shared)
    except MemoryError:
        raise OutOfMemoryError(f"there is not enough memory for {floats} more numbers") from None


def copy_on_gpu(gpu: Gpu, address: int, count: int) -> GpuBlock:
    """A block with the `count` floats that are at an address of a GPU."""
    copied = GpuBlock(gpu, count)
    gpu.copy(4 * copied.address, 4 * address, 4 * count)
    return copied


def floats_at(address: int, count: int) -> Array:
    """The `count` floats at an address, as an array: on the host over that memory, of a GPU's a copy."""
    gpu = device.gpu()
    if gpu is None:
        return np.frombuffer((ctypes.c_float * count).from_address(address * 4), np.float32)  # type: ignore
    copy = np.empty(count, np.float32)
    gpu.download(4 * address, copy)
    return copy


def integers_at(address: int, count: int) -> npt.NDArray[np.int64]:
    """The `count` int64 at an address in bytes, as an array over that memory."""
    return np.frombuffer((ctypes.c_int64 * count).from_address(address), np.int64)  # type: ignore
