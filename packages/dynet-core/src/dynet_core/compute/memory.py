"""Blocks of float32 memory, on the host or on a GPU. Addresses count floats: an address in bytes, divided by 4."""

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

from dynet_kernels.families.products.rounding import QUIET_NAN
from dynet_kernels.layout import CACHE_LINE, aligned

from ..annotations import Floats, Numbers
from ..errors import OutOfMemoryError
from . import device

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu


CURRENT, OUTDATED, SHARED = 0, 1, 2  # states of a rounded copy; only one that is CURRENT is used
ROUNDED_AT_ONCE = 1 << 16  # floats
SIGN = 0x80000000  # of a float32


class HostBlock:
    """A block of float32 values in host memory, aligned to a cache line.

    With `zero` or `shared`, the values are initially 0. With `shared`, processes forked later share the block.
    With `has_copy`, a copy in bfloat16s is `copy_offset` floats after the values; see `layout.PARAMETER`.
    With `room`, the block has so many floats in all, which `write_all` replaces.
    """

    __slots__ = (
        "_all", "_allocation", "_copy", "_copy_state", "_host_view", "address", "array", "copy_offset", "floats",
    )  # fmt: skip

    def __init__(self, floats: int, zero: bool = False, shared: bool = False, has_copy: bool = False, room: int = 0):
        self.floats: int = floats
        self.copy_offset: int = aligned(floats) + CACHE_LINE if has_copy else 0
        copied = (floats + 1) // 2 if has_copy else 0  # floats that the copy takes
        # One cache line to align the start, one unused at the end
        size = max(floats, room, self.copy_offset + copied) + 2 * CACHE_LINE
        if shared:
            self._allocation = np.frombuffer(mmap.mmap(-1, 4 * size), np.float32)
        else:
            self._allocation = (np.zeros if zero else np.empty)(size, np.float32)
        skip = (-self._allocation.ctypes.data // 4) % CACHE_LINE  # floats before the first whole cache line
        self.array: Floats = self._allocation[skip : skip + floats]
        self._all: Floats = self._allocation[skip : skip + room]
        end = skip + self.copy_offset
        self._copy = self._allocation[end : end + copied].view(np.uint16)
        self._copy_state: Floats = self._allocation[end - CACHE_LINE : end] if has_copy else self._allocation[:0]
        self._copy_state[:] = OUTDATED
        self.address: int = self.array.ctypes.data // 4
        self._host_view = memoryview(self.array)  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on

    def host_view(self) -> memoryview:
        """Return a view of the values, for reading without a copy."""
        return self._host_view

    def section(self, start: int, count: int) -> Floats:
        """Return a view of `count` values, starting at index `start`."""
        return self.array[start : start + count]

    def write(self, values: Numbers) -> None:
        """Set all values of the block to the values of an array, or to one number."""
        with self.edit() as array:
            array[:] = values

    def write_section(self, start: int, values: Floats) -> None:
        with self.edit() as array:
            array[start : start + values.size] = values

    def write_all(self, values: Floats, start: int = 0) -> None:
        """Replace values, and what follows them, from index `start` on. No signal handler runs in between."""
        self._all[start : start + values.size] = values

    def share(self) -> None:
        """Stop the use of the copy, because others may now change the values."""
        self._copy_state[:] = SHARED

    def _round_copy(self) -> None:
        """Round the values to bfloat16 into the copy, as `families.products.rounding` does, and allow its use."""
        for start in range(0, self.floats, ROUNDED_AT_ONCE):
            values = self.array[start : start + ROUNDED_AT_ONCE]
            bits = values.view(np.uint32)
            rounded = bits + 0x7FFF + (bits >> 16 & 1)
            np.copyto(rounded, bits | QUIET_NAN, where=np.isnan(values))
            np.copyto(rounded, bits & SIGN, where=np.abs(values) < np.finfo(np.float32).tiny)
            self._copy[start : start + values.size] = rounded >> 16
        if self._copy_state[0] == OUTDATED:
            self._copy_state[:] = CURRENT

    def packer(self) -> Callable[..., None]:
        """Return a function that stores its arguments, one for each float of the block."""
        return functools.partial(struct.Struct(f"={self.floats}f").pack_into, self._host_view, 0)

    @contextmanager
    def edit(self) -> Iterator[Floats]:
        """Return a context manager whose `with` block gets the values as an array, and may change it in place."""
        if not self.copy_offset:
            yield self.array
            return
        if self._copy_state[0] == CURRENT:
            self._copy_state[:] = OUTDATED  # if an interrupt ends this function, it stays so
        try:
            yield self.array
        finally:
            self._round_copy()


class GpuBlock:
    """A block of float32 values in GPU memory, which Python can only copy, not access at `address`."""

    __slots__ = ("address", "floats", "gpu")
    copy_offset = 0

    def share(self) -> None:
        """Do nothing: blocks on a GPU have no copies."""

    def __init__(self, gpu: Gpu, floats: int, zero: bool = False):
        self.gpu: Gpu = gpu
        self.floats: int = floats
        self.address: int = gpu.allocate(4 * floats) // 4
        if zero:
            gpu.fill(4 * self.address, 0, floats)

    @property
    def array(self) -> Floats:
        """A read-only copy of the values."""
        return self.section(0, self.floats)

    def section(self, start: int, count: int) -> Floats:
        """Return a read-only copy of `count` values, starting at index `start`."""
        copy = np.empty(count, np.float32)
        self.gpu.download(4 * (self.address + start), copy)
        copy.flags.writeable = False
        return copy

    def host_view(self) -> memoryview:
        """Return an empty view: Python cannot read GPU memory without a copy."""
        return memoryview(b"")

    def write(self, values: Numbers) -> None:
        self.write_section(0, np.ascontiguousarray(np.broadcast_to(values, self.floats), np.float32))

    def write_section(self, start: int, values: Floats) -> None:
        self.gpu.upload(4 * (self.address + start), np.ascontiguousarray(values))

    def write_all(self, values: Floats, start: int = 0) -> None:
        """Replace values. What follows them on the host is not needed on a GPU."""
        self.write_section(start, values[: self.floats - start])

    def packer(self) -> Callable[..., None]:
        pack = struct.Struct(f"={self.floats}f").pack
        return lambda *numbers: self.write(np.frombuffer(pack(*numbers), np.float32))

    @contextmanager
    def edit(self) -> Iterator[Floats]:
        """Return a context manager whose `with` block gets a copy on the host, and writes the copy back at its end."""
        copy = self.array.copy()
        yield copy
        self.write(copy)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self.gpu.free(4 * self.address)


Block = HostBlock | GpuBlock


def allocate_block(
    floats: int, zero: bool = False, shared: bool = False, has_copy: bool = False, room: int = 0
) -> Block:
    """Allocate a block on the device in use. A GPU ignores all arguments of `HostBlock` but the first two."""
    gpu = device.gpu_in_use()
    try:
        return HostBlock(floats, zero, shared, has_copy, room) if gpu is None else GpuBlock(gpu, floats, zero)
    except MemoryError as problem:
        detail = "" if gpu is None else f": {problem}"  # the error of a GPU driver says how much memory is left
        raise OutOfMemoryError(f"there is not enough memory for {floats} more numbers{detail}") from None


def copy_on_gpu(gpu: Gpu, address: int, count: int) -> GpuBlock:
    """Copy `count` floats in a GPU's memory to a new block."""
    copied = GpuBlock(gpu, count)
    gpu.copy(4 * copied.address, 4 * address, 4 * count)
    return copied


def floats_at(address: int, count: int) -> Floats:
    """Return floats on the device in use as an array: a view on the CPU; a copy on the host for a GPU."""
    gpu = device.gpu_in_use()
    if gpu is None:
        return np.frombuffer((ctypes.c_float * count).from_address(address * 4), np.float32)  # type: ignore
    copy = np.empty(count, np.float32)
    gpu.download(4 * address, copy)
    return copy


def integers_at(address: int, count: int) -> npt.NDArray[np.int64]:
    """Return a view of int64 values in host memory. This address counts bytes, not floats."""
    return np.frombuffer((ctypes.c_int64 * count).from_address(address), np.int64)  # type: ignore
